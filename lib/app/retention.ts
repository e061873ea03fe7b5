/** Retention: ended tasks with their messages, transcripts, and undelivered records go when they are older than `retention.days`. */
import type { Coordinator } from "../coordinator/coordinator.ts";
import type { Settings } from "../core/config.ts";
import type { Home } from "../core/home.ts";
import type { Host } from "../core/ports.ts";
import type { Daemon } from "../daemon/daemon.ts";

const EVERY_MS = 6 * 60 * 60_000;
const DAY_MS = 86_400_000;

/** Runs until the signal aborts; a failure is logged and tried again in the next round. */
export async function retentionLoop(
  host: Host,
  home: Home,
  options: {
    coordinator: Pick<Coordinator, "purge">;
    daemon: Pick<Daemon, "purgeOutbox">;
    settings: Settings;
    signal: AbortSignal;
  },
): Promise<void> {
  const { coordinator, daemon, settings, signal } = options;
  const log = host.logs.getLogger("retention");
  while (!signal.aborted) {
    const before = host.clock.now() - settings.retentionDays * DAY_MS;
    try {
      const tasks = await coordinator.purge(before);
      const transcripts = await removeOlder(host, home.transcripts, before);
      if (tasks + transcripts > 0) log.info("records past their retention were removed", { tasks, transcripts });
      const undelivered = daemon.purgeOutbox(before);
      if (undelivered > 0) log.warn("undelivered records past their retention were given up", { undelivered });
    } catch (error) {
      log.warn("retention could not be applied", { error: (error as Error).message });
    }
    await host.clock.sleep(EVERY_MS, { signal }).catch(() => {});
  }
}

async function removeOlder(host: Host, directory: string, before: number): Promise<number> {
  let removed = 0;
  for (const name of await host.files.list(directory)) {
    const path = `${directory}/${name}`;
    const info = await host.files.stat(path, { link: true });
    if (!info?.isFile || info.mtimeMs >= before) continue;
    await host.files.remove(path);
    removed++;
  }
  return removed;
}
