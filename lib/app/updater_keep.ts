/** The daemon sees to its home's updater: one that was killed, or is wanted only since a while ago, is started. */
import type { Home } from "../core/home.ts";
import type { Host } from "../core/ports.ts";
import { readSettings } from "./settings.ts";
import { ensureUpdater } from "./updater_record.ts";

const KEEP_MS = 60_000;

/** At once, and then each minute until it is disposed. What keeps an updater from being started is for the log. */
export function keepUpdater(host: Host, home: Home): Disposable {
  const log = host.logs.getLogger("update");
  let timer: Disposable | undefined;
  let ended = false;
  const look = async () => {
    let waitMs = KEEP_MS;
    try {
      const { updateAuto, updateIntervalMs } = await readSettings(host, home);
      waitMs = Math.min(KEEP_MS, updateIntervalMs);
      if (!ended) await ensureUpdater(host, home, { wanted: updateAuto });
    } catch (error) {
      log.warn("the updater could not be started", { error: String(error) });
    }
    if (!ended) timer = host.clock.after(waitMs, () => void look());
  };
  void look();
  return {
    [Symbol.dispose]() {
      ended = true;
      timer?.[Symbol.dispose]();
    },
  };
}
