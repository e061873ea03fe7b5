/** What the watcher of a trial makes of one look at the daemon: which end is the release's fault, and which somebody wanted. */
import type { StartReason } from "./launch.ts";
import type { TrialEvent } from "./update.ts";

export type Sight =
  /** Nobody answers, and nobody wants a daemon. */
  | { readonly kind: "unwanted" }
  /**
   * One is wanted, and none is there. `cutOff`: a restart stopped it, and nobody is there any more to start the next.
   * `ended`: the one that was watched has ended in good order.
   */
  | { readonly kind: "missing"; readonly cutOff: boolean; readonly ended?: boolean }
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
  /** The daemon that was watched is another one, and has ended in good order. */
  readonly ended?: boolean;
}

export interface Watch {
  /** The daemon that is watched, and what it said of `askedAt`. */
  readonly instance?: string;
  readonly askedAt?: string;
  /** Monotonic ms: when it was last known to be well. */
  readonly heard?: number;
  /** A service manager starts it. */
  readonly supervised?: boolean;
  /** How often a service manager was taken to have ended it. */
  readonly ends?: number;
}

/** In ms: one that was up and says nothing for so long is down. */
export const SILENT_MS = 20_000;

/** A service that ends in good order more often than this in one trial does so by itself. */
const ENDS = 3;

/** Another daemon that was started for one of these is no sign that the one before came to grief. */
const WANTED: ReadonlySet<StartReason> = new Set(["user", "new_options", "config_changed", "agent_binary_changed"]);

export interface WatchStep {
  readonly watch: Watch;
  /** `restart`: the daemon of the release on trial is to be started, in place of one that hangs too, as soon as that may be. */
  readonly act: TrialEvent | { readonly kind: "wait" } | { readonly kind: "restart" };
}

/** `up`: its daemon has been ready. `now`: monotonic. */
export function stepWatch(watch: Watch, sight: Sight, { up, now }: { up: boolean; now: number }): WatchStep {
  const { ends = 0 } = watch;
  if (sight.kind === "unwanted") return { watch, act: { kind: "unwanted" } };
  if (sight.kind === "busy") return { watch: { ...watch, heard: now }, act: { kind: "wait" } };
  if (sight.kind === "unclear") {
    const heard = watch.heard ?? now;
    if (now - heard < SILENT_MS) return { watch: { ...watch, heard }, act: { kind: "wait" } };
    return { watch: { ends }, act: up ? { kind: "failed", why: "its daemon does not answer" } : { kind: "restart" } };
  }
  if (!up) return taken(sight, { ends, now });
  // A watcher that came later takes the daemon it finds for the one that was started.
  if (sight.kind === "this" && (watch.instance ?? sight.instance) === sight.instance) {
    return { ...taken(sight, { ends, now }), act: { kind: "alive" } };
  }
  if (sight.kind === "missing" ? sight.cutOff : isWanted(watch, sight)) return taken(sight, { ends, now });
  // A person may end a service by its manager, which says nothing of that and starts the next one in its own time.
  if (watch.supervised && sight.ended && ends < ENDS) {
    if (sight.kind !== "missing") return taken(sight, { ends: ends + 1, now });
    if (now - (watch.heard ?? now) < SILENT_MS) return { watch, act: { kind: "wait" } };
    return { watch: { ...watch, ends: ends + 1, heard: now }, act: { kind: "restart" } };
  }
  return { watch: { ends }, act: { kind: "failed", why: "its daemon ended by itself" } };
}

/** What is there is watched from here on, or replaced by what can be. */
function taken(sight: Sight, { ends, now }: { ends: number; now: number }): WatchStep {
  if (sight.kind !== "this") return { watch: { ends }, act: { kind: "restart" } };
  const { instance, askedAt, supervised } = sight;
  return { watch: { instance, askedAt, supervised, ends, heard: now }, act: { kind: "ready" } };
}

/** A service manager starts again what has died, and says of nobody's wish what drover takes for a person's. */
function isWanted(watch: Watch, { reason, supervised, askedAt }: Daemon): boolean {
  return WANTED.has(reason) && (reason !== "user" || !supervised || askedAt !== watch.askedAt);
}
