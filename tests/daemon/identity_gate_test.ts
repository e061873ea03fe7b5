/** The identity gate: whose task is run here, and that no server gets more than the owner allowed. */
import { assert, assertEquals } from "@std/assert";
import type { Permission } from "../../lib/core/model.ts";
import { admit } from "../../lib/daemon/identity_gate.ts";
import type { RegisteredRuntime } from "../../lib/daemon/connection.ts";
import type { Consent } from "../../lib/daemon/daemon_contract.ts";
import { ClaimedTask } from "../../lib/wire/payloads.ts";

const REGISTERED: RegisteredRuntime = {
  id: "r1",
  workspace: "w1",
  name: "bot",
  runtime: { provider: "bot", family: "plain-text", executable: "/bin/bot", fixedArgs: [], version: "" },
};
const RUNTIMES = new Map([["r1", REGISTERED]]);

function claimed(change: Record<string, unknown> = {}): ClaimedTask {
  return ClaimedTask.parse({
    id: "t1",
    agent_id: "a1",
    runtime_id: "r1",
    workspace_id: "w1",
    auth_token: "mat_1",
    agent: { id: "a1", name: "A" },
    ...change,
  });
}

function owner(word: { readonly policy: Permission } | undefined): Consent {
  return {
    watched: (id) => id === "w1" ? word : { policy: "full" },
    found() {},
    onChange: () => ({ [Symbol.dispose]() {} }),
  };
}

Deno.test("admit() narrows what a server's task may do to the owner's word, and never widens it", () => {
  const cases: readonly (readonly [Permission, Permission | undefined, Permission])[] = [
    ["ask", "full", "ask"],
    ["ask", undefined, "ask"],
    ["read-only", "full", "read-only"],
    ["full", "ask", "ask"],
    ["full", undefined, "full"],
    ["ask", "read-only", "read-only"],
  ];
  for (const [policy, asked, got] of cases) {
    const admitted = admit(claimed({ permission: asked }), { runtimes: RUNTIMES, consent: owner({ policy }) });
    assert(admitted.kind === "admitted");
    assertEquals(admitted.task.permission, got, `${asked} under ${policy}`);
  }
});

Deno.test("admit() leaves the tasks of this machine as they are", () => {
  const admitted = admit(claimed({ permission: "full" }), { runtimes: RUNTIMES });
  assert(admitted.kind === "admitted");
  assertEquals(admitted.task.permission, "full");
});

Deno.test("admit() refuses what the owner does not watch, whatever the task says of itself", () => {
  for (const workspace_id of ["w1", "w2"]) {
    const refused = admit(claimed({ workspace_id }), { runtimes: RUNTIMES, consent: owner(undefined) });
    assertEquals(refused.kind === "failed" && refused.reason, "runtime_offline", workspace_id);
  }
});

Deno.test("admit() refuses every task with a token that is not its own", () => {
  for (const auth_token of ["", "mul_1", "mdt_1", "eyJhbGciOi"]) {
    const refused = admit(claimed({ auth_token }), { runtimes: RUNTIMES, consent: owner({ policy: "full" }) });
    assertEquals(refused.kind === "failed" && refused.reason, "invalid_task_identity", auth_token);
  }
});
