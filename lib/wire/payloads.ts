/** What goes over the wire between a daemon and a server of the Multica daemon protocol: shapes, and decoders for what comes in. */
import * as z from "zod/mini";
import { ClaimedTask } from "./claim.ts";

export { ClaimedTask, DirectoryPayload, RepoPayload, type Skill, SkillPayload, type SkillRef } from "./claim.ts";

// Lazy throughout: to build every schema costs more than all else that a short command does.

/** Absent, null and wrong-typed optional fields all count as absent: both sides of the protocol rely on that to evolve. */
const text = z.catch(z.string(), "");
const flag = z.catch(z.boolean(), false);
const count = z.catch(z.int(), 0);
const word = z.catch(z.optional(z.string()), undefined);
/** All or none of them: what cannot be read is refused, so that nothing is lost unsaid. Null as in `claimedTasks`. */
export function listOf<T extends z.ZodMiniType>(item: T, { max = Infinity } = {}) {
  return z.pipe(z.nullish(z.array(item).check(z.maxLength(max))), z.transform((list) => list ?? []));
}

export const RegisterRequest = z.lazy(() =>
  z.object({
    workspace_id: text,
    daemon_id: text,
    device_name: text,
    cli_version: text,
    launched_by: text,
    legacy_daemon_ids: z.catch(z.array(z.string()), []),
    runtimes: z.catch(
      z.array(
        z.object({ type: text, name: text, version: text, status: text, profile_id: word }),
      ),
      [],
    ),
    failed_profiles: z.catch(z.array(z.object({ profile_id: text, command_name: text, reason: text })), []),
  })
);
export type RegisterRequest = z.infer<typeof RegisterRequest>;

export const RuntimeRow = z.lazy(() =>
  z.object({
    id: z.string().check(z.minLength(1)),
    name: text,
    provider: text,
    status: text,
    profile_id: z.catch(z.nullish(z.string()), null),
  })
);
export type RuntimeRow = z.infer<typeof RuntimeRow>;

export const RegisterResponse = z.lazy(() =>
  z.object({
    runtimes: z.array(RuntimeRow),
    /** drover's own: what a coordinator can do beyond the protocol, e.g. `message-dedup-v1`. */
    server_capabilities: z.catch(z.array(z.string()), []),
  })
);
export type RegisterResponse = z.infer<typeof RegisterResponse>;

/** The server stores a message once per (task, seq), so that a batch of unknown fate may be sent again. */
export const MESSAGE_DEDUP = "message-dedup-v1";

export const HeartbeatRequest = z.lazy(() => z.object({ runtime_id: text, supports_batch_import: flag }));
export const HeartbeatResponse = z.lazy(() => z.object({ status: text }));

export const WorkspaceList = z.lazy(() => z.array(z.object({ id: z.string().check(z.minLength(1)), name: text })));
export type WorkspaceList = z.infer<typeof WorkspaceList>;

export const ClaimRequest = z.lazy(() =>
  z.object({
    daemon_id: text,
    runtime_ids: z.catch(z.array(z.string()), []),
    max_tasks: z.pipe(z.nullish(z.int()), z.transform((count) => count ?? 0)),
    /** drover's own: only tasks submitted through this instance (the in-process `run`). */
    submitted_to: word,
  })
);
export type ClaimRequest = z.infer<typeof ClaimRequest>;

/**
 * Servers written in Go send null for a list without elements. What has no id cannot be run or reported, and must not
 * cost the others of its batch, which would come with it again and again.
 */
const claimedTasks = z.pipe(
  z.nullable(z.array(z.unknown())),
  z.transform((list, { issues }) => {
    const tasks = (list ?? []).flatMap((one) => ClaimedTask.safeParse(one).data ?? []);
    // Where all are like that it is not the protocol, and is to be seen.
    if (list?.length && tasks.length === 0) issues.push({ code: "custom", input: list, message: "no task has an id" });
    return tasks;
  }),
);

export const ClaimResponse = z.lazy(() => z.object({ tasks: claimedTasks }));
export const SingleClaimResponse = z.lazy(() => z.object({ task: z.nullable(ClaimedTask) }));

export const TaskRow = z.lazy(() => z.object({ id: text, status: text }));
export type TaskRow = z.infer<typeof TaskRow>;

export const StatusResponse = z.lazy(() => z.object({ status: text }));

export const WireMessage = z.lazy(() =>
  z.object({
    seq: z.int().check(z.gte(1)),
    type: text,
    tool: text,
    content: text,
    output: text,
    input: z.catch(z.nullish(z.record(z.string(), z.unknown())), null),
    /** drover's own: ties a tool's result to its use. */
    call_id: text,
  })
);
export type WireMessage = z.infer<typeof WireMessage>;
export const MessagesRequest = z.lazy(() => z.object({ messages: listOf(WireMessage) }));

export const WireUsage = z.lazy(() =>
  z.object({
    provider: text,
    model: text,
    input_tokens: count,
    output_tokens: count,
    cache_read_tokens: count,
    cache_write_tokens: count,
    cost_usd_ticks: count,
  })
);
export type WireUsage = z.infer<typeof WireUsage>;
export const UsageRequest = z.lazy(() => z.object({ usage: listOf(WireUsage) }));

export const SessionRequest = z.lazy(() => z.object({ session_id: text, work_dir: text }));
export const ProgressRequest = z.lazy(() => z.object({ summary: text, step: count, total: count }));

export const CompleteRequest = z.lazy(() =>
  z.object({
    output: text,
    session_id: text,
    work_dir: text,
    branch_name: text,
    durable_work_dir: text,
    session_rollout_missing: flag,
    retired_session_id: text,
    pr_url: text,
  })
);
export type CompleteRequest = z.infer<typeof CompleteRequest>;

export const FailRequest = z.lazy(() =>
  z.object({
    error: text,
    failure_reason: text,
    session_id: text,
    work_dir: text,
    branch_name: text,
    durable_work_dir: text,
    session_rollout_missing: flag,
    retired_session_id: text,
  })
);
export type FailRequest = z.infer<typeof FailRequest>;

export const WaitRequest = z.lazy(() => z.object({ reason: text }));

export const CancelAckRequest = z.lazy(() =>
  z.object({
    branch_name: text,
    durable_work_dir: text,
    error_message: text,
    failure_reason: text,
  })
);

export const RecoverResponse = z.lazy(() => z.object({ orphaned: count, retried: count }));
export const DeregisterRequest = z.lazy(() => z.object({ runtime_ids: z.catch(z.array(z.string()), []) }));

export const ErrorBody = z.lazy(() => z.object({ error: text, code: z.optional(z.string()) }));
