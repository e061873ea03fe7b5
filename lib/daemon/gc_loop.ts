/** When directories are cleaned up: soon after the start, and every two hours. */
import type { Clock, Logger } from "../core/ports.ts";
import type { GcItem } from "./gc_round.ts";

const FIRST_MS = 30_000;
const EVERY_MS = 2 * 60 * 60_000;

/** Runs until the signal aborts; a round that fails is logged, and the next one comes all the same. */
export async function runGcLoop(
  { clock, log, round }: {
    clock: Clock;
    log: Logger;
    round: (signal: AbortSignal) => Promise<readonly GcItem[]>;
  },
  signal: AbortSignal,
): Promise<void> {
  for (let pause = FIRST_MS; !signal.aborted; pause = EVERY_MS) {
    await clock.sleep(pause, { signal }).catch(() => {});
    if (signal.aborted) return;
    try {
      const removed = (await round(signal)).filter((item) => item.removed);
      if (removed.length > 0) {
        log.info("directories that nobody needs any more were removed", {
          directories: removed.filter(({ kind }) => kind === "work").length,
          repositories: removed.filter(({ kind }) => kind === "repo").length,
        });
      }
    } catch (error) {
      if (!signal.aborted) log.warn("cleaning up failed", { error: (error as Error).message });
    }
  }
}
