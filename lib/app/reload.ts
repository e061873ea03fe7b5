/** What a daemon may do about changed programs: the settings, what earlier daemons left, and the watch over drover itself. */
import { BUILD } from "../core/build_info.ts";
import type { Settings } from "../core/config.ts";
import type { Home } from "../core/home.ts";
import { LAUNCHED_BY_VARIABLE } from "../core/launch.ts";
import type { Host } from "../core/ports.ts";
import type { ReloadPolicy } from "../core/reload_gate.ts";
import type { HandOffPort, ReloadOptions } from "../daemon/reload_runner.ts";
import { watchOwnBinary } from "./own_binary.ts";
import { ownOwner } from "./own_installation.ts";
import { readReloadHistory } from "./reload_file.ts";
import { readUpdates } from "./update_file.ts";
import { livingUpdater } from "./updater_record.ts";

export async function reloadOptions(
  host: Host,
  home: Home,
  { settings, handOff }: { settings: Settings; handOff: HandOffPort },
): Promise<ReloadOptions> {
  const policy: ReloadPolicy = {
    agents: settings.reloadBinaries,
    // From source there is no one file that is the program.
    own: host.system.compiled ? settings.reloadSelf : "off",
    managed: host.system.env[LAUNCHED_BY_VARIABLE] === "desktop",
  };
  const log = host.logs.getLogger("reload");
  const { reloadIntervalMs: intervalMs, reloadPatienceMs: patienceMs } = settings;
  const history = await readReloadHistory(host.files, home);
  const common = { policy, patienceMs, history, handOff };
  if (policy.own === "off") return common;
  // Where an updater is at work, its policy decides on restarts, which a release can mend. And what another home tries
  // out may yet be taken back.
  const leftToOthers = async () => await livingUpdater(host, home) !== undefined || await isOnTrial(host);
  const watch = { mode: policy.own, version: BUILD.version, intervalMs, log, leftToOthers };
  return { ...common, own: watchOwnBinary(host, watch) };
}

async function isOnTrial(host: Host): Promise<boolean> {
  const owner = await ownOwner(host);
  return owner.kind === "drover" && (await readUpdates(host.files, owner.installation)).trial !== null;
}
