/** May a daemon be started or replaced now: the breaker over starts that fail, and the cool-down between version restarts. */

/** All times in ms. */
export const BREAKER = {
  /** So many failed starts in the short window open it… */
  shortCount: 3,
  shortMs: 90_000,
  /** …or so many in the long one, which at the same time are the most failed starts that any such stretch can hold. */
  longCount: 5,
  longMs: 10 * 60_000,
  /** The wait before the first trial; doubles with each trial that fails. */
  firstDelayMs: 1_000,
  maxDelayMs: 60_000,
  /** A start counts as good when the daemon has been up for this long. */
  stableMs: 60_000,
  restartGapMs: 10_000,
  restartCount: 3,
  restartWindowMs: 60 * 60_000,
} as const;

/** What is kept on disk from command to command. Times are wall-clock ms. */
export interface BreakerState {
  /** Mark of the binary and the configuration that the failures belong to. */
  readonly digest: string;
  /** The latest failed starts, oldest first. */
  readonly failures: readonly number[];
  /** Failures in a row since it opened, the one that opened it included; 0 = closed. */
  readonly trips: number;
  /** The start that has not proved itself yet. */
  readonly attempt: Attempt;
  /** The latest restarts for another version, oldest first. */
  readonly restarts: readonly number[];
}

export type Attempt =
  | { readonly kind: "none" }
  /** `launched`: not ready yet. `ready`: up since then. */
  | { readonly kind: "launched" | "ready"; readonly at: number };

export const FRESH_BREAKER: BreakerState = {
  digest: "",
  failures: [],
  trips: 0,
  attempt: { kind: "none" },
  restarts: [],
};

export type BreakerEvent =
  /**
   * May a daemon be launched? *go* counts the launch as begun. To be asked under the restart lock with nothing
   * running: an earlier launch that has not proved itself by then is a failure nobody lived to report.
   */
  | { readonly kind: "start"; readonly digest: string }
  /** The launch came to nothing, or the daemon ended unasked; only before it has been up long enough is it a failure. */
  | { readonly kind: "start-failed" }
  | { readonly kind: "ready" }
  /** It is up, seen by a command or said by the daemon itself; what resets the breaker once it was up long enough. */
  | { readonly kind: "alive" }
  /** Stopped on purpose, which says nothing about its health. */
  | { readonly kind: "stopped" }
  /** May the running daemon be replaced by another version? *go* counts it as done. */
  | { readonly kind: "version-restart" }
  /** A person said so. */
  | { readonly kind: "reset" };

export type BreakerVerdict =
  | { readonly kind: "go"; readonly why: "closed" | "trial" | "cooled-down" }
  /** Not before `until`, wall-clock ms. */
  | { readonly kind: "hold"; readonly why: "starts-fail" | "just-restarted" | "restarts-spent"; readonly until: number }
  | { readonly kind: "noted" };

export interface BreakerStep {
  readonly state: BreakerState;
  readonly verdict: BreakerVerdict;
}

/** One transition. The state is to be written back whatever the verdict, before anything is launched. */
export function stepBreaker(state: BreakerState, event: BreakerEvent, now: number): BreakerStep {
  const known = withoutFuture(state, now);
  switch (event.kind) {
    case "start":
      return askStart(known, event.digest, now);
    case "version-restart":
      return askRestart(known, now);
    case "start-failed":
      return noted(ended(known, now));
    case "ready":
      return noted(known.attempt.kind === "launched" ? { ...known, attempt: { kind: "ready", at: now } } : known);
    case "alive":
      return noted(alive(known, now));
    case "stopped":
      return noted({ ...proven(known, now), attempt: { kind: "none" } });
    case "reset":
      return noted({ ...FRESH_BREAKER, digest: known.digest });
  }
}

export type BreakerPosition =
  | { readonly kind: "closed" }
  | { readonly kind: "open"; readonly until: number }
  /** Open, and a trial is due or under way. */
  | { readonly kind: "half-open" };

