/** Rows as they are stored, and a task row as the daemon protocol shows it. */
import type { Permission } from "../core/model.ts";
import type { TaskState } from "../core/task_state.ts";

export interface TaskRecord {
  readonly id: string;
  readonly workspace_id: string;
  readonly thread_id: string;
  readonly agent_id: string;
  readonly runtime_id: string;
  readonly status: TaskState;
  /** What it came from: an assignment or a prompt, or a comment. */
  readonly kind: "direct" | "comment";
  readonly priority: number;
  readonly prompt: string;
  readonly directory_mode: "in-place" | "worktree" | "scratch";
  readonly directory_path: string | null;
  readonly permission: Permission;
  readonly model: string | null;
  readonly effort: string | null;
  /** 1 when the CLI's own sandbox is wanted. */
  readonly sandbox: number;
  /** Instructions, skills and MCP servers for the agent, as the JSON of what a claim carries. */
  readonly brings: string | null;
  readonly time_limit_ms: number | null;
  readonly submitted_to: string | null;
  readonly attempt: number;
  readonly max_attempts: number;
  readonly retry_of: string | null;
  /** Why the attempt before this one failed. */
  readonly retry_reason: string | null;
  /** 1 when no earlier session may be offered. */
  readonly force_fresh_session: number;
  readonly session_id: string | null;
  readonly work_dir: string | null;
  readonly branch_name: string | null;
  /** Replaces a disposable `work_dir` for display. */
  readonly durable_work_dir: string | null;
  readonly retired_session_id: string | null;
  readonly output: string | null;
  readonly pr_url: string | null;
  readonly error: string | null;
  readonly failure_reason: string | null;
  readonly wait_reason: string | null;
  readonly lease_expires_at: number | null;
  readonly fire_at: number | null;
  readonly created_at: number;
  readonly dispatched_at: number | null;
  readonly started_at: number | null;
  readonly completed_at: number | null;
}

export interface RuntimeRecord {
  readonly id: string;
  readonly workspace_id: string;
  readonly owner_id: string | null;
  readonly daemon_id: string;
  readonly provider: string;
  readonly profile_id: string | null;
  readonly name: string;
  readonly version: string;
  readonly device_name: string;
  /** What the daemon said of itself and of this runtime, as JSON; written anew by each registration. */
  readonly metadata: string;
  readonly status: "online" | "offline";
  readonly last_seen_at: number;
  readonly created_at: number;
  readonly updated_at: number;
  readonly removed_at: number | null;
}

/** RFC 3339 in whole seconds, as the daemon protocol writes the times of tasks and runtimes. */
export function wireTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** RFC 3339 with milliseconds, for messages and for users. */
export function userTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** The task object of the daemon protocol, without what only a claim carries. */
export function wireTask(task: TaskRecord): Record<string, unknown> {
  const time = (ms: number | null) => ms === null ? null : wireTime(ms);
  return {
    id: task.id,
    agent_id: task.agent_id,
    runtime_id: task.runtime_id,
    workspace_id: task.workspace_id,
    issue_id: task.thread_id,
    kind: task.kind,
    status: task.status,
    priority: task.priority,
    attempt: task.attempt,
    max_attempts: task.max_attempts,
    parent_task_id: task.retry_of,
    work_dir: task.durable_work_dir ?? task.work_dir,
    session_id: task.session_id,
    branch_name: task.branch_name,
    result: task.output === null ? null : { output: task.output, ...(task.pr_url ? { pr_url: task.pr_url } : {}) },
    error: task.error,
    failure_reason: task.failure_reason,
    wait_reason: task.wait_reason,
    created_at: wireTime(task.created_at),
    dispatched_at: time(task.dispatched_at),
    started_at: time(task.started_at),
    completed_at: time(task.completed_at),
  };
}
