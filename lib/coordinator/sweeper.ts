/** What time does to tasks and runtimes when nobody calls: silence, limits and orphans (wire protocol 3.5, 3.6). */
import { LEASE } from "../core/lease.ts";
import { inTransaction, type Shared } from "./deps.ts";
import { purgeRequests } from "./requests.ts";
import type { SqlParams } from "./store.ts";
import { isActive, mayHappen } from "./sql.ts";
import { purgeTaskTokens } from "./tokens.ts";
import { failTask, type Failure } from "./transitions.ts";

/** So that a sweep after a long pause does not hold up everything else; the next one goes on. */
const BATCH = 500;

interface Sweep extends Omit<Failure, "id" | "report"> {
  /** Selects the ids. */
  readonly tasks: string;
  /** What happened before these is too old. */
  readonly cutoffs: (now: number) => SqlParams;
}

/**
 * In the order in which they are made. There is no limit on running as such: a task whose runtime was silent beyond the
 * grace is failed by the first row whatever its age, and one whose daemon beats is never cut.
 */
const SWEEPS: readonly Sweep[] = [
  {
    tasks: `
SELECT t.id FROM tasks t INDEXED BY tasks_active JOIN runtimes r ON r.id = t.runtime_id
WHERE ${isActive("t")} AND r.status = 'offline' AND r.last_seen_at < :grace LIMIT ${BATCH}`,
    cutoffs: (now) => ({ grace: now - LEASE.reconnectGraceMs }),
    event: "fail",
    reason: "runtime_offline",
    error: "the runtime was offline for too long while the task was in flight",
  },
  {
    tasks: `
SELECT t.id FROM tasks t INDEXED BY tasks_active JOIN runtimes r ON r.id = t.runtime_id
WHERE ${isActive("t")} AND t.status = 'dispatched' AND t.dispatched_at < :dispatched
  AND (t.lease_expires_at IS NULL OR t.lease_expires_at < :now)
  AND r.status = 'online' AND r.last_seen_at >= :stale LIMIT ${BATCH}`,
    cutoffs: (now) => ({ now, dispatched: now - LEASE.dispatchLimitMs, stale: now - LEASE.staleRuntimeMs }),
    event: "fail",
    reason: "timeout",
    error: "the task was claimed and never started",
  },
  {
    tasks: `
SELECT t.id FROM tasks t INDEXED BY tasks_queue JOIN runtimes r ON r.id = t.runtime_id
WHERE t.status = 'queued' AND t.created_at < :queued AND t.retry_reason IS DISTINCT FROM 'runtime_offline'
  AND r.last_seen_at < :queued LIMIT ${BATCH}`,
    cutoffs: (now) => ({ queued: now - LEASE.queuedLimitMs }),
    event: "expire-queued",
    reason: "queued_expired",
    error: "the runtime was away for too long while the task was in the queue",
  },
  {
    tasks: `
SELECT t.id FROM tasks t INDEXED BY tasks_deferred JOIN runtimes r ON r.id = t.runtime_id
WHERE t.status = 'deferred' AND t.retry_reason = 'runtime_offline' AND t.created_at < :grace
  AND (r.status = 'offline' OR r.last_seen_at < :stale) LIMIT ${BATCH}`,
    cutoffs: (now) => ({ grace: now - LEASE.reconnectGraceMs, stale: now - LEASE.staleRuntimeMs }),
    event: "expire-deferred",
    reason: "runtime_reconnect_timeout",
    error: "the runtime did not come back in time to try the task again",
  },
];

const MARK_OFFLINE = "UPDATE runtimes SET status = 'offline' WHERE status = 'online' AND last_seen_at < :stale";

/**
 * A runtime's own agent goes with it. One with a task, even an ended one, stays until retention has taken the task, and
 * one with an agent that somebody made until that has been moved.
 */
const FORGET_RUNTIMES = `
DELETE FROM runtimes WHERE status = 'offline' AND last_seen_at < :forgotten
  AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.runtime_id = runtimes.id)
  AND NOT EXISTS (SELECT 1 FROM agents WHERE agents.runtime_id = runtimes.id AND agents.own = 0)`;

const SWEPT_KEY = "swept_at";

const TAKE_SWEEP = `
INSERT INTO meta (key, value) VALUES (:key, :now)
ON CONFLICT (key) DO UPDATE SET value = excluded.value
WHERE CAST(meta.value AS BIGINT) <= :before OR CAST(meta.value AS BIGINT) > :later`;

/**
 * Whether this round is ours: of the processes over one database one sweeps, the first. A time of sweeping that lies
 * ahead was written by a clock that is wrong, and binds nobody. Never throws, as little as `sweep`.
 */
export async function takeSweep(deps: Pick<Shared, "store" | "clock" | "log">): Promise<boolean> {
  if (!deps.store.peers) return true;
  const now = deps.clock.now();
  const half = LEASE.sweepMs / 2;
  try {
    const times = { now: String(now), before: now - half, later: now + half };
    return await deps.store.run(TAKE_SWEEP, { key: SWEPT_KEY, ...times }) > 0;
  } catch (error) {
    deps.log.error("Sweeping the task database failed", { subject: "whose turn it is", error });
    return false;
  }
}

/**
 * One round, up to the step after which it is `stopped`. Never throws: each step stands alone, and what fails in one is
 * logged and tried again in the next round.
 */
export async function sweep(deps: Shared, options: { readonly stopped?: () => boolean } = {}): Promise<void> {
  const now = deps.clock.now();
  const step = async (subject: string, work: (deps: Shared) => Promise<unknown>) => {
    if (options.stopped?.()) return;
    try {
      await inTransaction(deps, work);
    } catch (error) {
      deps.log.error("Sweeping the task database failed", { subject, error });
    }
  };
  await step("silent runtimes", (deps) => deps.store.run(MARK_OFFLINE, { stale: now - LEASE.staleRuntimeMs }));
  for (const { tasks, cutoffs, ...failure } of SWEEPS) {
    await step(failure.reason, async (deps) => {
      for (const { id } of await deps.store.all<{ id: string }>(tasks, cutoffs(now))) {
        await failTask(deps, { id, ...failure });
      }
    });
  }
  await step("expired tokens", purgeTaskTokens);
  await step("old requests", purgeRequests);
  await step(
    "forgotten runtimes",
    (deps) => deps.store.run(FORGET_RUNTIMES, { forgotten: now - LEASE.forgetRuntimeMs }),
  );
}

/** A daemon that has just started holds none of the tasks its predecessor had in flight. */
export function recoverOrphans(deps: Shared, runtimeId: string): Promise<{ orphaned: number; retried: number }> {
  return inTransaction(deps, async (deps) => {
    const orphans = await deps.store.all<{ id: string }>(
      `SELECT id FROM tasks INDEXED BY tasks_active WHERE runtime_id = :runtime AND ${mayHappen("recover-orphan")}`,
      { runtime: runtimeId },
    );
    let retried = 0;
    for (const { id } of orphans) {
      const failed = await failTask(deps, {
        id,
        event: "recover-orphan",
        reason: "runtime_recovery",
        error: "daemon restarted while task was in flight",
      });
      if (failed.retried) retried++;
    }
    return { orphaned: orphans.length, retried };
  });
}
