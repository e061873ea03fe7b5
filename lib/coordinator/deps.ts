/** What every part of the coordinator works with: the store, the ports, those who listen, and this workspace. */
import type { Clock, Logger, Random } from "../core/ports.ts";
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
  /** The latest progress line of tasks in flight. Worth nothing after a restart, so it is not stored. */
  readonly progress: Map<string, string>;
  readonly workspaceId: string;
}
