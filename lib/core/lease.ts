/** When a task is given to someone else: leases, re-delivery and the limits of silence (wire protocol 3.3 to 3.6). */

/** All in milliseconds. */
export const LEASE = {
  /** How long a claim is held without a sign of life while it is being prepared. */
  prepareMs: 45_000,
  /** A daemon renews the prepare lease this often. */
  renewMs: 15_000,
  /** A claimed task whose answer may have been lost is handed out again after this. */
  redeliverMs: 90_000,
  /** A runtime that has not beaten for this long gets no work and is marked offline. */
  staleRuntimeMs: 150_000,
  /** Tasks in flight on an offline runtime are failed after this, however long they ran; a beating daemon is never cut. */
  reconnectGraceMs: 3 * 60 * 60_000,
  /** A claim that never started is failed after this. */
  dispatchLimitMs: 300_000,
  /**
   * A queued task is failed when it, and the silence of its runtime, are older than this. A daemon that beats and does not
   * claim has its reasons (a person's pause, a limit of the day), which end.
   */
  queuedLimitMs: 2 * 60 * 60_000,
  /** A runtime that has been offline for this long and has no task left is forgotten. */
  forgetRuntimeMs: 7 * 24 * 60 * 60_000,
  /** The sweeps run this often. */
  sweepMs: 30_000,
  heartbeatMs: 15_000,
  /** The whole prepare phase of a task. */
  prepareLimitMs: 5 * 60_000,
} as const;

/**
 * Since when a coordinator hears its daemons, asked at each of its rounds. A round that comes late
 * means that it was not there itself (the machine slept): what it missed says nothing about the daemons. One before the
 * last means that the clock was set back, and a time that lies ahead would hold up all judging until it is reached.
 */
export function listeningSince(since: number, round: { readonly lastAt: number; readonly now: number }): number {
  const passed = round.now - round.lastAt;
  return passed < 0 || passed > LEASE.staleRuntimeMs ? round.now : since;
}

/** Whether a coordinator that has been listening since then may hold silence against a daemon. */
export function mayJudgeSilence(since: number, now: number): boolean {
  return now - since >= LEASE.staleRuntimeMs;
}

/** Whether a runtime last heard of then still counts as there. */
export function isFresh(lastSeenAt: number, now: number): boolean {
  return now - lastSeenAt <= LEASE.staleRuntimeMs;
}
