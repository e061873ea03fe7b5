/** The guard of a trial: the old program, watching the new updater, so that a bad one does not leave a machine without any. */
import type { Home } from "../core/home.ts";
import type { Host } from "../core/ports.ts";
import { isQuarantined } from "../core/update.ts";
import { openHome } from "./home_dir.ts";
import { instancePorts } from "./instance.ts";
import { demandOwn, ownOwner } from "./own_installation.ts";
import { readUpdates } from "./update_file.ts";
import { sightOf } from "./update_sight.ts";
import { runUpdater, takeBack, type UpdaterOptions } from "./updater.ts";
import { launchUpdater, livingUpdater } from "./updater_record.ts";

const POLL_MS = 500;
/** For the new updater to say that it is there. */
const BEGIN_MS = 15_000;
/** It says so every few seconds. */
const SILENT_MS = 30_000;
/** It may die of something else once; then it is started again. */
const LIVES = 2;

/**
 * Until the trial is over and a release that was taken back is replaced by a daemon of the old one, where one is wanted;
 * takes it back and becomes the updater itself where the new one does not live.
 */
export async function guardTrial(host: Host, home: Home, options: UpdaterOptions): Promise<void> {
  const { clock, files } = host;
  const { installation } = demandOwn(await ownOwner(host));
  await openHome(host, home);
  const trial = (await readUpdates(files, installation)).trial;
  if (!trial) return;
  const args = options.once ? ["--once"] : [];
  let lives = 1;
  let over = false;
  let since = clock.monotonic();
  for (;;) {
    await clock.sleep(POLL_MS);
    const state = await readUpdates(files, installation);
    over = state.trial?.name !== trial.name;
    const updater = await livingUpdater(host, home);
    if (over) {
      if (!isQuarantined(state, trial.name)) return;
      // From there on it is the old one's.
      if (updater && updater.name !== trial.name) return;
      const { kind } = await sightOf(instancePorts(host, home), home, { name: trial.before });
      if (kind === "this" || kind === "unwanted") return;
    }
    const there = updater?.name === trial.name && clock.now() - updater.beat < SILENT_MS;
    if (there) since = clock.monotonic();
    // One that became another program in between has not said so yet.
    if (there || clock.monotonic() - since < (updater ? BEGIN_MS : 2 * POLL_MS)) continue;
    if (updater) host.launcher.signal(updater, "SIGKILL");
    if (over || lives >= LIVES) break;
    lives++;
    await launchUpdater(host, home, { installation, name: trial.name, args });
    since = clock.monotonic() + BEGIN_MS;
  }
  if (!over) await takeBack(host, installation, { name: trial.name, why: "its updater did not stay alive" });
  await runUpdater(host, home, options);
}
