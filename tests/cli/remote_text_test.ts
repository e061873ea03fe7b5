/** What status shows of a team server, and of settings that wait. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { stripAnsiCode } from "@std/fmt/colors";
import type { ServerView } from "../../lib/app/remote_link.ts";
import { configRows, remoteRows } from "../../lib/cli/remote_text.ts";

const SERVER: ServerView = {
  server: "https://team.example",
  user: { id: "u", name: "Ann", email: "" },
  login: "accepted",
  how: "",
  expiresAt: null,
  workspaces: [{ id: "w1", name: "One", policy: "ask" }, { id: "w2", name: "Two", policy: null }],
  lastContactAt: 7,
};

function rows(connection: Partial<ServerView> | null, enabled = true): string[] {
  const remote = { enabled, variable: null, connection: connection && { ...SERVER, ...connection } };
  return remoteRows(remote, (at) => `${at} s`).map((row) => stripAnsiCode(row.join(": ")));
}

Deno.test("remoteRows() shows the server, the login and each workspace", () => {
  assertEquals(rows({}), [
    "remote: enabled, https://team.example as Ann, last contact 7 s ago",
    "workspace: One: watched, ask",
    "workspace: Two: available, not watched",
  ]);
  const out = rows({ login: "refused", how: "log in again: drover login", user: null, lastContactAt: null });
  assertEquals(out[0], "remote: enabled, https://team.example, no contact yet; log in again: drover login");
});

Deno.test("remoteRows() says what is missing before any task can come", () => {
  assertEquals(rows(null, false), ["remote: disabled"]);
  assertEquals(rows(null), ["remote: enabled, no server is configured: drover login --server URL"]);
  assertEquals(
    rows({ workspaces: [{ id: "w2", name: "Two", policy: null }] })[1],
    [
      "workspace: none is watched; available: Two (drover enable remote --workspace W)",
    ][0],
  );
  // An older daemon says no more than this.
  assertEquals(remoteRows({ enabled: true }, () => "")[0]![0], "remote");
});

Deno.test("remoteRows() lets no name of a server's draw on the terminal", () => {
  const [, workspace = ""] = rows({ workspaces: [{ id: "w", name: "a\x1b[2Jb\nc", policy: "full" }] });
  assert([...workspace].every((one) => one >= " "), JSON.stringify(workspace));
});

Deno.test("configRows() says what waits and what cannot be used, and nothing where all is well", () => {
  assertEquals([configRows(undefined), configRows({ problem: null, waiting: [] })], [[], []]);
  const [problem, waiting] = configRows({ problem: "Cannot read it", waiting: ["health.port"] });
  assertStringIncludes(problem!.join(), "Cannot read it");
  assertEquals(waiting, ["settings", "changed, taken by drover restart: health.port"]);
});
