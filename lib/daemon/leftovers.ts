/** What an earlier instance of a daemon left behind is ended and put back: nothing of it may write when its task is handed out again. */
import type { Home } from "../core/home.ts";
import type { Files, Logger, Processes } from "../core/ports.ts";
import { restoreAllPlaced } from "./placed_files.ts";

export async function endLeftovers(
  { daemonId, processes, home, files, log }: {
    daemonId: string;
    processes: Pick<Processes, "endMarked">;
    home: Home;
    files: Files;
    log: Logger;
  },
): Promise<void> {
  const pids = await processes.endMarked(`${daemonId}:`);
  if (pids.length > 0) log.warn("processes of an earlier instance were ended", { pids });
  await restoreAllPlaced(home.placed, { files, log });
}
