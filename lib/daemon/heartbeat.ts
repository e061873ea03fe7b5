/** The heartbeat: one beat per runtime and interval, which keeps it online and tells when the server has forgotten it. */
import { LEASE } from "../core/lease.ts";
import type { Clock, Logger, Random } from "../core/ports.ts";
import type { Connection } from "./connection.ts";
import { createTroubleLog } from "./trouble_log.ts";

export interface HeartbeatOptions {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Called when the server no longer knows a runtime. */
  readonly onGone: () => void;
  /** Called each time the loop comes round. */
  readonly onTurn?: () => void;
}

/** Runs until the signal aborts. The first beat comes at a random point of the interval, so that many daemons spread. */
export async function runHeartbeat(options: HeartbeatOptions, signal: AbortSignal): Promise<void> {
  const { connection, clock, random } = options;
  const fields = { connection: connection.name };
  const trouble = createTroubleLog(options.log, {
    failed: "heartbeat failed",
    fine: "heartbeats arrive again",
    fields,
  });
  let wait = LEASE.heartbeatMs * random.fraction();
  for (;;) {
    options.onTurn?.();
    try {
      await clock.sleep(wait, { signal });
    } catch {
      return;
    }
    const ids = [...connection.runtimes.keys()];
    const results = await Promise.all(ids.map((id) => connection.client.heartbeat(id, { signal })));
    if (signal.aborted) return;
    const failures = results.filter((result) => result.kind !== "ok");
    const [failed] = failures.filter(({ gone }) => gone !== "runtime");
    if (failed) trouble.failed(failed.detail);
    else trouble.fine();
    if (failures.some(({ gone }) => gone === "runtime")) options.onGone();
    wait = LEASE.heartbeatMs;
  }
}
