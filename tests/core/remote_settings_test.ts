/** The settings about a team server: addresses however they are written, and which workspaces the owner said yes to. */
import { assertEquals } from "@std/assert";
import { REMOTE_SETTINGS, serverUrlOf, watchedIn } from "../../lib/core/remote_settings.ts";

Deno.test("serverUrlOf() makes one base URL of every way to write it", () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["https://team.example.com", "https://team.example.com"],
    [" https://team.example.com/ ", "https://team.example.com"],
    ["wss://team.example.com/ws", "https://team.example.com"],
    ["ws://localhost:8080/ws/", "http://localhost:8080"],
    ["https://example.com/multica/?a=1#b", "https://example.com/multica"],
    ["HTTPS://TEAM.example.com:443", "https://team.example.com"],
    ["team.example.com", undefined],
    ["ftp://team.example.com", undefined],
    ["https://user:secret@team.example.com", undefined],
    ["", undefined],
  ];
  for (const [text, url] of cases) assertEquals(serverUrlOf(text), url, text);
});

Deno.test("workspaces.watched takes a list or an object, and nothing without a policy", () => {
  const { parse, write } = REMOTE_SETTINGS.watchedWorkspaces;
  assertEquals(parse({ a: "ask" }), { a: "ask" });
  assertEquals(parse(""), {});
  assertEquals(parse(write({ a: "ask", b: "read-only" })), { a: "ask", b: "read-only" });
  for (const wrong of ["a", "a=", "a=all", "=ask", "../x=ask", ["a"], null, 3, { a: "all" }, { "a b": "ask" }]) {
    assertEquals(parse(wrong), undefined, JSON.stringify(wrong));
  }
});

Deno.test("watchedIn() knows only what the owner said yes to, and nothing while remote is disabled", () => {
  const yes = {
    remoteEnabled: true,
    watchedWorkspaces: { "w-1": "full" },
    watchAll: false,
    workspacePolicy: "ask",
  } as const;
  assertEquals(watchedIn(yes, "w-1"), { policy: "full" });
  assertEquals(watchedIn(yes, "W-1"), { policy: "full" });
  assertEquals(watchedIn(yes, "w-2"), undefined);
  assertEquals(watchedIn(yes, "constructor"), undefined);
  assertEquals(watchedIn({ ...yes, watchAll: true }, "w-2"), { policy: "ask" });
  assertEquals(watchedIn({ ...yes, watchAll: true }, "w-1"), { policy: "full" });
  assertEquals(watchedIn({ ...yes, watchAll: true, remoteEnabled: false }, "w-1"), undefined);
});
