/** What keeps a daemon from claiming anything at all: a person's word, the battery, a sleep it has just woken from. */

/** A person wants no tasks to be taken; times in ms since 1970. */
export interface PersonPause {
  readonly since: number;
  /** Null: until somebody takes it back. */
  readonly until: number | null;
  /** For people; empty when nobody gave one. */
  readonly reason: string;
}

export type ClaimHold = "paused-by-person" | "on-battery" | "woke-up";

/** What holds at this moment, the reason that lasts longest first. */
export function claimHold(
  { pause, onBattery, asking }: { pause: PersonPause | undefined; onBattery: boolean; asking: boolean },
): ClaimHold | undefined {
  return pause ? "paused-by-person" : onBattery ? "on-battery" : asking ? "woke-up" : undefined;
}

export function hasPassed({ until }: PersonPause, now: number): boolean {
  return until !== null && until <= now;
}

/** For what a person says in passing: one line, as it stands in a status. */
export const MAX_REASON = 200;

export const WAKE = {
  /** The loops come round more often than this: a longer gap was slept through, by the machine or by us. */
  gapMs: 45_000,
  /** How long a claim waits for the servers' word on what was claimed before. */
  askMs: 5_000,
} as const;

/** By the wall clock, as the other may stand still while the machine sleeps. */
export function sleptThrough(lastTurn: number, now: number): boolean {
  return now - lastTurn > WAKE.gapMs;
}
