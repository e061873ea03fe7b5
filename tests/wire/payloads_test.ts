/** The decoders: what is unknown, absent, null or of another type must never cost a call. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import * as payloads from "../../lib/wire/payloads.ts";

const WRONG = [null, 3.5, "text", true, [], {}, [null], { x: null }];

/** Each decoder with the least it takes, and what it makes of that. */
const LEAST: Partial<Record<keyof typeof payloads, [least: unknown, read: unknown]>> = {
  RegisterRequest: [{}, {
    workspace_id: "",
    daemon_id: "",
    device_name: "",
    cli_version: "",
    launched_by: "",
    legacy_daemon_ids: [],
    runtimes: [],
    failed_profiles: [],
  }],
  RegisterResponse: [{ runtimes: [{ id: "r" }] }, {
    runtimes: [{ id: "r", name: "", provider: "", status: "" }],
    server_capabilities: [],
  }],
  HeartbeatRequest: [{}, { runtime_id: "", supports_batch_import: false }],
  HeartbeatResponse: [{}, { status: "" }],
  WorkspaceList: [[{ id: "w" }], [{ id: "w", name: "" }]],
  ClaimRequest: [{ max_tasks: 1 }, { daemon_id: "", runtime_ids: [], max_tasks: 1 }],
  ClaimedTask: [{ id: "t" }, {
    id: "t",
    agent_id: "",
    runtime_id: "",
    workspace_id: "",
    issue_id: "",
    thread_name: "",
    auth_token: "",
    attempt: 0,
    prior_session_id: "",
    prior_work_dir: "",
    prompt: "",
    permission: "full",
    sandbox: false,
    time_limit_ms: 0,
  }],
  TaskRow: [{}, { id: "", status: "" }],
  StatusResponse: [{}, { status: "" }],
  WireMessage: [{ seq: 1 }, { seq: 1, type: "", tool: "", content: "", output: "", call_id: "" }],
  WireUsage: [{}, {
    provider: "",
    model: "",
    input_tokens: 0,
    output_tokens: 0,
    cache_read_tokens: 0,
    cache_write_tokens: 0,
    cost_usd_ticks: 0,
  }],
  SessionRequest: [{}, { session_id: "", work_dir: "" }],
  ProgressRequest: [{}, { summary: "", step: 0, total: 0 }],
  FailRequest: [{}, {
    error: "",
    failure_reason: "",
    session_id: "",
    work_dir: "",
    branch_name: "",
    durable_work_dir: "",
    session_rollout_missing: false,
    retired_session_id: "",
  }],
  CancelAckRequest: [{}, { branch_name: "", durable_work_dir: "", error_message: "", failure_reason: "" }],
  RecoverResponse: [{}, { orphaned: 0, retried: 0 }],
  DeregisterRequest: [{}, { runtime_ids: [] }],
};

type Decoder = { parse(value: unknown): unknown };
const decoder = (name: string) => payloads[name as keyof typeof payloads] as unknown as Decoder;

Deno.test("the decoders take absent optional fields as their zero values", () => {
  for (const [name, [least, read]] of Object.entries(LEAST)) assertEquals(decoder(name).parse(least), read, name);
});

Deno.test("the decoders drop unknown fields", () => {
  for (const [name, [least, read]] of Object.entries(LEAST)) {
    if (Array.isArray(least)) continue;
    assertEquals(decoder(name).parse({ ...least as object, added_in_2030: { a: 1 } }), read, name);
  }
});

Deno.test("the decoders take null and wrong types in optional fields as absent", () => {
  for (const [name, [least, read]] of Object.entries(LEAST)) {
    if (Array.isArray(least)) continue;
    const optional = Object.keys(read as object).filter((key) => !(key in (least as object)));
    for (const field of optional) {
      for (const wrong of WRONG) {
        if (typeof wrong === typeof (read as Record<string, unknown>)[field]) continue;
        const value = decoder(name).parse({ ...least as object, [field]: wrong }) as Record<string, unknown>;
        assertEquals(
          value[field],
          (read as Record<string, unknown>)[field],
          `${name}.${field} = ${JSON.stringify(wrong)}`,
        );
      }
    }
  }
});

Deno.test("ClaimedTask takes a broken agent, directory or permission as absent", () => {
  for (const wrong of WRONG) {
    const task = payloads.ClaimedTask.parse({ id: "t", directory: wrong, permission: wrong });
    assertEquals([task.directory, task.permission], [null, "full"], JSON.stringify(wrong));
  }
  assertEquals(payloads.ClaimedTask.parse({ id: "t", agent: "bot" }).agent, null);
  const agent =
    payloads.ClaimedTask.parse({ id: "t", agent: { id: "a", custom_env: { A: 1 }, custom_args: "x" } }).agent;
  assertEquals(agent, {
    id: "a",
    name: "",
    instructions: "",
    model: "",
    thinking_level: "",
    custom_env: null,
    custom_args: null,
  });
});

Deno.test("ClaimedTask keeps a claim as a server sends it", () => {
  const task = payloads.ClaimedTask.parse({
    id: "t",
    agent_id: "a",
    agent: { id: "a", name: "Bot", instructions: "Be brief.", skills: [], custom_env: { A: "1" }, custom_args: ["-x"] },
    directory: { mode: "worktree", path: "/r" },
    permission: "read-only",
    attempt: 2,
    time_limit_ms: 60_000,
    status: "dispatched",
  });
  assertEquals([task.attempt, task.permission, task.time_limit_ms], [2, "read-only", 60_000]);
  assertEquals(task.directory, { mode: "worktree", path: "/r" });
  assertEquals(task.agent!.custom_env, { A: "1" });
});

Deno.test("the decoders refuse what has no identity", () => {
  const refused: [keyof typeof payloads, unknown][] = [
    ["ClaimedTask", {}],
    ["ClaimedTask", { id: "" }],
    ["ClaimedTask", { id: 7 }],
    ["RegisterResponse", {}],
    ["RegisterResponse", { runtimes: [{ id: "" }] }],
    ["WorkspaceList", [{ name: "mine" }]],
    ["WireMessage", { seq: 0 }],
    ["WireMessage", { seq: 1.5 }],
    ["ClaimRequest", { daemon_id: "d" }],
    ["TaskRow", null],
    ["StatusResponse", []],
  ];
  for (const [name, value] of refused) assertThrows(() => decoder(name).parse(value), Error);
});

Deno.test("ClaimResponse takes a list that is null as an empty one, as servers written in Go send it", () => {
  assertEquals(payloads.ClaimResponse.parse({ tasks: null }), { tasks: [] });
  assert(payloads.SingleClaimResponse.parse({ task: null }).task === null);
});
