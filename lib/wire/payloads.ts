/** What goes over the wire between a daemon and a server of the Multica daemon protocol: shapes, and decoders for what comes in. */
import * as z from "zod";

/** Absent, null and wrong-typed optional fields all count as absent: both sides of the protocol rely on that to evolve. */
const text = z.string().catch("");
const flag = z.boolean().catch(false);
const count = z.number().int().catch(0);

export const RegisterRequest = z.object({
  workspace_id: text,
  daemon_id: text,
  device_name: text,
  cli_version: text,
  launched_by: text,
  legacy_daemon_ids: z.array(z.string()).catch([]),
  runtimes: z.array(
    z.object({ type: text, name: text, version: text, status: text, profile_id: z.string().optional() }),
  )
    .catch([]),
  failed_profiles: z.array(z.object({ profile_id: text, command_name: text, reason: text })).catch([]),
});
export type RegisterRequest = z.infer<typeof RegisterRequest>;

export const RuntimeRow = z.object({
  id: z.string().min(1),
  name: text,
  provider: text,
  status: text,
  profile_id: z.string().nullish().catch(null),
});
export type RuntimeRow = z.infer<typeof RuntimeRow>;

export const RegisterResponse = z.object({
  runtimes: z.array(RuntimeRow),
  /** drover's own: what a coordinator can do beyond the protocol, e.g. `message-dedup-v1`. */
  server_capabilities: z.array(z.string()).catch([]),
});
export type RegisterResponse = z.infer<typeof RegisterResponse>;

/** The server stores a message once per (task, seq), so that a batch of unknown fate may be sent again. */
export const MESSAGE_DEDUP = "message-dedup-v1";

export const HeartbeatRequest = z.object({ runtime_id: text, supports_batch_import: flag });
export const HeartbeatResponse = z.object({ status: text });

export const WorkspaceList = z.array(z.object({ id: z.string().min(1), name: text }));
export type WorkspaceList = z.infer<typeof WorkspaceList>;

export const ClaimRequest = z.object({
  daemon_id: text,
  runtime_ids: z.array(z.string()).catch([]),
  max_tasks: z.number().int(),
  /** drover's own: only tasks submitted through this instance (the in-process `run`). */
  submitted_to: z.string().optional(),
});
export type ClaimRequest = z.infer<typeof ClaimRequest>;

export const DirectoryPayload = z.object({
  mode: z.enum(["in-place", "worktree", "scratch"]),
  path: z.string().optional(),
});

export const ClaimedTask = z.object({
  id: z.string().min(1),
  agent_id: text,
  runtime_id: text,
  workspace_id: text,
  issue_id: text,
  thread_name: text,
  auth_token: text,
  attempt: count,
  agent: z.object({
    id: text,
    name: text,
    instructions: text,
    model: text,
    custom_env: z.record(z.string(), z.string()).nullish().catch(null),
    custom_args: z.array(z.string()).nullish().catch(null),
  }).nullish().catch(null),
  prior_session_id: text,
  prior_work_dir: text,
  /** drover's own fields: the prompt itself, where to work, what is allowed, how long. */
  prompt: text,
  directory: DirectoryPayload.nullish().catch(null),
  permission: z.enum(["full", "read-only"]).catch("full"),
  time_limit_ms: count,
});
export type ClaimedTask = z.infer<typeof ClaimedTask>;

/** Servers written in Go send null for a list without elements. */
const listOf = <T extends z.ZodType>(item: T) => z.array(item).nullable().transform((list) => list ?? []);

export const ClaimResponse = z.object({ tasks: listOf(ClaimedTask) });
export const SingleClaimResponse = z.object({ task: ClaimedTask.nullable() });

export const TaskRow = z.object({ id: text, status: text });
export type TaskRow = z.infer<typeof TaskRow>;

export const StatusResponse = z.object({ status: text });

export const WireMessage = z.object({
  seq: z.number().int().min(1),
  type: text,
  tool: text,
  content: text,
  output: text,
  input: z.record(z.string(), z.unknown()).nullish().catch(null),
  /** drover's own: ties a tool's result to its use. */
  call_id: text,
});
export type WireMessage = z.infer<typeof WireMessage>;
export const MessagesRequest = z.object({ messages: z.array(WireMessage) });

export const WireUsage = z.object({
  provider: text,
  model: text,
  input_tokens: count,
  output_tokens: count,
  cache_read_tokens: count,
  cache_write_tokens: count,
  cost_usd_ticks: count,
});
export type WireUsage = z.infer<typeof WireUsage>;
export const UsageRequest = z.object({ usage: z.array(WireUsage) });

export const SessionRequest = z.object({ session_id: text, work_dir: text });
export const ProgressRequest = z.object({ summary: text, step: count, total: count });

export const CompleteRequest = z.object({
  output: text,
  session_id: text,
  work_dir: text,
  branch_name: text,
  durable_work_dir: text,
  session_rollout_missing: flag,
  retired_session_id: text,
  pr_url: text,
});
export type CompleteRequest = z.infer<typeof CompleteRequest>;

export const FailRequest = z.object({
  error: text,
  failure_reason: text,
  session_id: text,
  work_dir: text,
  branch_name: text,
  durable_work_dir: text,
  session_rollout_missing: flag,
  retired_session_id: text,
});
export type FailRequest = z.infer<typeof FailRequest>;

export const WaitRequest = z.object({ reason: text });

export const CancelAckRequest = z.object({
  branch_name: text,
  durable_work_dir: text,
  error_message: text,
  failure_reason: text,
});

export const RecoverResponse = z.object({ orphaned: count, retried: count });
export const DeregisterRequest = z.object({ runtime_ids: z.array(z.string()).catch([]) });

export const ErrorBody = z.object({ error: text, code: z.string().optional() });
