/** The heartbeat: one beat per runtime and interval, which keeps it online and tells when the server has forgotten it. */
import { LEASE } from "../core/lease.ts";
import type { Clock, Logger, Random } from "../core/ports.ts";
import type { Connection } from "./connection.ts";

export interface HeartbeatOptions {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Called when the server no longer knows a runtime. */
  readonly onGone: () => void;
}

/** Runs until the signal aborts. The first beat comes at a random point of the interval, so that many daemons spread. */
export async function runHeartbeat(options: HeartbeatOptions, signal: AbortSignal): Promise<void> {
  const { connection, clock, random, log } = options;
  let wait = LEASE.heartbeatMs * random.fraction();
  for (;;) {
    try {
      await clock.sleep(wait, { signal });
    } catch {
      return;
    }
    const ids = [...connection.runtimes.keys()];
    const results = await Promise.all(ids.map((id) => connection.client.heartbeat(id, { signal })));
    if (signal.aborted) return;
    let gone = false;
    for (const result of results) {
      if (result.kind === "ok") continue;
      if (result.gone === "runtime") gone = true;
      else log.warn("heartbeat failed", { connection: connection.name, why: result.detail });
    }
    if (gone) options.onGone();
    wait = LEASE.heartbeatMs;
  }
}
