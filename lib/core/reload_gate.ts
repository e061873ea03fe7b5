/** When may the daemon restart for a changed program: one owner, one restart for many changes, and a breaker over all. */
import type { BinaryMark, PhaseEvent } from "./phase.ts";

/** What to do about a changed agent CLI; of drover's own binary there is no `runtime`. */
export type ReloadMode = "off" | "notify" | "runtime" | "restart";

export interface ReloadPolicy {
  readonly agents: ReloadMode;
  readonly own: Exclude<ReloadMode, "runtime">;
  /** Somebody else starts and replaces this daemon, such as a desktop app: it never restarts by itself. */
  readonly managed: boolean;
}

/** All in ms. */
export const GATE = {
  restartGapMs: 10 * 60_000,
  restartCount: 3,
  restartWindowMs: 60 * 60_000,
  /** A drain outlasts a replacement of at most this; then it is given up until the files lie still. */
  settleMs: 2 * 60_000,
} as const;

/** A change that is certain. */
export interface Change {
  /** Provider, or `drover`. */
  readonly program: string;
  readonly own: boolean;
  readonly oldDigest: BinaryMark;
  readonly newDigest: BinaryMark;
  readonly since: number;
}

export type Deed = "ignore" | "tell" | "refresh" | "restart";

const DEEDS: Readonly<Record<ReloadMode, Deed>> = {
  off: "ignore",
  notify: "tell",
  runtime: "refresh",
  restart: "restart",
};

/** What the settings say about a change. */
export function deedFor(change: Change, policy: ReloadPolicy): Deed {
  const deed = DEEDS[change.own ? policy.own : policy.agents];
  return deed === "restart" && policy.managed ? "tell" : deed;
}

/** What is kept on disk from one instance to the next. Times are wall-clock ms, oldest first. */
export interface ReloadHistory {
  readonly restarts: readonly number[];
  /** Changes that are told and not acted upon until they are others. */
  readonly putOff?: { readonly set: string; readonly why: PutOff };
  /** The own binary whose hand-off failed last. */
  readonly refused?: BinaryMark;
}

/** They found no restart left in their hour, or a person cancelled the drain for them. */
export type PutOff = "restarts-spent" | "cancelled";

/** Why a change that asks for a restart does not get it. Where there is no time, only other files end it. */
export type Hold =
  /** An update is at work and brings the restart with it. */
  | { readonly why: "updating" }
  | { readonly why: "settling"; readonly since: number }
  | { readonly why: "just-restarted"; readonly until: number }
  /** `busy`: somebody was at work on the home when the restart was due. */
  | { readonly why: PutOff | "refused" | "stopping" | "busy" };

interface Told {
  readonly by: "reload" | "update";
  readonly binary: BinaryMark;
  /** The own binary among the changes. */
  readonly own?: BinaryMark;
}

export interface Gate {
  readonly owner: "none" | "reload" | "update";
  readonly handingOff: boolean;
  readonly stopping: boolean;
  /** The changes that ask for a restart. */
  readonly changes: readonly Change[];
  /** Since when something is being replaced. */
  readonly settling?: number;
  /** What the phase was told last and has not been told to forget. */
  readonly told?: Told;
  readonly hold?: Hold;
  readonly history: ReloadHistory;
}

export type GateEvent =
  /** After every look: all changes that ask for a restart, and whether any program is being replaced right now. */
  | { readonly kind: "looked"; readonly changes: readonly Change[]; readonly settling: boolean }
  /** Wants to own the restart. Refused while a reload is under way. */
  | { readonly kind: "update-begins" }
  /** The new version lies ready; the restart may come, unless this very binary failed before. `binary`: its digest. */
  | { readonly kind: "update-ready"; readonly binary: BinaryMark }
  /** It ended without a restart. */
  | { readonly kind: "update-ended" }
  /** The phase says `hand-off`. Only *go* may act, after the history is on disk. */
  | { readonly kind: "hand-off" }
  | { readonly kind: "hand-off-failed" }
  /** It was not tried: somebody else was at work on the home. The next look asks for it again. */
  | { readonly kind: "hand-off-put-off" }
  /** A person wants this daemon to go on, whatever it was to end for. */
  | { readonly kind: "drain-cancelled" }
  | { readonly kind: "stop" };

export interface GateStep {
  readonly gate: Gate;
  /** For the phase machine, in this order. */
  readonly phase: readonly PhaseEvent[];
  /** The answer to what asks: `update-begins`, `update-ready`, `hand-off`. */
  readonly answer: "go" | "refused" | "noted";
}

export function openGate(history: ReloadHistory = { restarts: [] }): Gate {
  return { owner: "none", handingOff: false, stopping: false, changes: [], history };
}

/** One transition. `now` is wall-clock time, as the history outlives the process. */
export function stepGate(gate: Gate, event: GateEvent, now: number): GateStep {
  switch (event.kind) {
    case "looked": {
      const settling = event.settling ? gate.settling ?? now : undefined;
      return decide({ ...gate, changes: event.changes, settling }, now);
    }
    case "update-begins":
      if (gate.owner !== "none" || gate.stopping) return step(gate, [], "refused");
      return step(...forget({ ...gate, owner: "update", hold: { why: "updating" } }), "go");
    case "update-ready":
      if (gate.owner !== "update" || gate.stopping || gate.handingOff) return step(gate, [], "refused");
      if (event.binary === gate.history.refused) return step(gate, [], "refused");
      return tell(gate, { by: "update", binary: event.binary, own: event.binary });
    case "update-ended":
      return gate.owner === "update" && !gate.handingOff ? decide({ ...gate, owner: "none" }, now) : step(gate);
    case "hand-off":
      return handOff(gate, now);
    case "hand-off-failed":
      return failed(gate);
    case "hand-off-put-off":
      if (gate.told === undefined || gate.handingOff || gate.stopping) return step(gate);
      return step({ ...gate, told: undefined, hold: { why: "busy" } }, [{ kind: "hand-off-put-off" }]);
    case "drain-cancelled": {
      if (gate.stopping && !gate.handingOff) return step({ ...gate, stopping: false, hold: undefined });
      if (gate.told === undefined || gate.handingOff) return step(gate);
      const history = gate.told.by === "reload"
        ? putOff(gate.history, setOf(wantedOf(gate)), "cancelled")
        : gate.history;
      return step(...forget({ ...gate, history }));
    }
    case "stop":
      return step({ ...gate, stopping: true, told: undefined, hold: { why: "stopping" } });
  }
}

