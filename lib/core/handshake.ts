/** What a command does about the daemon it finds: may it work with that build, and what follows from the state of the home. */
import type { Phase } from "./phase.ts";
import { compareVersions, findVersion, type Version } from "./version.ts";

export interface Build {
  /** The constant of the build, never what a manifest says. */
  readonly version: string;
  /** Of the control socket. */
  readonly protocol: number;
}

/** Control protocols that this program can speak as a client; both ends belong to it. */
export const COMPATIBLE_PROTOCOLS = { min: 1, max: 1 } as const;

export type Handshake =
  | { readonly kind: "use"; readonly why: "equal" | "same-base" | "cli-older-compatible" }
  /** Bounded by the cool-down of `breaker.ts`: two dev builds would replace each other for ever. */
  | { readonly kind: "replace"; readonly why: "daemon-older" | "dev-differs" }
  | { readonly kind: "refuse"; readonly why: "cli-too-old" | "protocol-differs" | "unknown-version" };

/**
 * Whether a command may use the running daemon, must replace it, or must leave it alone. Only a strictly newer release
 * replaces, so that of two versions in turn only one ever does; two different dev builds have no order, and the one
 * that was called wins. A version that cannot be read is no reason to end a daemon.
 */
export function compareBuilds(
  cli: Build,
  daemon: Build,
  { protocols = COMPATIBLE_PROTOCOLS }: { protocols?: { readonly min: number; readonly max: number } } = {},
): Handshake {
  const [own, other] = [readBuild(cli.version), readBuild(daemon.version)];
  if (!own || !other) return { kind: "refuse", why: "unknown-version" };
  const speaks = daemon.protocol === cli.protocol ||
    (daemon.protocol >= protocols.min && daemon.protocol <= protocols.max);
  const order = orderOf(own, other);
  if (order === "differs") return { kind: "replace", why: "dev-differs" };
  if (order === "newer") return { kind: "replace", why: "daemon-older" };
  if (order === "older") {
    return speaks ? { kind: "use", why: "cli-older-compatible" } : { kind: "refuse", why: "cli-too-old" };
  }
  return speaks ? { kind: "use", why: order } : { kind: "refuse", why: "protocol-differs" };
}

interface ReadBuild {
  readonly kind: "release" | "dev";
  readonly version: Version;
  /** The whole text without a leading `v`. */
  readonly text: string;
}

const WHOLE = /^v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z][0-9A-Za-z-]*(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z.-]+)?)$/;

/** `-dev`, the commit behind a `+`, and what `git describe` adds after a tag or to changed sources: no release has them. */
const DEV = /-dev(?:[.+]|$)|\+|-\d+-g[0-9a-f]{4,}(?:[.-]|$)|[.-]dirty$/;

function readBuild(text: string): ReadBuild | undefined {
  const whole = WHOLE.exec(text)?.[1];
  const version = whole === undefined ? undefined : findVersion(whole);
  if (whole === undefined || !version) return undefined;
  return { kind: DEV.test(whole) ? "dev" : "release", version, text: whole };
}

/** How the command's build stands to the daemon's. A dev build beside a release is only as old as its three numbers. */
function orderOf(own: ReadBuild, other: ReadBuild): "equal" | "same-base" | "newer" | "older" | "differs" {
  if (own.text === other.text) return "equal";
  if (own.kind === "dev" && other.kind === "dev") return "differs";
  const mixed = own.kind !== other.kind;
  const base = (version: Version): Version => mixed ? { ...version, pre: "" } : version;
  const sign = compareVersions(base(own.version), base(other.version));
  if (sign !== 0) return sign > 0 ? "newer" : "older";
  return mixed ? "same-base" : "equal";
}

/** What a look at a home finds. Lock and control socket are the authority, the record only describes the holder. */
export interface Observation {
  readonly lock: "free" | "held";
  readonly record: SeenRecord;
  readonly control: SeenControl;
}

export type SeenRecord =
  | { readonly kind: "none" }
  | { readonly kind: "corrupt" }
  /**
   * `live`: this pid, start time and boot id exist, or the pid does and its identity may not be read.
   * `stale`: that process is gone for certain.
   */
  | { readonly kind: "live" | "stale"; readonly mode: "daemon" | "run"; readonly pid: number };

export type SeenControl =
  /** `instance`: whether whoever answers is the one that the record names. */
  | { readonly kind: "answers"; readonly phase: Phase["kind"]; readonly instance: "matches" | "differs" }
  /** It takes connections and does not answer in time, which is not the same as being dead. */
  | { readonly kind: "silent" }
  | { readonly kind: "absent" };

export type Verb = "start" | "stop" | "restart" | "status";

export type HomeState =
  | "running"
  | "starting"
  | "draining"
  | "stopping"
  | "stopped"
  | "degraded"
  | "unmanaged"
  | "crashed";

export type Decision =
  /** The daemon that is wanted is there. */
  | { readonly kind: "reuse" }
  | { readonly kind: "start" }
  /** Look again later, until the verb's deadline. */
  | { readonly kind: "wait"; readonly why: WaitReason }
  /** For `stop` there is nothing after it. A signal goes to `pid` only, its identity checked again before each. */
  | { readonly kind: "stop-first"; readonly by: "asking" }
  | { readonly kind: "stop-first"; readonly by: "asking-then-signal" | "signal"; readonly pid: number }
  /** Remove or put aside what a dead holder left, and look again. */
  | { readonly kind: "clean"; readonly what: "stale-record" | "corrupt-record" }
  | { readonly kind: "nothing"; readonly why: "not-running" | "only-looking" }
  | { readonly kind: "refuse"; readonly why: RefuseReason };

