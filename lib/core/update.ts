/** Updates: when to look, which release to take, and how one proves itself or is taken back. */
import { releaseOfName } from "./installation.ts";
import { compareVersions, findVersion } from "./version.ts";

/** In ms where not said otherwise. */
export const UPDATE = {
  firstMs: 5 * 60_000,
  /** Times 0.9 to 1.1, so that a fleet does not ask at one moment. */
  intervalMs: 60 * 60_000,
  jitter: 0.1,
  stableMs: 60_000,
  /** Short, as two failed starts and one of the old version are to take less than 90 s. */
  readyMs: 20_000,
  /** Failed starts after which a release is taken back. */
  failedStarts: 2,
  /** How long the daemon of the release before may take to come back. */
  restoringMs: 5 * 60_000,
  /** How long a daemon with tasks is waited for before it takes no more of them. */
  patienceMs: 6 * 60 * 60_000,
  /** How many rounds and quarantined releases are remembered. */
  remembered: 20,
} as const;

/** A release that has not proved itself yet. Releases are named as their directories are, after version and digest. */
export interface Trial {
  readonly name: string;
  /** What is gone back to. */
  readonly before: string;
  /** The home whose updater sees it through; all homes share an installation. */
  readonly home: string;
  readonly begun: number;
  /** Why each start failed. */
  readonly failures: readonly string[];
  /** Since when its daemon has been up; null while it is not. */
  readonly up: number | null;
}

export const ROUND_RESULTS = ["current", "on-trial", "good", "taken-back", "refused", "failed"] as const;
export type RoundResult = (typeof ROUND_RESULTS)[number];

/** What came of one look for a release, for `status`. */
export interface Round {
  readonly at: number;
  readonly by: "loop" | "person" | "server";
  readonly result: RoundResult;
  /** The version it was about; empty where it did not come to one. */
  readonly version: string;
  /** One word for programs, such as `network`; empty where all went well. */
  readonly code: string;
  readonly detail: string;
  /** Of one that was taken back: whose daemon it was tried with. Absent in what older releases wrote. */
  readonly home?: string | undefined;
}

export interface Quarantined {
  readonly name: string;
  readonly at: number;
  readonly why: string;
}

/** Kept beside the releases, as all homes share them. Times are ms since 1970. */
export interface UpdateState {
  readonly lastGood: string | null;
  readonly trial: Trial | null;
  readonly quarantined: readonly Quarantined[];
  readonly nextAt: number | null;
  /** Oldest first. */
  readonly rounds: readonly Round[];
}

export const FRESH_UPDATES: UpdateState = { lastGood: null, trial: null, quarantined: [], nextAt: null, rounds: [] };

/** When the loop that began at `begun` looks next. What lies too far ahead of `now` was written under another clock. */
export function dueAt(
  { nextAt }: UpdateState,
  { now, begun, intervalMs }: { now: number; begun: number; intervalMs: number },
): number {
  const first = begun > now ? now : begun + Math.min(UPDATE.firstMs, intervalMs);
  // Written rounded.
  if (nextAt === null || nextAt > Math.ceil(now + intervalMs * (1 + UPDATE.jitter))) return first;
  return Math.max(nextAt, first);
}

/** `fraction`: a random number in [0, 1). */
export function afterRound(
  state: UpdateState,
  round: Round,
  { intervalMs, fraction }: { intervalMs: number; fraction: number },
): UpdateState {
  const spread = 1 - UPDATE.jitter + 2 * UPDATE.jitter * fraction;
  return { ...withRound(state, round), nextAt: Math.round(round.at + intervalMs * spread) };
}

/** One more round, which a later one about the same trial does not replace. */
export function withRound(state: UpdateState, round: Round): UpdateState {
  return { ...state, rounds: [...state.rounds, round].slice(-UPDATE.remembered) };
}

export interface Candidate {
  readonly version: string;
  readonly name: string;
}

export type Plan =
  | { readonly kind: "current" }
  | { readonly kind: "take"; readonly downgrade: boolean }
  | { readonly kind: "refuse"; readonly code: "older" | "quarantined" | "unreadable" | "pinned"; readonly why: string };

export interface PlanInputs {
  readonly current: Candidate;
  readonly offered: Candidate;
  /** A person or a server named this version. */
  readonly asked: boolean;
  /** A person said that it may be an older or a quarantined one. */
  readonly force: boolean;
  /** The oldest version that can use what the current one has written. */
  readonly readableBy: string;
  /** The only version that may be installed; empty for none. */
  readonly pin: string;
}

/** Builds are told apart by their digests: the same version may come again with other bytes. */
export function planUpdate(state: UpdateState, inputs: PlanInputs): Plan {
  const { current, offered, asked, force, readableBy, pin } = inputs;
  const refuse = (code: Extract<Plan, { kind: "refuse" }>["code"], why: string): Plan => ({
    kind: "refuse",
    code,
    why,
  });
  if (pin !== "" && offered.version !== pin) {
    return refuse("pinned", `this machine's policy allows version ${pin} only`);
  }
  if (digestOf(offered.name) === digestOf(current.name)) return { kind: "current" };
  const bad = isQuarantined(state, offered.name);
  if (bad && !force) return refuse("quarantined", `it was taken back before: ${bad.why}`);
  const downgrade = isOlder(offered.version, current.version);
  if (!downgrade) return { kind: "take", downgrade };
  if (!asked) return { kind: "current" };
  if (isOlder(offered.version, readableBy)) {
    return refuse(
      "unreadable",
      `it cannot read what ${current.version} has written; ${readableBy} is the oldest that can`,
    );
  }
  return force ? { kind: "take", downgrade } : refuse("older", `it is older than ${current.version}`);
}

