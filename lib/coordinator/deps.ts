/** What every part of the coordinator works with: the store, the ports, those who listen, and this workspace. */
import type { Clock, Logger, Random } from "../core/ports.ts";
import type { Progress } from "./progress.ts";
import type { Store } from "./store.ts";
import type { Topics, Wakeups } from "./wake.ts";

export interface Deps {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Hints for daemons. */
  readonly wakeups: Wakeups;
  /** Who follows which task. */
  readonly topics: Topics;
  readonly progress: Progress;
  readonly workspaceId: string;
}

/** `work` gets what it works with anew: its store is the transaction. Name it `deps`, so that the outer one is out of reach. */
export function inTransaction<T>(deps: Deps, work: (deps: Deps) => Promise<T>): Promise<T> {
  return deps.store.transaction((store) => work({ ...deps, store }));
}
