/** What the watcher of a trial makes of one look at the daemon: which end is the release's fault, and which somebody wanted. */
import type { StartReason } from "./launch.ts";
import type { TrialEvent } from "./update.ts";

export type Sight =
  /** Nobody answers, and nobody wants a daemon. */
  | { readonly kind: "unwanted" }
  /** One is wanted, and none is there. `cutOff`: a restart stopped it, and nobody is there any more to start the next. */
  | { readonly kind: "missing"; readonly cutOff: boolean }
  | Daemon
  /** Somebody is at work on it, or it ends because it was told to. */
  | { readonly kind: "busy" }
  /** It starts, or does not answer right now; or is somebody's `drover run`. */
  | { readonly kind: "unclear" };

/** It serves: of the release on trial, or of another one. */
export interface Daemon {
  readonly kind: "this" | "other";
  readonly instance: string;
  /** How many tasks it has. */
  readonly running: number;
  readonly reason: StartReason;
  readonly supervised: boolean;
  /** When somebody last asked for a daemon, as it is noted. */
  readonly askedAt: string;
}

export interface Watch {
  /** The daemon that is watched, and what it said of `askedAt`. */
  readonly instance?: string;
  readonly askedAt?: string;
  /** Monotonic ms: when it was last known to be well. */
  readonly heard?: number;
}

/** In ms: one that was up and says nothing for so long is down. */
export const SILENT_MS = 20_000;

/** Another daemon that was started for one of these is no sign that the one before came to grief. */
const WANTED: ReadonlySet<StartReason> = new Set(["user", "new_options", "config_changed", "agent_binary_changed"]);

export interface WatchStep {
  readonly watch: Watch;
  /** `restart`: the daemon of the release on trial is to be started, as soon as that may be. */
  readonly act: TrialEvent | { readonly kind: "wait" } | { readonly kind: "restart" };
}

/** `up`: its daemon has been ready. `now`: monotonic. */
export function stepWatch(watch: Watch, sight: Sight, { up, now }: { up: boolean; now: number }): WatchStep {
  if (sight.kind === "unwanted") return { watch, act: { kind: "unwanted" } };
  if (!up) {
    if (sight.kind === "this") return { watch: watchOf(sight, now), act: { kind: "ready" } };
    return { watch, act: sight.kind === "busy" || sight.kind === "unclear" ? { kind: "wait" } : { kind: "restart" } };
  }
  if (sight.kind === "busy") return { watch: { ...watch, heard: now }, act: { kind: "wait" } };
  if (sight.kind === "unclear") {
    const heard = watch.heard ?? now;
    if (now - heard < SILENT_MS) return { watch: { ...watch, heard }, act: { kind: "wait" } };
    return { watch: {}, act: { kind: "failed", why: "its daemon does not answer" } };
  }
  // A watcher that came later takes the daemon it finds for the one that was started.
  if (sight.kind === "this" && (watch.instance ?? sight.instance) === sight.instance) {
    return { watch: watchOf(sight, now), act: { kind: "alive" } };
  }
  if (sight.kind === "missing" ? sight.cutOff : isWanted(watch, sight)) {
    return sight.kind === "this"
      ? { watch: watchOf(sight, now), act: { kind: "ready" } }
      : { watch: {}, act: { kind: "restart" } };
  }
  return { watch: {}, act: { kind: "failed", why: "its daemon ended by itself" } };
}

function watchOf({ instance, askedAt }: Daemon, heard: number): Watch {
  return { instance, askedAt, heard };
}

/** A service manager starts again what has died, and says of nobody's wish what drover takes for a person's. */
function isWanted(watch: Watch, { reason, supervised, askedAt }: Daemon): boolean {
  return WANTED.has(reason) && (reason !== "user" || !supervised || askedAt !== watch.askedAt);
}
