/** Claiming: which tasks a daemon is given now, each to one claimer only (wire protocol 3.2 to 3.4 and 3.8). */
import { isFresh, LEASE } from "../core/lease.ts";
import { chooseResume, type PastRun, type ResumePointer } from "../core/resume.ts";
import { type Deps, inTransaction } from "./deps.ts";
import { type RuntimeRecord, type TaskRecord, wireTask } from "./records.ts";
import { isActive, isEnded, isPending, mayHappen } from "./sql.ts";

export interface ClaimQuery {
  /** In the order in which they may take; unknown ones and those of other daemons are passed over. */
  readonly runtimeIds: readonly string[];
  /** At most this many tasks, handed out again or fresh. */
  readonly max: number;
  /** Absent: runtimes of any daemon. */
  readonly daemonId?: string;
  /** Only tasks submitted to this instance. */
  readonly submittedTo?: string;
}

interface Claimer extends RuntimeRecord {
  readonly agent_id: string;
  readonly agent_name: string;
  readonly max_concurrent_tasks: number;
}

type Claimed = TaskRecord & { readonly title: string };

// INDEXED BY in what follows: a history of any length must not slow down the next claim, and a statement whose index
// does not fit any more fails in every test instead of becoming slow.

const CLAIMER = `
SELECT r.*, a.id AS agent_id, a.name AS agent_name, a.max_concurrent_tasks
FROM runtimes r JOIN agents a ON a.runtime_id = r.id WHERE r.id = :id
FOR NO KEY UPDATE OF a`;

/** A task whose place is taken stays deferred, and of two for one place the second does. */
const DUE = `
SELECT id FROM tasks INDEXED BY tasks_deferred
WHERE runtime_id = :runtime AND ${mayHappen("promote")} AND fire_at <= :now ORDER BY fire_at, id`;

const PROMOTE = `
UPDATE tasks SET status = 'queued', fire_at = NULL
WHERE id = :id AND ${mayHappen("promote")} AND NOT EXISTS (
  SELECT 1 FROM tasks AS pending
  WHERE pending.thread_id = tasks.thread_id AND pending.agent_id = tasks.agent_id AND ${isPending("pending")})`;

const TITLE = "(SELECT title FROM threads WHERE threads.id = thread_id) AS title";

/**
 * The answer to the first claim seems to be lost: nobody prepares the task. At most as many as the agent's cap, so the
 * caller counts: a bound LIMIT would make SQLite plan the statement anew in every run.
 */
const LOST = `
SELECT id FROM tasks INDEXED BY tasks_active
WHERE agent_id = :agent AND runtime_id = :runtime AND ${isActive()} AND ${mayHappen("redeliver")}
  AND dispatched_at < :before AND (lease_expires_at IS NULL OR lease_expires_at <= :now)
  AND (CAST(:instance AS TEXT) IS NULL OR submitted_to = :instance)
ORDER BY dispatched_at, id`;

const REDELIVER = `
UPDATE tasks SET dispatched_at = :now, lease_expires_at = :lease
WHERE id = :id AND ${mayHappen("redeliver")} RETURNING *, ${TITLE}`;

/** Best first, within the agent's cap, and never beside another task of the same thread. */
const CLAIM = `
UPDATE tasks SET status = 'dispatched', dispatched_at = :now, lease_expires_at = :lease
WHERE id = (
  SELECT id FROM tasks AS candidate INDEXED BY tasks_queue
  WHERE runtime_id = :runtime AND agent_id = :agent AND ${mayHappen("claim")}
    AND (CAST(:instance AS TEXT) IS NULL OR submitted_to = :instance)
    AND NOT EXISTS (
      SELECT 1 FROM tasks AS other INDEXED BY tasks_active
      WHERE other.agent_id = candidate.agent_id AND other.thread_id = candidate.thread_id AND ${isActive("other")})
    AND (SELECT count(*) FROM tasks AS busy INDEXED BY tasks_active WHERE busy.agent_id = :agent AND ${
  isActive("busy")
}) < :cap
  ORDER BY priority DESC, created_at ASC, id ASC LIMIT 1
  FOR UPDATE SKIP LOCKED)
RETURNING *, ${TITLE}`;

const PAST_RUNS = `
SELECT runtime_id AS "runtimeId", session_id AS "sessionId", work_dir AS "workDir", failure_reason AS "failureReason",
  retired_session_id AS "retiredSessionId"
FROM tasks WHERE thread_id = :thread AND agent_id = :agent AND ${isEnded()}
ORDER BY completed_at DESC, created_at DESC, attempt DESC`;

