/** What a run may do with which agent, what is refused before there is a task, and what is said once. */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { isFirstFullRun, planPermission } from "../../lib/app/permission_choice.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import { homeLayout } from "../../lib/core/home.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";

Deno.test("planPermission() asks in place and says so, and says nothing where it was told", () => {
  const inPlace = planPermission("claude", { mode: "in-place" });
  assertEquals([inPlace.permission, inPlace.remarks.length], ["ask", 1]);
  assertEquals(planPermission("claude", { mode: "in-place", permission: "ask" }), { permission: "ask", remarks: [] });
  assertEquals(planPermission("claude", { mode: "worktree" }), { permission: "full", remarks: [] });
  assertEquals(planPermission("claude", { mode: "scratch", permission: "read-only" }).permission, "read-only");
});

Deno.test("planPermission() works read-only in place where the agent cannot ask, and refuses what would be wider", () => {
  const narrowed = planPermission("pi", { mode: "in-place" });
  assertEquals([narrowed.permission, narrowed.remarks.length], ["read-only", 1]);
  const refused = (provider: string, permission?: "ask") =>
    assertThrows(() => planPermission(provider, { mode: "in-place", permission }), DroverError).message;
  assertStringIncludes(refused("pi", "ask"), "cannot promise --permission ask; it can be run with full or read-only");
  assertStringIncludes(refused("gemini"), "it can be run with full");
});

Deno.test("planPermission() refuses a sandbox and an effort that the agent cannot give", () => {
  const refused = (wish: Record<string, unknown>, words: string) =>
    assertEquals(
      assertThrows(() => planPermission("llm", { mode: "scratch", ...wish }), DroverError, words).code,
      "usage",
    );
  refused({ sandbox: true }, "no sandbox of its own");
  refused({ effort: "high" }, "cannot be told how hard to think");
  assertEquals(planPermission("claude", { mode: "scratch", effort: "high" }).permission, "full");
});

Deno.test("planPermission() leaves an agent it does not know to the daemon that knows it", () => {
  assertEquals(planPermission("newer", { mode: "in-place", sandbox: true }), { permission: "ask", remarks: [] });
});

Deno.test("isFirstFullRun() is true once in the life of a home", async () => {
  await using dir = await tempDirectory();
  const { host } = testHost();
  const home = homeLayout(dir.path);
  assertEquals([await isFirstFullRun(host, home), await isFirstFullRun(host, home)], [true, false]);
});
