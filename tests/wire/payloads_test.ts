/** The decoders: what is unknown, absent, null or of another type must never cost a call. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import * as payloads from "../../lib/wire/payloads.ts";

const WRONG = [null, 3.5, "text", true, [], {}, [null], { x: null }];

/** The optional fields of a claim by what stands for an absent one. */
const CLAIM: readonly (readonly [zero: unknown, names: string])[] = [
  [
    "",
    "agent_id runtime_id workspace_id issue_id thread_name auth_token prior_session_id prior_work_dir kind " +
    "trigger_comment_id trigger_comment_content trigger_thread_id trigger_author_type trigger_author_name " +
    "new_comments_since chat_session_id chat_message chat_type autopilot_run_id autopilot_id autopilot_title " +
    "autopilot_description autopilot_source quick_create_prompt quick_create_priority quick_create_due_date " +
    "parent_issue_id parent_issue_identifier handoff_note squad_name workspace_context requesting_user_name " +
    "requesting_user_profile_description initiator_type initiator_name project_id project_title " +
    "project_description prompt",
  ],
  [0, "attempt new_comment_count issue_statuses_omitted time_limit_ms"],
  [false, "prior_session_resume_unavailable is_leader_task sandbox"],
  [
    [],
    "coalesced_comments chat_message_attachments quick_create_attachment_ids active_sibling_runs issue_statuses " +
    "connected_apps repos project_resources",
  ],
];

function zeros(table: typeof CLAIM): Record<string, unknown> {
  return Object.fromEntries(table.flatMap(([zero, names]) => names.split(" ").map((name) => [name, zero])));
}

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
  ClaimedTask: [{ id: "t" }, { id: "t", ...zeros(CLAIM), permission: "full" }],
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

Deno.test("the decoders take null as absent, and as the zero value, where another type is refused", () => {
  const zero: [keyof typeof payloads, Record<string, unknown>][] = [
    ["ClaimRequest", { daemon_id: "", runtime_ids: [], max_tasks: 0 }],
    ["MessagesRequest", { messages: [] }],
    ["UsageRequest", { usage: [] }],
  ];
  for (const [name, read] of zero) {
    const nulls = Object.fromEntries(Object.keys(read).map((field) => [field, null]));
    for (const value of [{}, nulls]) assertEquals(decoder(name).parse(value), read, name);
  }
  assertEquals(payloads.ClaimRequest.parse({ submitted_to: null }).submitted_to, undefined);
});

Deno.test("RegisterRequest takes a runtime whose profile is null, or of another type, as one without", () => {
  for (const wrong of [undefined, ...WRONG.filter((value) => typeof value !== "string")]) {
    const runtimes = [{ type: "claude", profile_id: wrong }, { type: "codex", profile_id: "p" }];
    const read = payloads.RegisterRequest.parse({ runtimes }).runtimes;
    assertEquals(read.map(({ type, profile_id }) => [type, profile_id]), [["claude", undefined], ["codex", "p"]]);
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
    ["ClaimRequest", { max_tasks: "1" }],
    ["ClaimRequest", { max_tasks: 1.5 }],
    ["MessagesRequest", { messages: [{ seq: 1 }, { seq: 0 }] }],
    ["MessagesRequest", { messages: "all" }],
    ["UsageRequest", { usage: [null] }],
    ["TaskRow", null],
    ["StatusResponse", []],
  ];
  for (const [name, value] of refused) assertThrows(() => decoder(name).parse(value), Error);
});

Deno.test("ClaimResponse takes a list that is null as an empty one, as servers written in Go send it, and the tasks that can be read", () => {
  assertEquals(payloads.ClaimResponse.parse({ tasks: null }), { tasks: [] });
  const { tasks } = payloads.ClaimResponse.parse({ tasks: [{}, null, { id: "t" }, { id: 7 }] });
  assertEquals(tasks.map(({ id }) => id), ["t"]);
  for (const none of [{}, [{ id: "" }]]) assertThrows(() => payloads.ClaimResponse.parse({ tasks: none }));
  assert(payloads.SingleClaimResponse.parse({ task: null }).task === null);
});

Deno.test("ClaimedTask keeps the elements of a list that can be read when others cannot", () => {
  const task = payloads.ClaimedTask.parse({
    id: "t",
    coalesced_comments: [7, { id: "c1", content: "first", author_name: null }, "x"],
    quick_create_attachment_ids: ["a", 1, "b"],
    repos: null,
    agent: { id: "a", skill_refs: [null, { id: "s", source: "workspace", hash: "sha256:00" }] },
  });
  assertEquals(task.coalesced_comments.map(({ id, content, author_name }) => [id, content, author_name]), [
    ["c1", "first", ""],
  ]);
  assertEquals([task.quick_create_attachment_ids, task.repos], [["a", "b"], []]);
  assertEquals(task.agent!.skill_refs, [{ id: "s", source: "workspace", hash: "sha256:00", name: "", size_bytes: 0 }]);
});

Deno.test("ClaimedTask reads a project resource of any kind, and what a local directory says", () => {
  const ref = { local_path: "/src/app", daemon_id: "d", execution_mode: "worktree" };
  const { project_resources } = payloads.ClaimedTask.parse({
    id: "t",
    project_resources: [
      { id: "1", resource_type: "local_directory", resource_ref: ref, label: "app" },
      { id: "2", resource_type: "link", resource_ref: "https://example.test" },
      { id: "3", resource_type: "github_repo", resource_ref: { url: "https://example.test/r.git" } },
    ],
  });
  assertEquals(project_resources.map(({ resource_type, resource_ref }) => [resource_type, resource_ref.local_path]), [
    ["local_directory", "/src/app"],
    ["link", ""],
    ["github_repo", ""],
  ]);
  assertEquals(project_resources[2]!.resource_ref.url, "https://example.test/r.git");
});
