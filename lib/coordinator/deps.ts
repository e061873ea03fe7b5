/** What every part of the coordinator works with: the store, the ports, those who listen, and the workspace of the call. */
import type { Clock, Logger, Random } from "../core/ports.ts";
import type { Progress } from "./progress.ts";
import type { Store } from "./store.ts";
import type { Topics, Wakeups } from "./wake.ts";

/** What belongs to all workspaces together. Who has only this asks for rows by id, or for those of nobody in particular. */
export interface Shared {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Hints for daemons. */
  readonly wakeups: Wakeups;
  /** Who follows which task. */
  readonly topics: Topics;
  readonly progress: Progress;
}

/** Within one workspace, which somebody has looked up and the caller may enter (`access.ts`). */
export interface Deps extends Shared {
  readonly workspaceId: string;
}

/** `work` gets what it works with anew: its store is the transaction. Name it `deps`, so that the outer one is out of reach. */
export function inTransaction<Given extends Shared, T>(deps: Given, work: (deps: Given) => Promise<T>): Promise<T> {
  return deps.store.transaction((store) => work({ ...deps, store }));
}
