/** How long to wait between tries: fixed schedules of the protocol and exponential back-off with jitter. */

/** Waits before the 2nd, 3rd … attempt of a terminal report, in ms (wire protocol 0.6); the last one repeats. */
export const REPORT_SCHEDULE_MS: readonly number[] = [4_000, 8_000, 16_000, 32_000, 64_000];

/** The wait after `failures` failed attempts (first = 1). */
export function scheduledDelay(failures: number, schedule: readonly number[] = REPORT_SCHEDULE_MS): number {
  return schedule[Math.min(Math.max(failures, 1), schedule.length) - 1] ?? 0;
}

export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/**
 * Doubles from `firstMs` to `maxMs` with ±20 % jitter; `fraction` in [0, 1) is the caller's randomness.
 */
export function backoffDelay(failures: number, backoff: Backoff, fraction: number): number {
  const base = Math.min(backoff.firstMs * 2 ** Math.max(failures - 1, 0), backoff.maxMs);
  return jitter(base, fraction);
}

/** ±20 % around `ms`. */
export function jitter(ms: number, fraction: number): number {
  return Math.round(ms * (0.8 + 0.4 * fraction));
}