export function isQuarantined({ quarantined }: UpdateState, name: string): Quarantined | undefined {
  return quarantined.find((one) => digestOf(one.name) === digestOf(name));
}

function withoutDigest({ quarantined }: UpdateState, name: string): readonly Quarantined[] {
  return quarantined.filter((one) => digestOf(one.name) !== digestOf(name));
}

function isOlder(a: string, b: string): boolean {
  const [one, other] = [findVersion(a), findVersion(b)];
  // What has no order is not taken for newer.
  return !one || !other || compareVersions(one, other) < 0;
}

function digestOf(name: string): string {
  return releaseOfName(name)?.digest ?? name;
}

/** To be on disk before the pointer moves: should the pointer not follow, `settled` finds the trial void. */
export function beginTrial(
  state: UpdateState,
  { name, before, home, force = false }: { name: string; before: string; home: string; force?: boolean },
  now: number,
): UpdateState {
  // One that never proved itself is nothing to go back to.
  const open = state.trial?.name === before ? state.trial.before : before;
  const quarantined = force ? withoutDigest(state, name) : state.quarantined;
  return {
    ...state,
    quarantined,
    lastGood: open,
    trial: { name, before: open, home, begun: now, failures: [], up: null },
  };
}

export type TrialEvent =
  /** Its daemon is ready; also said of one that was found to be up. */
  | { readonly kind: "ready" }
  | { readonly kind: "alive" }
  /** A start came to nothing, or the daemon ended unasked. */
  | { readonly kind: "failed"; readonly why: string }
  /** Nobody wants a daemon, so that there is nothing to try it with. */
  | { readonly kind: "unwanted" };

export interface TrialStep {
  readonly state: UpdateState;
  /** `again`: start it once more; `back`: the pointer is to go to `before`, and its daemon is to be started. */
  readonly verdict: "wait" | "again" | "good" | "back";
}

/** One transition of an open trial. The state is to be on disk before the verdict is acted upon. */
export function stepTrial(
  state: UpdateState,
  event: TrialEvent,
  now: number,
  { stableMs = UPDATE.stableMs }: { stableMs?: number } = {},
): TrialStep {
  const { trial } = state;
  if (!trial) return { state, verdict: "wait" };
  const version = releaseOfName(trial.name)?.version ?? trial.name;
  const told = { at: now, by: state.rounds.at(-1)?.by ?? "loop", version } as const;
  switch (event.kind) {
    case "ready":
      return { state: { ...state, trial: { ...trial, up: now } }, verdict: "wait" };
    case "alive": {
      const up = Math.min(trial.up ?? now, now);
      if (now - up < stableMs) return { state: { ...state, trial: { ...trial, up } }, verdict: "wait" };
      return good(state, { ...told, detail: `its daemon has been up for ${Math.round(stableMs / 1000)} s` });
    }
    case "unwanted":
      return good(state, { ...told, detail: "no daemon is wanted here, so there was nothing to try it with" });
    case "failed": {
      const failures = [...trial.failures, event.why];
      if (failures.length < UPDATE.failedStarts) {
        return { state: { ...state, trial: { ...trial, failures, up: null } }, verdict: "again" };
      }
      const quarantined = [...state.quarantined, { name: trial.name, at: now, why: event.why }].slice(
        -UPDATE.remembered,
      );
      const round: Round = {
        ...told,
        result: "taken-back",
        code: "trial",
        detail: failures.join("; then "),
        home: trial.home,
      };
      return {
        state: withRound({ ...state, trial: null, lastGood: trial.before, quarantined }, round),
        verdict: "back",
      };
    }
  }
}

function good(state: UpdateState, told: Omit<Round, "result" | "code">): TrialStep {
  const after = { ...state, trial: null, lastGood: state.trial?.name ?? state.lastGood };
  return { state: withRound(after, { ...told, result: "good", code: "" }), verdict: "good" };
}

/**
 * What state and pointer mean together, whoever was killed between writing the one and moving the other. A pointer that
 * somebody moved meanwhile is what they want; so is one out of quarantine that a person installed `byHand`.
 */
export function settled(
  state: UpdateState,
  current: string,
  { byHand = false }: { byHand?: boolean } = {},
): { readonly state: UpdateState; readonly goTo?: string } {
  const trial = state.trial?.name === current ? state.trial : null;
  const known = { ...state, trial };
  if (!trial && isQuarantined(state, current) && state.lastGood !== null && state.lastGood !== current) {
    if (byHand) return { state: { ...known, quarantined: withoutDigest(state, current) } };
    return { state: known, goTo: state.lastGood };
  }
  return { state: known };
}

/**
 * The round of a release that was taken back from the daemon of `home` so short a time ago that a daemon which is missing
 * there is missing for that.
 */
export function takenBackJustNow({ rounds }: UpdateState, home: string, now: number): Round | undefined {
  const last = rounds.at(-1);
  if (last?.result !== "taken-back" || (last.home ?? home) !== home) return undefined;
  return now >= last.at && now - last.at < UPDATE.restoringMs ? last : undefined;
}

/** May the daemon be restarted now: when nothing runs, or when that has been waited for long enough. */
export function mayRestart({ running, waitedMs }: { running: number; waitedMs: number }): boolean {
  return running === 0 || waitedMs >= UPDATE.patienceMs;
}
