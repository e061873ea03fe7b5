/** What time does to tasks and runtimes when nobody calls: silence, limits, orphans and retention (wire protocol 3.5, 3.6). */
import { LEASE } from "../core/lease.ts";
import type { Deps } from "./deps.ts";
import type { SqlParams } from "./store.ts";
import { isActive, isEnded, mayHappen } from "./sql.ts";
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
SELECT id FROM tasks INDEXED BY tasks_queue
WHERE status = 'queued' AND created_at < :queued AND retry_reason IS NOT 'runtime_offline'
LIMIT ${BATCH}`,
    cutoffs: (now) => ({ queued: now - LEASE.queuedLimitMs }),
    event: "expire-queued",
    reason: "queued_expired",
    error: "no runtime claimed the task in time",
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

/** Agents go with their runtime. One with a task, even an ended one, stays until retention has taken the task. */
const FORGET_RUNTIMES = `
DELETE FROM runtimes WHERE status = 'offline' AND last_seen_at < :forgotten
  AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.runtime_id = runtimes.id)`;

/** One round. Never throws: each step stands alone, and what fails in one is logged and tried again in the next round. */
export function sweep(deps: Deps): void {
  const now = deps.clock.now();
  const step = (subject: string, fn: () => void) => {
    try {
      deps.store.transaction(fn);
    } catch (error) {
      deps.log.error("Sweeping the task database failed", { subject, error });
    }
  };
  step("silent runtimes", () => deps.store.run(MARK_OFFLINE, { stale: now - LEASE.staleRuntimeMs }));
  for (const { tasks, cutoffs, ...failure } of SWEEPS) {
    step(failure.reason, () => {
      for (const { id } of deps.store.all<{ id: string }>(tasks, cutoffs(now))) failTask(deps, { id, ...failure });
    });
  }
  step("forgotten runtimes", () => deps.store.run(FORGET_RUNTIMES, { forgotten: now - LEASE.forgetRuntimeMs }));
}

/** A daemon that has just started holds none of the tasks its predecessor had in flight. */
export function recoverOrphans(deps: Deps, runtimeId: string): { orphaned: number; retried: number } {
  return deps.store.transaction(() => {
    const orphans = deps.store.all<{ id: string }>(
      `SELECT id FROM tasks INDEXED BY tasks_active WHERE runtime_id = :runtime AND ${mayHappen("recover-orphan")}`,
      { runtime: runtimeId },
    );
    const failed = orphans.map(({ id }) =>
      failTask(deps, {
        id,
        event: "recover-orphan",
        reason: "runtime_recovery",
        error: "daemon restarted while task was in flight",
      })
    );
    return { orphaned: failed.length, retried: failed.filter((one) => one.retried).length };
  });
}

/** Deletes tasks that ended before `before`, with their messages, usage and emptied threads; the number of tasks. */
export function purgeEnded(deps: Deps, before: number): number {
  return deps.store.transaction(() => {
    const purged = deps.store.run(`DELETE FROM tasks WHERE ${isEnded()} AND completed_at < :before`, {
      before,
    });
    if (purged > 0) {
      deps.store.run("DELETE FROM threads WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.thread_id = threads.id)");
    }
    return purged;
  });
}