/** For status: where the breaker stands. */
export function breakerPosition(state: BreakerState, now: number): BreakerPosition {
  const known = withoutFuture(state, now);
  if (known.trips === 0) return { kind: "closed" };
  const until = openUntil(known);
  return until > now ? { kind: "open", until } : { kind: "half-open" };
}

function noted(state: BreakerState): BreakerStep {
  return { state, verdict: { kind: "noted" } };
}

function askStart(before: BreakerState, digest: string, now: number): BreakerStep {
  // Another program or configuration is not to blame for what the last one did.
  const own = before.digest === digest ? before : { ...FRESH_BREAKER, digest, restarts: before.restarts };
  const state = own.attempt.kind === "none" ? own : failed(own, own.attempt.at);
  const until = state.trips === 0 ? now : openUntil(state);
  if (until > now) return { state, verdict: { kind: "hold", why: "starts-fail", until } };
  return {
    state: { ...state, attempt: { kind: "launched", at: now } },
    verdict: { kind: "go", why: state.trips === 0 ? "closed" : "trial" },
  };
}

function askRestart(state: BreakerState, now: number): BreakerStep {
  const recent = state.restarts.filter((at) => now - at < BREAKER.restartWindowMs);
  const room = (recent.at(-BREAKER.restartCount) ?? -Infinity) + BREAKER.restartWindowMs;
  const gap = (recent.at(-1) ?? -Infinity) + BREAKER.restartGapMs;
  // The later one is the whole answer: the window may have room again while the last restart is still too near.
  const until = Math.max(room, gap);
  if (until > now) {
    return { state, verdict: { kind: "hold", why: room > gap ? "restarts-spent" : "just-restarted", until } };
  }
  return { state: { ...state, restarts: [...recent, now] }, verdict: { kind: "go", why: "cooled-down" } };
}

function failed(state: BreakerState, at: number): BreakerState {
  const failures = [...state.failures, at].slice(-BREAKER.longCount);
  const within = (ms: number) => failures.filter((time) => at - time < ms).length;
  const opens = within(BREAKER.shortMs) >= BREAKER.shortCount || within(BREAKER.longMs) >= BREAKER.longCount;
  const trips = state.trips > 0 || opens ? state.trips + 1 : 0;
  return { ...state, failures, trips, attempt: { kind: "none" } };
}

function ended(state: BreakerState, now: number): BreakerState {
  const judged = proven(state, now);
  return judged.attempt.kind === "none" ? judged : failed(judged, now);
}

function alive(state: BreakerState, now: number): BreakerState {
  // Whoever launched it gave up waiting, and it came up after all.
  if (state.attempt.kind === "launched") return { ...state, attempt: { kind: "ready", at: now } };
  return proven(state, now);
}

/** Forgets the failures once the daemon has been up for long enough. */
function proven(state: BreakerState, now: number): BreakerState {
  const { attempt } = state;
  if (attempt.kind !== "ready" || now - attempt.at < BREAKER.stableMs) return state;
  return { ...FRESH_BREAKER, digest: state.digest, restarts: state.restarts };
}

/** When the next trial is due: after its delay, and not before the long window has room for one more failure. */
function openUntil({ failures, trips }: BreakerState): number {
  const delay = Math.min(BREAKER.firstDelayMs * 2 ** (trips - 1), BREAKER.maxDelayMs);
  const room = failures.at(-BREAKER.longCount);
  return Math.max((failures.at(-1) ?? 0) + delay, room === undefined ? 0 : room + BREAKER.longMs);
}

/** A time that lies ahead was written before the clock was set back; kept, it would hold starts up until then. */
function withoutFuture(state: BreakerState, now: number): BreakerState {
  const past = (times: readonly number[]) => times.filter((at) => at <= now);
  const { attempt } = state;
  return {
    ...state,
    failures: past(state.failures),
    restarts: past(state.restarts),
    attempt: attempt.kind === "none" ? attempt : { ...attempt, at: Math.min(attempt.at, now) },
  };
}
