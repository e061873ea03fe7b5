/** The count of tokens by day: the loop that scans and reports, and one look for `drover usage`. */
import { PROVIDERS } from "../agents/registry.ts";
import type { Settings } from "../core/config.ts";
import { dayOf } from "../core/day_limits.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { Env, Host } from "../core/ports.ts";
import type { Connection } from "../daemon/connection.ts";
import { UsageReporter } from "../daemon/usage_report.ts";
import { type LogSource, scanUsage } from "../daemon/usage_scan.ts";
import { type DayUsage, openUsageStore, type UsageStore, UsageStoreError } from "../daemon/usage_store.ts";

const EVERY_MS = 5 * 60_000;
const DAY_MS = 86_400_000;
/** Servers are told of days that may still change, and of some before in case they were away. */
const REPORTED_DAYS = 7;

export const LOG_SOURCES: readonly LogSource[] = PROVIDERS.flatMap(({ provider, sessionLogs, privateHome }) =>
  sessionLogs ? [{ provider, logs: sessionLogs, privateHome: privateHome !== undefined }] : []
);

export interface UsageLoopOptions {
  readonly settings: Pick<Settings, "usageReportRemote">;
  readonly env: () => Env;
  readonly connections: readonly Connection[];
}

/** Runs until the signal aborts; a scan that fails is logged and tried again in the next round. */
export async function runUsageLoop(
  host: Host,
  home: Home,
  { settings, env, connections }: UsageLoopOptions,
  signal: AbortSignal,
): Promise<void> {
  const { clock } = host;
  const log = host.logs.getLogger("usage");
  const told = connections.filter(({ remote }) => !remote || settings.usageReportRemote);
  const reporter = new UsageReporter({ log });
  while (!signal.aborted) {
    try {
      using store = openUsageStore(home.usageDb);
      await scan(host, home, { store, env: env(), signal });
      const days = store.days(dayOf(clock.now() - REPORTED_DAYS * DAY_MS));
      for (const connection of told) await reporter.report(connection, days, signal);
    } catch (error) {
      if (!signal.aborted) log.warn("session logs could not be counted", { error: (error as Error).message });
    }
    await clock.sleep(EVERY_MS, { signal }).catch(() => {});
  }
}

async function scan(
  { files, clock }: Host,
  home: Home,
  { store, env, signal }: { store: UsageStore; env: Env; signal?: AbortSignal },
): Promise<void> {
  const where = { sources: LOG_SOURCES, workspaces: home.workspaces };
  await scanUsage({ ...where, store, files, clock, env, ...(signal ? { signal } : {}) });
}

/** The last `days` days, today among them, after a look at the logs. Throws `store_unusable`. */
export async function usageOfDays(
  host: Host,
  home: Home,
  { days, env }: { days: number; env: Env },
): Promise<readonly DayUsage[]> {
  try {
    using store = openUsageStore(home.usageDb);
    await scan(host, home, { store, env });
    return store.days(dayOf(host.clock.now() - (days - 1) * DAY_MS));
  } catch (error) {
    if (error instanceof UsageStoreError) throw new DroverError("store_unusable", error.message, { cause: error });
    throw error;
  }
}
