/** Opens a database and makes what every part of the coordinator works with, in step with the other processes over it. */
import type { Clock, Logger, Random } from "../core/ports.ts";
import type { Database } from "./database.ts";
import type { Shared } from "./deps.ts";
import { hearPeers, tellPeers } from "./notices.ts";
import { openStore } from "./open_store.ts";
import { Progress } from "./progress.ts";
import { Topics, Wakeups } from "./wake.ts";

export interface SharedOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Throws `StoreError` when the database cannot be used. */
export async function openShared({ database, clock, random, log }: SharedOptions): Promise<Shared> {
  const store = await openStore(database, { clock, log });
  const tell = tellPeers(store.peers);
  const shared: Shared = {
    store,
    clock,
    random,
    log,
    wakeups: new Wakeups(clock, tell),
    topics: new Topics(log, tell),
    progress: new Progress(tell),
  };
  hearPeers(store.peers, shared);
  return shared;
}