/** Is the restart held up by files that are being replaced? Counts as one more thing in flight. */
export function settlingInFlight({ told, settling, owner }: Gate): 0 | 1 {
  return told !== undefined && settling !== undefined && owner === "none" ? 1 : 0;
}

export interface PendingReload {
  readonly since: number;
  readonly reason: "agents" | "own" | "update";
  readonly changes: readonly Change[];
  readonly hold?: Hold;
}

/** For status; absent when nothing waits. */
export function pendingReload({ changes, owner, hold }: Gate): PendingReload | undefined {
  if (changes.length === 0) return undefined;
  const since = Math.min(...changes.map((change) => change.since));
  const reason = owner === "update" ? "update" : changes.some(({ own }) => own) ? "own" : "agents";
  return { since, reason, changes, ...(hold ? { hold } : {}) };
}

function step(gate: Gate, phase: readonly PhaseEvent[] = [], answer: GateStep["answer"] = "noted"): GateStep {
  return { gate, phase, answer };
}

function tell(gate: Gate, told: Told): GateStep {
  const { binary } = told;
  return step({ ...gate, told }, gate.told?.binary === binary ? [] : [{ kind: "binary-changed", binary }], "go");
}

function forget(gate: Gate): [Gate, readonly PhaseEvent[]] {
  return [{ ...gate, told: undefined }, gate.told === undefined ? [] : [{ kind: "binary-restored" }]];
}

function decide(gate: Gate, now: number): GateStep {
  if (gate.stopping) return step(gate);
  // Whoever owns the restart brings all changes with it.
  if (gate.owner !== "none") return step({ ...gate, hold: gate.owner === "update" ? { why: "updating" } : undefined });
  const wanted = wantedOf(gate);
  const set = setOf(wanted);
  const hold = holdFor(gate, wanted.length, set, now);
  if (hold) {
    // A drain goes on while its files change once more; what waits is only its end.
    const patient = hold.why === "settling" && now - hold.since < GATE.settleMs;
    if (gate.told !== undefined && patient) return step({ ...gate, hold });
    const history = hold.why === "restarts-spent" ? putOff(gate.history, set, hold.why) : gate.history;
    return step(...forget({ ...gate, hold, history }));
  }
  if (wanted.length === 0) return step(...forget({ ...gate, hold: undefined }));
  // The phase does not try a mark again that failed. Agents are not to blame for that, so each try has a mark of its own.
  const binary = `${set}#${gate.history.restarts.at(-1) ?? 0}`;
  const own = wanted.find((change) => change.own)?.newDigest;
  const history = { ...gate.history, putOff: undefined };
  return tell({ ...gate, hold: undefined, history }, { by: "reload", binary, ...(own === undefined ? {} : { own }) });
}

function wantedOf({ changes, history }: Gate): readonly Change[] {
  return changes.filter(({ own, newDigest }) => !own || newDigest !== history.refused);
}

function setOf(changes: readonly Change[]): string {
  return changes.map(({ program, newDigest }) => `${program}=${newDigest}`).sort().join(",");
}

function holdFor(gate: Gate, wanted: number, set: string, now: number): Hold | undefined {
  const { settling, history, told, changes } = gate;
  if (settling !== undefined && (wanted > 0 || told !== undefined)) return { why: "settling", since: settling };
  if (wanted === 0) return changes.length > 0 ? { why: "refused" } : undefined;
  if (history.putOff?.set === set) return { why: history.putOff.why };
  const recent = withinWindow(history, now);
  if (recent.length >= GATE.restartCount) return { why: "restarts-spent" };
  const until = (recent.at(-1) ?? -Infinity) + GATE.restartGapMs;
  return until > now ? { why: "just-restarted", until } : undefined;
}

function putOff(history: ReloadHistory, set: string, why: PutOff): ReloadHistory {
  return { ...history, putOff: { set, why } };
}

/** Times ahead were written before the clock was set back; kept, they would hold everything up until then. */
function withinWindow({ restarts }: ReloadHistory, now: number): readonly number[] {
  return restarts.filter((at) => at <= now && now - at < GATE.restartWindowMs);
}

function handOff(gate: Gate, now: number): GateStep {
  // Under way already: asking twice is no second restart.
  if (gate.stopping || gate.handingOff || gate.told === undefined) return step(gate, [], "refused");
  if (gate.owner === "update") return step({ ...gate, handingOff: true }, [], "go");
  const restarts = [...withinWindow(gate.history, now), now];
  return step({ ...gate, owner: "reload", handingOff: true, history: { ...gate.history, restarts } }, [], "go");
}

function failed(gate: Gate): GateStep {
  const { told } = gate;
  // Nothing is resumed once a stop was asked for.
  if (told === undefined || !gate.handingOff) return step(gate);
  const history = told.own === undefined ? gate.history : { ...gate.history, refused: told.own };
  const event: PhaseEvent = { kind: "hand-off-failed", binary: told.binary };
  return step({ ...gate, owner: "none", handingOff: false, told: undefined, history }, [event]);
}
