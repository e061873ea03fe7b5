/** The rules of a team's task: which directory is meant, what an agent's end means, and who may bring no token. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Outcome } from "../../lib/core/message.ts";
import type { Permission } from "../../lib/core/model.ts";
import { admit } from "../../lib/daemon/identity_gate.ts";
import { ownDirectory } from "../../lib/daemon/project_directory.ts";
import { teamOf } from "../../lib/daemon/task_preparation.ts";
import { taskEnv } from "../../lib/daemon/task_env.ts";
import { verdict, wantsNoWork } from "../../lib/daemon/verdict.ts";
import type { Consent } from "../../lib/daemon/daemon_contract.ts";
import { claimed, fakeConnection, registered } from "./fake_connection.ts";

Deno.test("ownDirectory() takes the first directory of this very machine, in its mode", () => {
  const local = (daemon_id: string, local_path: string, execution_mode = "") => ({
    resource_type: "local_directory",
    resource_ref: { daemon_id, local_path, execution_mode },
  });
  const of = (...project_resources: unknown[]) => ownDirectory(claimed("t", { project_resources }), "Me-1");
  assertEquals(of(), undefined);
  assertEquals(of(local("you", "/a"), local("", "/b"), { resource_type: "link", resource_ref: "x" }), undefined);
  assertEquals(of(local("you", "/a"), local("me-1", ""), local("ME-1", "/c"), local("me-1", "/d")), {
    mode: "in-place",
    path: "/c",
  });
  assertEquals(of(local("me-1", "/c", "worktree")), { mode: "worktree", path: "/c" });
  assertEquals(of(local("me-1", "/c", "in_place")), { mode: "in-place", path: "/c" });
});

Deno.test("verdict() leaves a failure as it is, and takes an empty or blocked end for one where that is meant", () => {
  const failed: Outcome = { kind: "failed", reason: "timeout", detail: "BLOCKED:" };
  const rows: readonly (readonly [claim: Record<string, unknown>, said: string, reason: string | undefined])[] = [
    [{ issue_id: "i" }, "done", undefined],
    [{ issue_id: "i" }, "It is not BLOCKED: all is well", undefined],
    [{ issue_id: "i" }, "", "agent_error.empty_or_unparseable_output"],
    [{ issue_id: "i", trigger_comment_id: "c" }, "\n", "agent_error.empty_or_unparseable_output"],
    [{ issue_id: "i" }, "  BLOCKED:", "agent_blocked"],
    [{ issue_id: "i", chat_session_id: "s" }, "", undefined],
    [{ autopilot_run_id: "r" }, "", undefined],
    [{ autopilot_run_id: "r" }, "BLOCKED: no key", "agent_blocked"],
    [{ quick_create_prompt: "q" }, "", undefined],
  ];
  for (const [claim, output, reason] of rows) {
    const outcome = verdict(claimed("t", claim), { kind: "completed", output, sessionId: "s" });
    assertEquals(outcome.kind === "failed" ? outcome.reason : undefined, reason, JSON.stringify([claim, output]));
    assertEquals(outcome.sessionId, "s");
  }
  assertEquals(verdict(claimed("t", { issue_id: "i" }), failed), failed);
});

Deno.test("wantsNoWork() takes any value for a wish, and no value for none", () => {
  const wants = (value?: unknown) => wantsNoWork(claimed("t", { regenerate_quick_actions_for: value }));
  assertEquals(["m1", { id: "m" }, true].map(wants), [true, true, true]);
  assertEquals([undefined, null, "", false].map(wants), [false, false, false, false]);
});

Deno.test("admit() takes a task without a token from an old server only", () => {
  const of = (old: boolean, auth_token: string) =>
    admit(claimed("t", { auth_token }), fakeConnection({ runtimes: ["r"], client: { old } })).kind;
  assertEquals([of(true, ""), of(false, ""), of(true, "mul_1"), of(false, "mat_1")], [
    "admitted",
    "failed",
    "failed",
    "admitted",
  ]);
});

function owner(policy: Permission): Consent {
  return { watched: () => ({ policy }), found() {}, onChange: () => ({ [Symbol.dispose]() {} }) };
}

Deno.test("admit() refuses a task whose agent cannot promise what it may do here, and changes no permission for it", () => {
  const rows:
    readonly (readonly [owners: Permission, asked: Permission | undefined, able: Permission[], got: string])[] = [
      ["ask", undefined, ["full"], "agent_error.missing_config"],
      ["ask", undefined, ["full", "read-only"], "agent_error.missing_config"],
      ["ask", "full", ["full", "read-only"], "agent_error.missing_config"],
      ["read-only", "full", ["full", "ask"], "agent_error.missing_config"],
      ["full", "ask", ["full", "read-only"], "agent_error.missing_config"],
      ["full", undefined, [], "agent_error.missing_config"],
      ["full", undefined, ["full"], "full"],
      ["ask", "full", ["full", "ask"], "ask"],
      ["full", "read-only", ["read-only"], "read-only"],
    ];
  for (const [policy, permission, able, got] of rows) {
    const connection = fakeConnection({ runtimes: ["r"], consent: owner(policy) });
    const answer = admit(claimed("t", { permission }), connection, { able: () => able });
    const what = answer.kind === "admitted" ? answer.task.permission : answer.reason;
    assertEquals(what, got, JSON.stringify([policy, permission, able]));
  }
});

Deno.test("admit() says what cannot be promised, what can, and who can change it", () => {
  const text = (policy: Permission, permission?: Permission) => {
    const connection = fakeConnection({ runtimes: ["r"], consent: owner(policy) });
    const answer = admit(claimed("t", { permission }), connection, { able: () => ["full", "read-only"] });
    assert(answer.kind === "failed");
    return answer.detail;
  };
  for (const words of ["r cannot promise ask", "full or read-only", "--workspace w --policy full"]) {
    assertStringIncludes(text("ask"), words);
  }
  // What the task itself wants is not the owner's to change.
  assert(!text("full", "ask").includes("--policy"));
});

Deno.test("admit() runs a command of the server's choosing only where the owner allows everything", () => {
  const { runtime, ...row } = registered("r");
  const custom = new Map([["r", { ...row, runtime: { ...runtime, profile: { id: "p", name: "P" } } }]]);
  for (const [policy, got] of [["full", "admitted"], ["ask", "failed"], ["read-only", "failed"]] as const) {
    const answer = admit(claimed("t"), { runtimes: custom, consent: owner(policy) });
    assertEquals(answer.kind, got, policy);
    if (answer.kind === "failed") assertEquals(answer.reason, "agent_error.missing_config");
  }
  // A task that wants less of what everything is allowed to is no reason.
  assertEquals(
    admit(claimed("t", { permission: "ask" }), { runtimes: custom, consent: owner("full") }).kind,
    "admitted",
  );
  assertEquals(admit(claimed("t"), { runtimes: custom }).kind, "admitted", "the owner's own");
});

Deno.test("teamOf() is set for a wish in the server's fields, not for a prompt of drover's own", () => {
  const remote = { remote: true };
  assertEquals(teamOf(claimed("t", { prompt: "" }), remote), "with-token");
  assertEquals(teamOf(claimed("t", { prompt: "", auth_token: "" }), remote), "without-token");
  assertEquals(teamOf(claimed("t", { prompt: "do it" }), remote), undefined);
  assertEquals(teamOf(claimed("t", { prompt: "" }), { remote: false }), undefined);
});

const OPTIONS = {
  inherited: { PATH: "/bin", MULTICA_TOKEN: "mul_users_own", MULTICA_SERVER_URL: "http://users.test" },
  sessionVariables: [],
  secrets: [],
  adapter: {},
  home: { root: "/h", bin: "/h/bin", workspaces: "/h/w" },
  slot: 3,
};

Deno.test("taskEnv() says each thing of the kind of task, and nothing of the user's own server", () => {
  const server = { remote: true, serverUrl: "http://team.test" };
  const multica = (claim: Record<string, unknown>, more = {}) =>
    Object.fromEntries(
      Object.entries(taskEnv(claimed("t", claim), server, { ...OPTIONS, ...more }))
        .filter(([name]) => name.startsWith("MULTICA_"))
        .map(([name, value]) => [name.slice("MULTICA_".length), value]),
    );
  const always = {
    TOKEN: "mat_0123",
    SERVER_URL: "http://team.test",
    WORKSPACE_ID: "w",
    AGENT_ID: "a",
    AGENT_NAME: "bot",
    TASK_ID: "t",
    TASK_SLOT: "3",
    TASK_WORKSPACES_ROOT: "/h/w",
  };
  assertEquals(multica({}), always);
  assertEquals(multica({}, { port: 4711 }), { ...always, DAEMON_PORT: "4711" });
  const { TOKEN: _, ...tokenless } = always;
  assertEquals(multica({ auth_token: "" }), tokenless);
  assertEquals(multica({ autopilot_run_id: "r", autopilot_id: "p" }), {
    ...always,
    AUTOPILOT_RUN_ID: "r",
    AUTOPILOT_ID: "p",
  });
  assertEquals(multica({ quick_create_prompt: "q", quick_create_attachment_ids: ["x"] }), {
    ...always,
    QUICK_CREATE_TASK_ID: "t",
    QUICK_CREATE_ATTACHMENT_IDS: '["x"]',
  });
});

Deno.test("taskEnv() of our own server has nothing of another's", () => {
  const env = taskEnv(claimed("t"), { remote: false, serverUrl: "http://embedded" }, OPTIONS);
  assertEquals(Object.keys(env).filter((name) => name.startsWith("MULTICA_") || name.endsWith("SERVER_URL")), []);
  assertEquals([env.DROVER_TOKEN, env.DROVER_HOME, env.DROVER_TASK_SLOT], ["mat_0123", "/h", "3"]);
});
