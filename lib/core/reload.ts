/** When do we believe that a program was replaced: what is seen of its files and its `--version`, as one state machine. */
import type { BinaryMark } from "./phase.ts";

/** All in ms. */
export const RELOAD = {
  /** A digest is believed when it is seen twice with at least this much in between. */
  settleMs: 2_000,
  /** The files are read at least this often, for what their marks do not show. */
  fullHashMs: 30 * 60_000,
  /** Gone or impossible to start for so long is no upgrade under way any more: an npm upgrade takes 1 to 5 s. */
  goneMs: 2 * 60_000,
  /** After a probe that told nothing new; doubled each time, up to the longest. */
  probeGapMs: 30_000,
  maxProbeGapMs: 30 * 60_000,
} as const;

/** What one tick saw of all files of a program together. */
export type Sight =
  /** `digest` where the files were read as well. */
  | { readonly kind: "seen"; readonly mark: string; readonly digest?: BinaryMark }
  | { readonly kind: "missing" | "not-executable" }
  | { readonly kind: "unreadable"; readonly why: string };

/** What the servers were told. */
export interface Registered {
  /** Unknown after a start: the version was asked for before anybody had read the files. */
  readonly digest?: BinaryMark;
  readonly version: string;
}

export type Gone = "missing" | "not-executable" | "rejected";

export type WatchState =
  | { readonly kind: "unchanged" }
  | { readonly kind: "reverted"; readonly since: number }
  /** Something new is there that is not believed yet. */
  | { readonly kind: "replacing"; readonly since: number }
  /** Believed; acted upon once a probe gave a version. */
  | { readonly kind: "changed"; readonly since: number }
  | { readonly kind: "missing" | "not-executable"; readonly since: number }
  | { readonly kind: "unreadable"; readonly since: number; readonly why: string }
  /** Not registered: never found, gone, or of no use. `digest`: the bytes that are of no use. */
  | { readonly kind: "absent"; readonly since: number; readonly why: Gone; readonly digest?: BinaryMark };

/** A change that is believed and not registered yet. It outlives what is seen meanwhile, until it is acted upon or undone. */
export interface Pending {
  readonly since: number;
  readonly digest: BinaryMark;
  readonly by: "bytes" | "version";
  /** Of the new program; without it nothing acts. */
  readonly version?: string;
}

/** The files as they were last read. */
interface Sample {
  readonly mark: string;
  readonly markSince: number;
  readonly digest: BinaryMark;
  readonly digestSince: number;
  readonly at: number;
}

interface Probes {
  /** When the last one ended. */
  readonly at: number;
  /** In a row that told nothing new, though something had moved or the last answer was none. */
  readonly fruitless: number;
  /** Since when the system has refused to start these bytes. */
  readonly refusedSince?: number;
}

export interface Watch {
  readonly state: WatchState;
  readonly registered?: Registered;
  readonly pending?: Pending;
  readonly sample?: Sample;
  readonly probes: Probes;
  /** The version is to be asked for: the files were touched, if only to hold the same bytes, or the last answer was none. */
  readonly owed: boolean;
}

export type WatchEvent =
  | { readonly kind: "sighted"; readonly sight: Sight }
  /** `digest`: of the bytes that were probed; a probe of others says nothing any more. */
  | { readonly kind: "probed"; readonly digest: BinaryMark; readonly result: ProbeResult }
  | { readonly kind: "registered"; readonly digest: BinaryMark; readonly version: string }
  /** A definite no to these very bytes, such as a version below the minimum. */
  | { readonly kind: "rejected"; readonly digest: BinaryMark };

export type ProbeResult =
  | { readonly kind: "version"; readonly version: string }
  /** It timed out, failed or printed nothing: no evidence of anything. */
  | { readonly kind: "nothing" }
  /** The system cannot start the file. */
  | { readonly kind: "refused" };

/** What became certain; for the log, and for whoever acts. */
export type WatchNews = "settling" | "changed" | "appeared" | "reverted" | "back" | "withdrawn";

export interface WatchStep {
  readonly watch: Watch;
  readonly news: readonly WatchNews[];
}

/** A program as registered at `now`, or one that was looked for and not found. */
export function startWatch(registered: Registered | undefined, now: number): Watch {
  const probes = { at: now, fruitless: 0 };
  return registered
    ? { state: { kind: "unchanged" }, registered, probes, owed: false }
    : { state: { kind: "absent", since: now, why: "missing" }, probes, owed: false };
}

/** One transition. */
export function stepWatch(watch: Watch, event: WatchEvent, now: number): WatchStep {
  switch (event.kind) {
    case "sighted":
      return event.sight.kind === "seen" ? seen(watch, event.sight, now) : notSeen(watch, event.sight, now);
    case "probed":
      return calm(watch) && event.digest === watch.sample?.digest ? probed(watch, event.result, now) : quiet(watch);
    case "registered":
      return quiet(registered(watch, { digest: event.digest, version: event.version }));
    case "rejected":
      if (event.digest !== watch.sample?.digest) return quiet(watch);
      return withdrawn(watch, { kind: "absent", since: now, why: "rejected", digest: event.digest });
  }
}

