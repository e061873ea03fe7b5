/** What users see: tasks, messages and agents in the shapes of the control socket. */
import type * as z from "zod/mini";
import type { AgentView, MessageView, TaskUsage, TaskView } from "../wire/control.ts";
import { isFresh } from "../core/lease.ts";
import type { Deps, Shared } from "./deps.ts";
import { type TaskRecord, userTime } from "./records.ts";
import { isActive } from "./sql.ts";
import { UserRefusal } from "./user_refusal.ts";

type Viewed = TaskRecord & {
  readonly agent_name: string;
  readonly provider: string;
  readonly retried_by: string | null;
};

const VIEW = `
SELECT t.*, a.name AS agent_name, r.provider,
  (SELECT id FROM tasks AS later WHERE later.retry_of = t.id) AS retried_by
FROM tasks t JOIN agents a ON a.id = t.agent_id JOIN runtimes r ON r.id = t.runtime_id`;

const LIST = `${VIEW}
WHERE t.workspace_id = :workspace AND (CAST(:statuses AS TEXT) IS NULL OR :statuses LIKE '%,' || t.status || ',%')
ORDER BY t.created_at DESC, t.rowid DESC LIMIT :limit`;

const USAGE = `
SELECT provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd_ticks
FROM usage WHERE task_id = :id ORDER BY provider, model`;

const MESSAGES = `
SELECT seq, type, tool, content, input, output, call_id, created_at FROM messages
WHERE task_id = :id AND seq > :since ORDER BY seq`;

/** The order in which the daemon registered their runtimes. */
const AGENT_ORDER = "ORDER BY r.position, r.created_at, a.name";

const AGENTS = `
SELECT a.name, r.provider, r.version, r.device_name AS machine, r.status, r.id AS runtime_id, r.last_seen_at,
  a.max_concurrent_tasks,
  (SELECT count(*) FROM tasks t INDEXED BY tasks_active WHERE t.agent_id = a.id AND ${isActive("t")}) AS running,
  (SELECT count(*) FROM tasks t INDEXED BY tasks_queue WHERE t.runtime_id = r.id AND t.agent_id = a.id AND t.status = 'queued') AS queued
FROM agents a JOIN runtimes r ON r.id = a.runtime_id
WHERE r.workspace_id = :workspace AND r.removed_at IS NULL
${AGENT_ORDER}`;

/** `undefined` when the task is gone. */
export async function viewTask(deps: Shared, id: string): Promise<TaskView | undefined> {
  const task = await deps.store.get<Viewed>(`${VIEW} WHERE t.id = :id`, { id });
  return task && await toView(deps, task);
}

/** Newest first. Without `statuses`, all. */
export async function listTasks(
  deps: Deps,
  query: { statuses?: readonly string[]; limit: number },
): Promise<TaskView[]> {
  const statuses = query.statuses ? `,${query.statuses.join(",")},` : null;
  const tasks = await deps.store.all<Viewed>(LIST, { statuses, limit: query.limit, workspace: deps.workspaceId });
  return await Promise.all(tasks.map((task) => toView(deps, task)));
}

async function toView(deps: Shared, task: Viewed): Promise<TaskView> {
  const time = (ms: number | null) => ms === null ? null : userTime(ms);
  return {
    id: task.id,
    thread_id: task.thread_id,
    agent: task.agent_name,
    provider: task.provider,
    status: task.status,
    prompt: task.prompt,
    directory: {
      mode: task.directory_mode,
      ...(task.directory_path === null ? {} : { path: task.directory_path }),
    },
    permission: task.permission,
    effort: task.effort,
    sandbox: task.sandbox === 1,
    priority: task.priority,
    attempt: task.attempt,
    max_attempts: task.max_attempts,
    retry_of: task.retry_of,
    retried_by: task.retried_by,
    created_at: userTime(task.created_at),
    dispatched_at: time(task.dispatched_at),
    started_at: time(task.started_at),
    completed_at: time(task.completed_at),
    output: task.output,
    error: task.error,
    failure_reason: task.failure_reason,
    session_id: task.session_id,
    work_dir: task.durable_work_dir ?? task.work_dir,
    branch_name: task.branch_name,
    progress: deps.progress.get(task.id) ?? task.wait_reason,
    usage: await listUsage(deps, task.id),
  };
}

/** By provider and model. */
export function listUsage(deps: Shared, id: string): Promise<z.infer<typeof TaskUsage>[]> {
  return deps.store.all<z.infer<typeof TaskUsage>>(USAGE, { id });
}

/** In order of `seq`, those after `since`; only the first `limit` when it is given, a constant of the caller's. */
export async function listMessages(
  deps: Shared,
  query: { id: string; since: number; limit?: number },
): Promise<MessageView[]> {
  const rows = await deps.store.all<
    Omit<MessageView, "input" | "created_at"> & { input: string | null; created_at: number }
  >(
    query.limit === undefined ? MESSAGES : `${MESSAGES} LIMIT ${query.limit}`,
    { id: query.id, since: query.since },
  );
  return rows.map((row) => ({
    ...row,
    input: row.input === null ? null : JSON.parse(row.input),
    created_at: userTime(row.created_at),
  }));
}

/** In the order in which the daemon registered their runtimes. */
export async function listAgents(deps: Deps): Promise<AgentView[]> {
  const now = deps.clock.now();
  const agents = await deps.store.all<AgentView & { last_seen_at: number }>(AGENTS, { workspace: deps.workspaceId });
  return agents.map(
    ({ last_seen_at, ...agent }) => ({
      ...agent,
      status: agent.status === "online" && isFresh(last_seen_at, now) ? "online" : "offline",
    }),
  );
}

const ID_PREFIX = /^[0-9a-f-]{4,36}$/;

/** The task whose id is or begins with `text`, at least 4 characters of it. Throws `UserRefusal`. */
export async function resolveTask(deps: Deps, text: string): Promise<TaskRecord> {
  const prefix = text.trim().toLowerCase();
  if (!ID_PREFIX.test(prefix)) {
    throw new UserRefusal(
      "task_unknown",
      `Looking up a task failed: "${text}" is not a task id or its first 4 or more characters`,
      "See the ids with: drover tasks list",
    );
  }
  // "g" comes after every character of an id, so this is a range on the primary key.
  const found = await deps.store.all<TaskRecord>(
    "SELECT * FROM tasks WHERE id >= :from AND id < :to AND workspace_id = :workspace ORDER BY id LIMIT 6",
    {
      workspace: deps.workspaceId,
      from: prefix,
      to: `${prefix}g`,
    },
  );
  const [task, ...others] = found;
  if (!task) {
    throw new UserRefusal(
      "task_unknown",
      `Looking up a task failed: there is no task "${text}"`,
      "See the ids with: drover tasks list",
    );
  }
  if (others.length > 0) {
    throw new UserRefusal(
      "task_ambiguous",
      `Looking up a task failed: "${text}" begins ${found.length > 5 ? "more than 5" : found.length} ids: ` +
        found.slice(0, 5).map((one) => one.id).join(", "),
      "Give more characters of the id",
    );
  }
  return task;
}