/**
 * Hands out tasks in one transaction: first what was handed out before and never arrived, then at most one fresh task
 * per runtime. Payloads are built inside it, so a claim that cannot be answered has not happened.
 */
export async function claimTasks(deps: Deps, query: ClaimQuery): Promise<Record<string, unknown>[]> {
  if (query.max <= 0) return [];
  return await inTransaction(deps, async (deps) => {
    const now = deps.clock.now();
    const claimers = await usableClaimers(deps, query, now);
    const payloads: Record<string, unknown>[] = [];
    const hand = async (claimer: Claimer, task: Claimed) => {
      payloads.push(await claimPayload(deps, claimer, task));
      deps.store.afterCommit(() => deps.topics.notify(task.id));
    };
    const lease = now + LEASE.prepareMs;
    const instance = query.submittedTo ?? null;
    for (const claimer of claimers) {
      const place = { runtime: claimer.id, agent: claimer.agent_id, instance, now };
      for (const { id } of await deps.store.all<{ id: string }>(DUE, { runtime: claimer.id, now })) {
        await deps.store.run(PROMOTE, { id });
      }
      const before = now - LEASE.redeliverMs;
      for (const { id } of await deps.store.all<{ id: string }>(LOST, { ...place, before })) {
        if (payloads.length >= query.max) break;
        const task = await deps.store.get<Claimed>(REDELIVER, { id, now, lease });
        if (task) await hand(claimer, task);
      }
    }
    for (const claimer of claimers) {
      if (payloads.length >= query.max) break;
      const place = { runtime: claimer.id, agent: claimer.agent_id, instance, now };
      const task = await deps.store.get<Claimed>(CLAIM, { ...place, lease, cap: claimer.max_concurrent_tasks });
      if (task) await hand(claimer, task);
    }
    return payloads;
  });
}

/**
 * A runtime that has stopped beating gets no work, and no error either. Their agents are locked, so that nobody else counts
 * beside us, always in the same order, so that no two claims wait for each other.
 */
async function usableClaimers(deps: Deps, query: ClaimQuery, now: number): Promise<Claimer[]> {
  const found = new Map<string, Claimer>();
  const wanted = new Set(query.runtimeIds);
  for (const id of [...wanted].sort()) {
    const claimer = await deps.store.get<Claimer>(CLAIMER, { id });
    if (!claimer || claimer.status !== "online" || !isFresh(claimer.last_seen_at, now)) continue;
    if (query.daemonId !== undefined && claimer.daemon_id !== query.daemonId) continue;
    found.set(id, claimer);
  }
  return [...wanted].flatMap((id) => found.get(id) ?? []);
}

async function claimPayload(deps: Deps, claimer: Claimer, task: Claimed): Promise<Record<string, unknown>> {
  const resume = await resumePointer(deps, task);
  return {
    ...wireTask(task, deps.workspaceId),
    thread_name: task.title,
    leader_role_resolved: true,
    // Daemons of other makers refuse a task without one. Nothing here verifies it, so it is not kept.
    auth_token: `mat_${deps.random.hex(20)}`,
    agent: {
      id: claimer.agent_id,
      name: claimer.agent_name,
      instructions: "",
      skills: [],
      custom_env: {},
      custom_args: [],
      model: task.model ?? "",
      thinking_level: task.effort ?? "",
      ...JSON.parse(task.brings ?? "{}"),
    },
    prompt: task.prompt,
    directory: {
      mode: task.directory_mode,
      ...(task.directory_path === null ? {} : { path: task.directory_path }),
    },
    permission: task.permission,
    ...(task.sandbox === 1 ? { sandbox: true } : {}),
    ...(task.time_limit_ms === null ? {} : { time_limit_ms: task.time_limit_ms }),
    ...(resume.sessionId === undefined ? {} : { prior_session_id: resume.sessionId }),
    ...(resume.workDir === undefined ? {} : { prior_work_dir: resume.workDir }),
  };
}

/** Without a session to continue, an attempt still goes on in the directory that it inherited. */
async function resumePointer(deps: Deps, task: TaskRecord): Promise<ResumePointer> {
  if (task.force_fresh_session === 1) return {};
  const past = await deps.store.all<PastRun>(PAST_RUNS, { thread: task.thread_id, agent: task.agent_id });
  const pointer = chooseResume(past, task.runtime_id);
  return pointer.workDir !== undefined || task.work_dir === null ? pointer : { ...pointer, workDir: task.work_dir };
}