export type WaitReason = "starting" | "draining" | "stopping" | "unresponsive" | "run-holds-home";

export type RefuseReason =
  /** A daemon that no record describes: it is never ended unasked. */
  | "unmanaged"
  /** Somebody holds the lock, hangs, and cannot be told from any other process. */
  | "unidentified"
  /** The daemon serves without the lock, whose file was replaced: a second one could be started beside it. */
  | "lock-lost"
  /** A `drover run` ends with its task; only `--now` ends it before. */
  | "run-holds-home";

type Situation =
  | "empty"
  | "leftover"
  | "leaving"
  | "unpublished-start"
  | "unpublished-end"
  | "unmanaged"
  | "unidentified"
  | "hanging"
  | "starting"
  | "up"
  | "draining"
  | "ending"
  | "lock-lost";

type Answer = Decision | "clean" | "stop-first";

interface Rule {
  readonly state: HomeState;
  readonly start: Answer;
  readonly stop: Answer;
}

const NOT_RUNNING: Answer = { kind: "nothing", why: "not-running" };

function wait(why: WaitReason): Answer {
  return { kind: "wait", why };
}

function refuse(why: RefuseReason): Answer {
  return { kind: "refuse", why };
}

const RULES: { readonly [S in Situation]: Rule } = {
  empty: { state: "stopped", start: { kind: "start" }, stop: NOT_RUNNING },
  leftover: { state: "crashed", start: "clean", stop: "clean" },
  // It gave up the lock and is not gone yet: a successor would meet what it still has open.
  leaving: { state: "stopping", start: wait("stopping"), stop: "stop-first" },
  // The record is written after the lock is taken, and removed before it is given up.
  "unpublished-start": { state: "starting", start: wait("starting"), stop: wait("starting") },
  "unpublished-end": { state: "stopping", start: wait("stopping"), stop: wait("stopping") },
  unmanaged: { state: "unmanaged", start: refuse("unmanaged"), stop: refuse("unmanaged") },
  unidentified: { state: "unmanaged", start: refuse("unidentified"), stop: refuse("unidentified") },
  hanging: { state: "degraded", start: wait("unresponsive"), stop: "stop-first" },
  starting: { state: "starting", start: wait("starting"), stop: "stop-first" },
  up: { state: "running", start: { kind: "reuse" }, stop: "stop-first" },
  draining: { state: "draining", start: wait("draining"), stop: "stop-first" },
  ending: { state: "stopping", start: wait("stopping"), stop: "stop-first" },
  "lock-lost": { state: "degraded", start: refuse("lock-lost"), stop: "stop-first" },
};

/** The state that `drover status` shows. Defined for every observation. */
export function stateOf(observation: Observation): HomeState {
  return RULES[situationOf(observation)].state;
}

/**
 * The next step of a verb; the caller acts and looks again. `mode` is how a holder would be ended. Whether a daemon
 * that is reused has the right build is the question of `compareBuilds`; the answer *replace* means `restart`.
 */
export function decide(
  verb: Verb,
  observation: Observation,
  { mode = "drain" }: { mode?: "drain" | "now" } = {},
): Decision {
  if (verb === "status") return { kind: "nothing", why: "only-looking" };
  const situation = situationOf(observation);
  const { start, stop } = RULES[situation];
  const answer = verb === "start" || (verb === "restart" && situation === "empty") ? start : stop;
  if (answer === "clean") {
    return { kind: "clean", what: observation.record.kind === "corrupt" ? "corrupt-record" : "stale-record" };
  }
  const run = isRecorded(observation.record) && observation.record.mode === "run";
  if (answer === "stop-first") {
    return run && mode === "drain" ? { kind: "refuse", why: "run-holds-home" } : stopFirst(observation);
  }
  return run && answer.kind === "reuse" ? { kind: "wait", why: "run-holds-home" } : answer;
}

/** Only a record whose process is known to be alive ever yields a pid. */
function stopFirst({ record, control }: Observation): Decision {
  if (record.kind !== "live") return { kind: "stop-first", by: "asking" };
  const by = control.kind === "answers" ? "asking-then-signal" : "signal";
  return { kind: "stop-first", by, pid: record.pid };
}

function isRecorded(record: SeenRecord): record is Extract<SeenRecord, { pid: number }> {
  return record.kind === "live" || record.kind === "stale";
}

function situationOf({ lock, record, control }: Observation): Situation {
  if (control.kind === "answers") {
    const matches = control.instance === "matches" && isRecorded(record);
    return matches ? recordedSituation(lock, control.phase) : unrecordedSituation(control.phase);
  }
  if (record.kind === "live") return lock === "held" ? "hanging" : "leaving";
  if (lock === "held") return control.kind === "silent" ? "unidentified" : "unpublished-start";
  return record.kind === "none" ? "empty" : "leftover";
}

const RECORDED: { readonly [K in Phase["kind"]]: Situation } = {
  starting: "starting",
  running: "up",
  "reload-pending": "up",
  draining: "draining",
  stopped: "ending",
};

function recordedSituation(lock: Observation["lock"], phase: Phase["kind"]): Situation {
  const situation = RECORDED[phase];
  return lock === "free" && (situation === "up" || situation === "draining") ? "lock-lost" : situation;
}

function unrecordedSituation(phase: Phase["kind"]): Situation {
  if (phase === "starting") return "unpublished-start";
  return phase === "stopped" ? "unpublished-end" : "unmanaged";
}
