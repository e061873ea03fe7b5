/** Claiming: which tasks a daemon is given now, each to one claimer only (wire protocol 3.2 to 3.4 and 3.8). */
import { isFresh, LEASE } from "../core/lease.ts";
import { type Caller, mayUse } from "./caller.ts";
import { type Claimed, type Claimer, claimPayload, OF_THREAD } from "./claim_payload.ts";
import { inTransaction, type Shared } from "./deps.ts";
import { Refusal } from "./refusal.ts";
import { isActive, isPending, mayHappen } from "./sql.ts";

export interface ClaimQuery {
  /** Only runtimes that are this caller's business. */
  readonly caller: Caller;
  /** In the order in which they may take; unknown ones and those of other daemons are passed over. */
  readonly runtimeIds: readonly string[];
  /** At most this many tasks, handed out again or fresh. */
  readonly max: number;
  /** Absent: runtimes of any daemon. */
  readonly daemonId?: string;
  /** Only tasks submitted to this instance. */
  readonly submittedTo?: string | undefined;
  /** What the daemon can take (wire protocol 0.4). */
  readonly capabilities: ReadonlySet<string>;
  /** True from when on nobody waits for the answer: then nothing is claimed. */
  readonly abandoned?: (() => boolean) | undefined;
}

// INDEXED BY in what follows: a history of any length must not slow down the next claim, and a statement whose index
// does not fit any more fails in every test instead of becoming slow.

const CLAIMER = `
SELECT r.*, a.id AS agent_id, a.name AS agent_name, a.max_concurrent_tasks, a.instructions, a.model AS agent_model
FROM runtimes r JOIN agents a ON a.runtime_id = r.id WHERE r.id = :id ORDER BY a.own DESC, a.id
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
WHERE id = :id AND ${mayHappen("redeliver")} RETURNING *, ${OF_THREAD}`;

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
RETURNING *, ${OF_THREAD}`;

/**
 * Hands out tasks in one transaction: first what was handed out before and never arrived, then at most one fresh task
 * per agent. Payloads are built inside it, so a claim that cannot be answered has not happened.
 */
export async function claimTasks(deps: Shared, query: ClaimQuery): Promise<Record<string, unknown>[]> {
  if (query.max <= 0) return [];
  return await inTransaction(deps, async (deps) => {
    refuseAbandoned(query);
    const now = deps.clock.now();
    const claimers = await usableClaimers(deps, query, now);
    const payloads: Record<string, unknown>[] = [];
    const recipient = { own: query.caller.scope === "machine", capabilities: query.capabilities };
    const hand = async (claimer: Claimer, task: Claimed) => {
      payloads.push(await claimPayload(deps, claimer, task, recipient));
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
    refuseAbandoned(query);
    return payloads;
  });
}

/** Within the transaction: what was claimed for nobody was not claimed, instead of lying about until it is handed out again. */
function refuseAbandoned({ abandoned }: ClaimQuery): void {
  if (abandoned?.()) throw new Refusal(503, "the claim took too long; nothing was claimed");
}

/**
 * A runtime that has stopped beating gets no work, and no error either. Their agents are locked, so that nobody else counts
 * beside us, always in the same order, so that no two claims wait for each other.
 */
async function usableClaimers(deps: Shared, query: ClaimQuery, now: number): Promise<Claimer[]> {
  const found = new Map<string, Claimer[]>();
  const wanted = new Set(query.runtimeIds);
  for (const id of [...wanted].sort()) {
    const agents = await deps.store.all<Claimer>(CLAIMER, { id });
    const [runtime] = agents;
    if (!runtime || runtime.removed_at !== null || runtime.status !== "online") continue;
    if (!isFresh(runtime.last_seen_at, now) || !mayUse(query.caller, runtime)) continue;
    if (query.daemonId !== undefined && runtime.daemon_id !== query.daemonId) continue;
    found.set(id, agents);
  }
  return [...wanted].flatMap((id) => found.get(id) ?? []);
}