/** Must the files be read, or is it enough that their marks are as they were? */
export function needsHash({ sample }: Watch, mark: string, now: number): boolean {
  if (!sample || sample.mark !== mark) return true;
  // What follows a change within the same second may leave the very same mark.
  const fresh = sample.at - sample.markSince < RELOAD.settleMs;
  return fresh || !believable(sample) || now - sample.at >= RELOAD.fullHashMs;
}

/**
 * Is it time to ask for the version? `everyMs`: for a program that may run other code than its files hold, how long one
 * answer is good for.
 */
export function needsProbe(watch: Watch, now: number, everyMs: number = Infinity): boolean {
  const { probes } = watch;
  if (!watch.sample || !calm(watch)) return false;
  const gap = probes.fruitless === 0 ? 0 : RELOAD.probeGapMs * 2 ** (probes.fruitless - 1);
  const since = now - probes.at;
  return (watch.owed && since >= Math.min(gap, RELOAD.maxProbeGapMs)) || since >= everyMs;
}

/** After how long to look again: soon while something is going on, else at the usual interval. */
export function lookAgainMs(watch: Watch, intervalMs: number): number {
  const { sample, state } = watch;
  const unbelieved = sample === undefined
    ? unbased(watch)
    : !believable(sample) && (unbased(watch) || state.kind === "absent");
  const open = unsettled(watch) || unbelieved;
  return open ? Math.min(RELOAD.settleMs, intervalMs) : intervalMs;
}

/** The change that may be acted upon now. */
export function confirmedChange({ state, pending }: Watch): Pending & { readonly version: string } | undefined {
  if (state.kind !== "changed" || pending?.version === undefined) return undefined;
  return { ...pending, version: pending.version };
}

/** Something is going on with its files: what is believed now may be wrong in a moment. */
export function unsettled({ state }: Watch): boolean {
  return state.kind === "replacing" || state.kind === "missing" || state.kind === "not-executable";
}

/** May a task start this program? `wait`: for a bounded time, it is probably being replaced. */
export function mayLaunch(watch: Watch): "go" | "wait" | "no" {
  const { state, sample } = watch;
  // What is there again may become of use in a moment.
  if (state.kind === "absent") return sample !== undefined && sample.digest !== state.digest ? "wait" : "no";
  const unproven = watch.pending !== undefined && watch.pending.version === undefined;
  return unsettled(watch) || unproven ? "wait" : "go";
}

function believable(sample: Sample): boolean {
  return sample.at - sample.digestSince >= RELOAD.settleMs;
}

/** What is there is believed, be it old or new. */
function calm({ state }: Watch): boolean {
  return state.kind === "unchanged" || state.kind === "reverted" || state.kind === "changed";
}

function quiet(watch: Watch): WatchStep {
  return { watch, news: [] };
}

function seen(watch: Watch, { mark, digest }: Extract<Sight, { kind: "seen" }>, now: number): WatchStep {
  const before = watch.sample;
  if (digest === undefined) {
    // Touched and not read is no evidence, except that it is there again.
    if (before?.mark === mark) return quiet(watch);
    return present({ ...watch, sample: undefined }, now);
  }
  const sample: Sample = {
    mark,
    markSince: before?.mark === mark ? before.markSince : now,
    digest,
    digestSince: before?.digest === digest ? before.digestSince : now,
    at: now,
  };
  const owed = watch.owed || (before !== undefined && before.mark !== mark);
  // A refusal counts for as long as these very bytes are there.
  const probes = before?.digest === digest ? watch.probes : { ...watch.probes, refusedSince: undefined };
  const moves = before !== undefined && before.digest !== digest;
  const next: Watch = { ...watch, sample, owed, probes };
  return unbased(next) ? settle(next, sample, moves, now) : judge(next, sample, now);
}

/** Registered by a version alone, so that there is nothing yet to compare bytes with. */
function unbased({ registered, pending }: Watch): boolean {
  return registered !== undefined && registered.digest === undefined && pending === undefined;
}

/** The first bytes that lie still are those that were registered, if they give the same version. */
function settle(watch: Watch, sample: Sample, moves: boolean, now: number): WatchStep {
  if (believable(sample)) return quiet({ ...watch, state: { kind: "unchanged" }, owed: true });
  return moves ? replacing(watch, now) : present(watch, now);
}

/** What a digest means, by what is registered. */
function judge(watch: Watch, sample: Sample, now: number): WatchStep {
  const { state, pending } = watch;
  const { digest } = sample;
  const familiar = watch.registered?.digest === digest;
  // Bytes that stay as they were say nothing about a change that only the version showed.
  if (familiar && calm(watch) && pending?.by !== "bytes") return quiet(watch);
  if (!believable(sample)) {
    return state.kind === "absent" || unread(watch) ? present(watch, now) : replacing(watch, now);
  }
  if (familiar) return back(watch, now);
  if (state.kind === "absent" && state.digest === digest) return quiet(watch);
  if (pending?.by === "bytes" && pending.digest === digest) {
    return quiet(state.kind === "changed" ? watch : { ...watch, state: { kind: "changed", since: now } });
  }
  return quiet({
    ...watch,
    state: { kind: "changed", since: now },
    // A later change does not begin the wait anew.
    pending: { since: pending?.since ?? now, digest, by: "bytes" },
    probes: { at: now, fruitless: 0 },
    owed: true,
  });
}

