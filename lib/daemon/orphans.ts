/** Recovering orphans: tells a server that what it believes to run on a runtime was lost with an earlier process. */
import { backoffDelay } from "../core/pace.ts";
import type { Clock, Logger, Random } from "../core/ports.ts";
import type { WireClient } from "../wire/client.ts";
import { isMendable, isTransient } from "../wire/retry.ts";
import { createTroubleLog } from "./trouble_log.ts";

const BACKOFF = { firstMs: 1_000, maxMs: 60_000 } as const;

/** Fails whatever is in flight on these runtimes at that moment; tries again until each has been told. */
export async function recoverOrphans(
  ids: readonly string[],
  { client, clock, random, log }: {
    readonly client: Pick<WireClient, "name" | "recoverOrphans">;
    readonly clock: Clock;
    readonly random: Random;
    readonly log: Logger;
  },
  signal: AbortSignal,
): Promise<void> {
  let orphaned = 0;
  for (const id of ids) {
    const trouble = createTroubleLog(log, {
      failed: "recovering orphans failed",
      fine: "orphans were recovered at last",
      fields: { connection: client.name, runtime: id },
    });
    for (let failures = 1;; failures++) {
      const result = await client.recoverOrphans(id, { signal });
      if (result.kind === "ok") {
        orphaned += result.value.orphaned;
        trouble.fine();
        break;
      }
      trouble.failed(result.detail);
      // A runtime that is gone by now has no orphans; the heartbeat sees to the rest.
      if (result.gone !== undefined || !(isTransient(result) || isMendable(result))) break;
      await clock.sleep(backoffDelay(failures, BACKOFF, random.fraction()), { signal });
    }
  }
  if (orphaned > 0) log.warn("tasks of an earlier process were recovered", { orphaned });
}
