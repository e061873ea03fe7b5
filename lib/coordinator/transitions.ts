/** The moves of a task that its daemon or user asks for: start, complete, fail, cancel and what a failure leads to. */
import { decideRetry, isResumeUnsafe } from "../core/failure.ts";
import { LEASE } from "../core/lease.ts";
import { redactText } from "../core/redact.ts";
import type { TaskEvent } from "../core/task_state.ts";
import type { CompleteRequest, FailRequest } from "../wire/payloads.ts";
import { tellFailure, tellOutput } from "./comments.ts";
import { inTransaction, type Shared } from "./deps.ts";
import type { TaskRecord } from "./records.ts";
import { isOpen, isPending, mayHappen } from "./sql.ts";
import { dropTaskTokens } from "./tokens.ts";

/** What an event did to a task: moved it, came too late for it, or found none. */
export type Moved =
  | { readonly kind: "moved"; readonly task: TaskRecord }
  | { readonly kind: "unchanged"; readonly task: TaskRecord }
  | { readonly kind: "no-such-task" };

export function findTask(deps: Shared, id: string): Promise<TaskRecord | undefined> {
  return deps.store.get<TaskRecord>("SELECT * FROM tasks WHERE id = :id", { id });
}

const START = `
UPDATE tasks SET status = 'running', started_at = :now, lease_expires_at = NULL, wait_reason = NULL
WHERE id = :id AND ${mayHappen("start")} RETURNING *`;

const RENEW = `
UPDATE tasks SET lease_expires_at = :lease
WHERE id = :id AND ${mayHappen("prepare-lease")} RETURNING *`;

const WAIT = `
UPDATE tasks SET status = 'waiting_local_directory', wait_reason = :reason, lease_expires_at = :lease
WHERE id = :id AND ${mayHappen("wait-local-directory")} RETURNING *`;

/** What is absent is cleared: the last word of a completed run is all of it. */
const COMPLETE = `
UPDATE tasks SET status = 'completed', completed_at = :now, output = :output, session_id = :session, work_dir = :workDir,
  branch_name = coalesce(:branch, branch_name), durable_work_dir = coalesce(:durable, durable_work_dir),
  retired_session_id = coalesce(:retired, retired_session_id), pr_url = :pr
WHERE id = :id AND ${mayHappen("complete")} RETURNING *`;

const CANCEL = `
UPDATE tasks SET status = 'cancelled', completed_at = :now WHERE id = :id AND ${mayHappen("cancel")} RETURNING *`;

/** What is absent is kept: a failed run may have lost sight of what it had pinned. */
function failSql(event: TaskEvent): string {
  return `
UPDATE tasks SET status = 'failed', completed_at = :now, error = :error, failure_reason = :reason,
  session_id = CASE WHEN :sessionMissing = 1 THEN NULL ELSE coalesce(:session, session_id) END,
  work_dir = coalesce(:workDir, work_dir), branch_name = coalesce(:branch, branch_name),
  durable_work_dir = coalesce(:durable, durable_work_dir), retired_session_id = coalesce(:retired, retired_session_id)
WHERE id = :id AND ${mayHappen(event)} RETURNING *`;
}

type FailEvent = "fail" | "recover-orphan" | "expire-queued" | "expire-deferred";
const FAIL: Record<FailEvent, string> = {
  fail: failSql("fail"),
  "recover-orphan": failSql("recover-orphan"),
  "expire-queued": failSql("expire-queued"),
  "expire-deferred": failSql("expire-deferred"),
};

/** The next attempt: the same work, and the session unless it is what failed. Not made while another task holds the place. */
const RETRY = `
INSERT INTO tasks
  (id, workspace_id, thread_id, agent_id, runtime_id, status, kind, priority, prompt, directory_mode, directory_path, permission,
   model, effort, sandbox, brings, time_limit_ms, submitted_to, attempt, max_attempts, retry_of, retry_reason, force_fresh_session, session_id, work_dir,
   fire_at, created_at)
SELECT :id, workspace_id, thread_id, agent_id, runtime_id, :status, kind, priority, prompt, directory_mode, directory_path, permission, model,
   effort, sandbox, brings, time_limit_ms, submitted_to, :attempt, max_attempts, id, failure_reason, CAST(:fresh AS BIGINT),
   CASE WHEN CAST(:fresh AS BIGINT) = 1 OR session_id IS NOT DISTINCT FROM retired_session_id THEN NULL ELSE session_id END, work_dir, :fireAt, :now
FROM tasks AS failed
WHERE id = :parent AND NOT EXISTS (
  SELECT 1 FROM tasks AS pending
  WHERE pending.thread_id = failed.thread_id AND pending.agent_id = failed.agent_id
    AND ${isPending("pending")})
ON CONFLICT DO NOTHING
RETURNING id`;

/** What was said to the failed attempt is for the next one. */
const HAND_ON = "UPDATE comments SET task_id = :to WHERE thread_id = :thread AND task_id = :from";

/** Nobody works on it any more, and nobody said so. */
const GIVE_BACK = `
UPDATE threads SET status = 'todo', updated_at = :now
WHERE id = :id AND number IS NOT NULL AND status = 'in_progress' AND NOT EXISTS (
  SELECT 1 FROM tasks WHERE tasks.thread_id = threads.id AND ${isOpen()})`;

export function startTask(deps: Shared, id: string): Promise<Moved> {
  return move(deps, START, { id, now: deps.clock.now() });
}

