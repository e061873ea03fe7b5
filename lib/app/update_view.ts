/** What `status` tells of updates: the updater, the last round, what is on trial, and what was taken back. */
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { releaseOfName } from "../core/installation.ts";
import { type Host, HostError } from "../core/ports.ts";
import { dueAt, type Round, type UpdateState } from "../core/update.ts";
import { currentRelease, ownOwner } from "./own_installation.ts";
import { readSettings } from "./settings.ts";
import { readUpdates } from "./update_file.ts";
import { livingUpdater } from "./updater_record.ts";

export interface UpdateView {
  /** Pid of the updater of this home; null where none runs. */
  readonly updater: number | null;
  /** The version that a start would take. */
  readonly current: string | null;
  readonly lastGood: string | null;
  readonly trial: { readonly version: string; readonly since: number; readonly failures: readonly string[] } | null;
  readonly quarantined: readonly string[];
  /** When the updater looks for a release; null where it is not to. */
  readonly nextAt: number | null;
  readonly lastRound: Round | null;
}

/** `undefined` where drover does not replace itself, and where nothing was ever updated. */
export async function updateView(host: Host, home: Home): Promise<UpdateView | undefined> {
  try {
    const owner = await ownOwner(host);
    if (owner.kind !== "drover") return undefined;
    const { installation } = owner;
    const state = await readUpdates(host.files, installation);
    const updater = await livingUpdater(host, home);
    const { trial, lastGood, quarantined, rounds } = state;
    return {
      updater: updater?.pid ?? null,
      current: version(await currentRelease(host.files, installation)),
      lastGood: version(lastGood),
      trial: trial && { version: version(trial.name) ?? "", since: trial.begun, failures: trial.failures },
      quarantined: quarantined.map(({ name }) => version(name) ?? name),
      nextAt: updater ? await nextLook(host, home, { state, begun: updater.since }) : null,
      lastRound: rounds.at(-1) ?? null,
    };
  } catch (error) {
    // Who looks at a daemon is not kept from it by an installation that cannot be read.
    if (error instanceof HostError) return undefined;
    throw error;
  }
}

async function nextLook(
  host: Host,
  home: Home,
  { state, begun }: { state: UpdateState; begun: number },
): Promise<number | null> {
  try {
    const { updateAuto, updateIntervalMs: intervalMs } = await readSettings(host, home);
    return updateAuto ? dueAt(state, { now: host.clock.now(), begun, intervalMs }) : null;
  } catch (error) {
    // Others tell of settings that cannot be used.
    if (error instanceof DroverError) return null;
    throw error;
  }
}

function version(name: UpdateState["lastGood"] | undefined): string | null {
  return name ? releaseOfName(name)?.version ?? name : null;
}
