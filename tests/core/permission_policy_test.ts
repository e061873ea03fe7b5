/** Permissions: the default of each directory, what gives way to what, and that a server only ever tightens. */
import { assertEquals } from "@std/assert";
import { PERMISSIONS } from "../../lib/core/model.ts";
import { choosePermission, defaultPermission, narrowest, tighten } from "../../lib/core/permission_policy.ts";

Deno.test("defaultPermission() asks in the user's own directory, and is full in one of the task's own", () => {
  const modes = ["in-place", "worktree", "scratch"] as const;
  assertEquals(modes.map(defaultPermission), ["ask", "full", "full"]);
});

Deno.test("tighten() takes what the server asks for only where that is less, and the owner's where it asks for nothing", () => {
  const rows = PERMISSIONS.map((owner) => [...PERMISSIONS, undefined].map((requested) => tighten(owner, requested)));
  assertEquals(rows, [
    ["full", "ask", "read-only", "full"],
    ["ask", "ask", "read-only", "ask"],
    ["read-only", "read-only", "read-only", "read-only"],
  ]);
});

Deno.test("narrowest() is the least of what an agent can promise, and nothing where that is more than the limit", () => {
  const rows = [PERMISSIONS, ["full", "ask"], ["full"], []] as const;
  const least = rows.map((able) => (["full", "ask", "read-only"] as const).map((limit) => narrowest(able, limit)));
  assertEquals(least, [
    ["read-only", "read-only", "read-only"],
    ["ask", "ask", undefined],
    ["full", undefined, undefined],
    [undefined, undefined, undefined],
  ]);
});

Deno.test("choosePermission() keeps what the agent can promise", () => {
  const able = PERMISSIONS;
  assertEquals(choosePermission("in-place", { able }), { kind: "chosen", permission: "ask" });
  assertEquals(choosePermission("in-place", { able, named: "full" }), { kind: "chosen", permission: "full" });
  assertEquals(choosePermission("scratch", { able, named: "read-only" }), { kind: "chosen", permission: "read-only" });
});

Deno.test("choosePermission() narrows a default, and refuses what was named or would have to be wider", () => {
  const narrowed = choosePermission("in-place", { able: ["full", "read-only"] });
  assertEquals(narrowed, { kind: "narrowed", permission: "read-only", from: "ask" });
  assertEquals(choosePermission("scratch", { able: ["read-only", "ask"] }), {
    kind: "narrowed",
    permission: "ask",
    from: "full",
  });
  assertEquals(choosePermission("in-place", { able: ["full"] }), { kind: "refused", wanted: "ask" });
  assertEquals(choosePermission("scratch", { able: ["full", "read-only"], named: "ask" }), {
    kind: "refused",
    wanted: "ask",
  });
});