/** A sign of life while the task is prepared. */
export function renewLease(deps: Shared, id: string): Promise<Moved> {
  return move(deps, RENEW, { id, lease: deps.clock.now() + LEASE.prepareMs });
}

/** The directory is held by another task. A reason that is a path is not shown: it may be private. */
export function waitForDirectory(deps: Shared, wait: { id: string; reason: string }): Promise<Moved> {
  const reason = wait.reason.startsWith("local_directory /") ? "" : wait.reason;
  return move(deps, WAIT, { id: wait.id, reason: reason || null, lease: deps.clock.now() + LEASE.prepareMs });
}

export function completeTask(deps: Shared, id: string, { request }: { request: CompleteRequest }): Promise<Moved> {
  return inTransaction(deps, async (deps) => {
    const output = redactText(request.output);
    const moved = await move(deps, COMPLETE, {
      id,
      now: deps.clock.now(),
      output,
      session: request.session_rollout_missing ? null : request.session_id || null,
      workDir: request.work_dir || null,
      branch: request.branch_name || null,
      durable: request.durable_work_dir || null,
      retired: request.retired_session_id || null,
      pr: request.pr_url || null,
    });
    if (moved.kind === "moved") {
      await dropTaskTokens(deps, id);
      await tellOutput(deps, id, output);
      ended(deps, moved.task);
    }
    return moved;
  });
}

/** Idempotent: a task that has ended stays as it is. */
export function cancelTask(deps: Shared, id: string): Promise<Moved> {
  return inTransaction(deps, async (deps) => {
    const moved = await move(deps, CANCEL, { id, now: deps.clock.now() });
    if (moved.kind === "moved") {
      const { runtime_id: runtimeId } = moved.task;
      deps.store.afterCommit(() => deps.wakeups.publish({ kind: "task-changed", runtimeId, taskId: id }));
      await dropTaskTokens(deps, id);
      ended(deps, moved.task);
    }
    return moved;
  });
}

export interface Failure {
  readonly id: string;
  readonly event: FailEvent;
  /** One of the protocol's reasons, or a peer's own text. */
  readonly reason: string;
  readonly error: string;
  /** What the daemon reported besides; absent where nobody reported. */
  readonly report?: FailRequest;
}

/** Fails a task and, where the reason allows, makes its next attempt in the same transaction: never one without the other. */
export function failTask(deps: Shared, failure: Failure): Promise<Moved & { readonly retried?: boolean }> {
  return inTransaction(deps, async (deps) => {
    const { report } = failure;
    const error = redactText(failure.error);
    const moved = await move(deps, FAIL[failure.event], {
      id: failure.id,
      now: deps.clock.now(),
      error,
      reason: failure.reason,
      sessionMissing: report?.session_rollout_missing ? 1 : 0,
      session: report?.session_id || null,
      workDir: report?.work_dir || null,
      branch: report?.branch_name || null,
      durable: report?.durable_work_dir || null,
      retired: report?.retired_session_id || null,
    });
    if (moved.kind !== "moved") return moved;
    // Where nobody reported, the agent may be at work unheard.
    if (failure.event === "fail" && report) await dropTaskTokens(deps, failure.id);
    const retried = await retry(deps, moved.task);
    if (!retried) await tellFailure(deps, moved.task.id, error);
    if (!retried && !report) await deps.store.run(GIVE_BACK, { id: moved.task.thread_id, now: deps.clock.now() });
    ended(deps, moved.task);
    return { ...moved, retried };
  });
}

async function retry(deps: Shared, failed: TaskRecord): Promise<boolean> {
  const reason = failed.failure_reason ?? "";
  const decision = decideRetry(reason, failed.attempt, failed.max_attempts);
  if (decision.kind === "none") return false;
  const now = deps.clock.now();
  const child = await deps.store.get<{ id: string }>(RETRY, {
    id: deps.random.uuid(),
    parent: failed.id,
    status: decision.delayMs > 0 ? "deferred" : "queued",
    attempt: decision.attempt,
    fresh: isResumeUnsafe(reason) ? 1 : 0,
    fireAt: decision.delayMs > 0 ? now + decision.delayMs : null,
    now,
  });
  if (!child) return false;
  await deps.store.run(HAND_ON, { thread: failed.thread_id, from: failed.id, to: child.id });
  const wakeup = { kind: "task-available", runtimeId: failed.runtime_id, taskId: child.id } as const;
  deps.store.afterCommit(() => {
    if (decision.delayMs > 0) deps.wakeups.publishLater(wakeup, { afterMs: decision.delayMs });
    else deps.wakeups.publish(wakeup);
  });
  return true;
}

/** The end of one task may be what another waits for: its thread, or its agent's cap. */
function ended(deps: Shared, task: TaskRecord): void {
  deps.store.afterCommit(() => {
    deps.progress.delete(task.id);
    deps.wakeups.publish({ kind: "task-available", runtimeId: task.runtime_id });
  });
}

async function move(
  deps: Shared,
  sql: string,
  params: { readonly id: string } & Record<string, string | number | null>,
): Promise<Moved> {
  const task = await deps.store.get<TaskRecord>(sql, params);
  if (task) {
    deps.store.afterCommit(() => deps.topics.notify(task.id));
    return { kind: "moved", task };
  }
  const current = await findTask(deps, params.id);
  return current ? { kind: "unchanged", task: current } : { kind: "no-such-task" };
}