/** The registered bytes are believed again. */
function back(watch: Watch, now: number): WatchStep {
  if (!watch.pending) return { watch: { ...watch, state: { kind: "unchanged" } }, news: ["back"] };
  if (watch.pending.by === "version") return quiet({ ...watch, state: { kind: "changed", since: now } });
  return reverted(watch, now);
}

function reverted(watch: Watch, now: number): WatchStep {
  return { watch: { ...watch, state: { kind: "reverted", since: now }, pending: undefined }, news: ["reverted"] };
}

function unread({ state }: Watch): boolean {
  return state.kind === "missing" || state.kind === "not-executable" || state.kind === "unreadable";
}

/** There again, and not believed yet: whatever was counted while it was not begins anew the next time. */
function present(watch: Watch, now: number): WatchStep {
  return quiet(unread(watch) ? { ...watch, state: { kind: "replacing", since: now } } : watch);
}

function replacing(watch: Watch, now: number): WatchStep {
  if (watch.state.kind === "replacing") return quiet(watch);
  return { watch: { ...watch, state: { kind: "replacing", since: now } }, news: ["settling"] };
}

function notSeen(watch: Watch, sight: Exclude<Sight, { kind: "seen" }>, now: number): WatchStep {
  const { state } = watch;
  const without: Watch = { ...watch, sample: undefined };
  if (state.kind === "absent") return quiet(without);
  if (sight.kind === "unreadable") {
    const since = state.kind === "unreadable" ? state.since : now;
    return quiet({ ...without, state: { kind: "unreadable", since, why: sight.why } });
  }
  // One window for both: an upgrade may leave nothing, then a file without its mode, then nothing again.
  const since = state.kind === "missing" || state.kind === "not-executable" ? state.since : now;
  if (now - since >= RELOAD.goneMs) return withdrawn(without, { kind: "absent", since: now, why: sight.kind });
  const news: WatchNews[] = unsettled(watch) ? [] : ["settling"];
  return { watch: { ...without, state: { kind: sight.kind, since } }, news };
}

function withdrawn(watch: Watch, state: WatchState): WatchStep {
  const known = watch.registered !== undefined;
  return { watch: { ...watch, state, registered: undefined, pending: undefined }, news: known ? ["withdrawn"] : [] };
}

function probed(watch: Watch, result: ProbeResult, now: number): WatchStep {
  const fruitless = watch.probes.fruitless + (watch.owed ? 1 : 0);
  if (result.kind === "version") return versioned(watch, result.version, { at: now, fruitless }, now);
  const none: Probes = { at: now, fruitless: Math.max(fruitless, 1) };
  if (result.kind === "nothing") return quiet({ ...watch, owed: true, probes: none });
  const refusedSince = watch.probes.refusedSince ?? now;
  const refused: Watch = { ...watch, owed: true, probes: { ...none, refusedSince } };
  if (now - refusedSince < RELOAD.goneMs) return quiet(refused);
  return withdrawn(refused, { kind: "absent", since: now, why: "not-executable", digest: watch.sample?.digest });
}

function versioned(before: Watch, version: string, probes: Probes, now: number): WatchStep {
  const watch: Watch = { ...before, owed: false, probes };
  const { state, pending, sample, registered } = watch;
  const found: Watch = { ...watch, probes: { at: now, fruitless: 0 } };
  if (sample && unbased(watch)) {
    const { digest } = sample;
    if (version === registered?.version) return quiet({ ...found, registered: { digest, version } });
    const pending: Pending = { since: now, digest, by: "bytes", version };
    return { watch: { ...found, state: { kind: "changed", since: now }, pending }, news: ["changed"] };
  }
  if (state.kind === "changed" && pending?.by === "bytes") {
    if (pending.version === version) return quiet(watch);
    return { watch: { ...found, pending: { ...pending, version } }, news: [registered ? "changed" : "appeared"] };
  }
  if (!registered || !sample) return quiet(watch);
  if (version === registered.version) return pending ? reverted(found, now) : quiet(watch);
  if (pending?.version === version) return quiet(watch);
  const believed: Pending = { since: pending?.since ?? now, digest: sample.digest, by: "version", version };
  return { watch: { ...found, state: { kind: "changed", since: now }, pending: believed }, news: ["changed"] };
}

/** What a server accepted is what later sights are compared with, so the same change is never seen twice. */
function registered(watch: Watch, now: Registered): Watch {
  const { pending, sample, state } = watch;
  // An answer that comes after the program is gone does not bring it back.
  if (state.kind === "absent") return watch;
  const done = !pending || (pending.digest === now.digest && (pending.version ?? now.version) === now.version);
  if (!done) return { ...watch, registered: now };
  const here = state.kind === "changed" && sample?.digest === now.digest;
  return { ...watch, registered: now, pending: undefined, state: here ? { kind: "unchanged" } : state };
}
