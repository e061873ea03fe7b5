/** Removing drover: what runs of it ends first, then its files go, in an order from which another try can go on. */
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import {
  currentProgram,
  type Installation,
  type InstallRecord,
  type Owner,
  readInstallRecord,
  releaseOfName,
  releaseProgram,
} from "../core/installation.ts";
import { type Files, type Host, HostError } from "../core/ports.ts";
import { profileOf } from "../core/profile.ts";
import { stopDaemon } from "../lifecycle/instance.ts";
import type { StopOptions } from "../lifecycle/stop.ts";
import { checkHome } from "./home_dir.ts";
import { takeInstallLock } from "./install_lock.ts";
import { instancePorts } from "./instance.ts";
import { type Own, ownOwner } from "./own_installation.ts";
import { listProfiles } from "./profiles.ts";
import { uninstallService } from "./service.ts";
import { cleanShellFile } from "./shell_file.ts";
import { livingUpdater } from "./updater_record.ts";

const LOCK_MS = 60_000;
/** An updater ends at once, unless it is in the middle of a download. */
const UPDATER_MS = 10_000;
const POLL_MS = 100;

const INSTEAD: { readonly [K in Exclude<Owner["kind"], "drover">]: readonly [why: string, hint: string] } = {
  homebrew: ["Homebrew installed it", "type: brew uninstall drover"],
  source: ["it runs from its source", "remove the directory with its source yourself"],
  development: ["it was built here, not installed", "remove the file yourself"],
  other: ["something else than drover's installer put it there", "remove it the way it was installed"],
};

/** Throws `not_installed` where drover is not what put this program in its place. */
export async function ownInstallation(host: Pick<Host, "files" | "system">): Promise<Own> {
  const owner = await ownOwner(host);
  if (owner.kind === "drover") return owner;
  const [why, hint] = INSTEAD[owner.kind];
  throw new DroverError("not_installed", `Uninstalling failed: this drover does not remove itself, ${why}`, { hint });
}

export interface UninstallOptions {
  /** The homes too, with all tasks, work directories and settings. */
  readonly purge: boolean;
  readonly stop: StopOptions;
  /** What is waited for. */
  readonly onStep?: (text: string) => void;
}

export interface Uninstalled {
  readonly version: string;
  /** Homes whose daemon was ended. */
  readonly stopped: readonly string[];
  readonly removed: readonly string[];
  /** What is still there: homes, and what somebody else put into the installation. */
  readonly left: readonly string[];
  /** Processes of other homes that ran from the installation, and go on without it. */
  readonly running: readonly { readonly pid: number; readonly home: string }[];
}

/**
 * For all profiles of the home. A daemon whose tasks do not end in time keeps everything as it is. Throws `not_installed`,
 * `busy`, `service_failed`, `internal`, and what a stop throws.
 */
export async function uninstall(host: Host, home: Home, options: UninstallOptions): Promise<Uninstalled> {
  const { installation, release } = await ownInstallation(host);
  const { files } = host;
  const profiles = (await listProfiles(host, home)).map((one) => one.home);
  const homes: Home[] = [];
  for (const one of profiles) if (await checkHome(host, one)) homes.push(one);
  const stopped: string[] = [];
  const removed: string[] = [];
  for (const one of homes) {
    await endUpdater(host, one);
    const { status } = await stopDaemon(instancePorts(host, one), one, options.stop);
    if (status === "stopped") stopped.push(one.root);
  }
  for (const one of homes) {
    const { status, service } = await uninstallService(host, one, {
      onStopping: () => options.onStep?.("the service"),
    });
    if (status === "uninstalled") removed.push(service.file);
    // The daemon may have started one while it ended.
    await endUpdater(host, one);
  }
  await using _lock = await takeInstallLock(host, installation, { timeoutMs: LOCK_MS });
  const running = await runningElsewhere(host, installation, homes);
  removed.push(...await removeFiles(host, installation));
  await removeTurns(host, installation);
  if (await removeIfEmpty(files, installation.root)) removed.push(installation.root);
  const { plain } = profileOf(home.root);
  if (options.purge) {
    await files.remove(plain);
    removed.push(plain);
  }
  const left = [installation.root, plain];
  const there = await Promise.all(left.map((path) => files.stat(path)));
  return { version: release.version, stopped, removed, left: left.filter((_path, index) => there[index]), running };
}

/** An installation knows nothing of the homes that use it. */
async function runningElsewhere(
  { files, inspector, system }: Host,
  installation: Installation,
  homes: readonly Home[],
): Promise<Uninstalled["running"]> {
  const running: { pid: number; home: string }[] = [];
  for (const name of await namesIn(files, installation.releases)) {
    const pids = await inspector.openedBy(releaseProgram(installation, name)).catch(() => []);
    for (const pid of pids) {
      const env = system.environmentOf(pid);
      if (!env) continue;
      const home = env.DROVER_HOME || `${env.HOME}/.drover`;
      if (!homes.some(({ root }) => root === home)) running.push({ pid, home });
    }
  }
  return running;
}

async function endUpdater(host: Host, home: Home): Promise<void> {
  const { clock, launcher } = host;
  const deadline = clock.monotonic() + UPDATER_MS;
  for (let name: "SIGTERM" | "SIGKILL" = "SIGTERM";;) {
    const updater = await livingUpdater(host, home);
    if (!updater) return;
    launcher.signal(updater, name);
    await clock.sleep(POLL_MS);
    if (clock.monotonic() > deadline) name = "SIGKILL";
  }
}

/** The record last: as long as it is there another try knows what belongs to the installation. */
async function removeFiles({ files }: Host, installation: Installation): Promise<string[]> {
  const removed: string[] = [];
  const remove = async (path: string) => {
    if (!await files.stat(path, { link: true })) return;
    await files.remove(path);
    removed.push(path);
  };
  const record = await readRecord(files, installation);
  if (record?.link && await files.readLink(record.link) === currentProgram(installation)) await remove(record.link);
  if (record?.shell_file && await cleanShellFile(files, record.shell_file)) removed.push(record.shell_file);
  await remove(installation.current);
  for (const name of await namesIn(files, installation.releases)) {
    if (releaseOfName(name)) await files.remove(`${installation.releases}/${name}`);
  }
  await removeIfEmpty(files, installation.releases);
  await files.remove(installation.staging);
  await files.remove(installation.updates);
  await files.remove(installation.record);
  return removed;
}

/** Under another name first: whoever waits makes a new directory, and what is in that one is not ours to remove. */
async function removeTurns({ files, random }: Host, installation: Installation): Promise<void> {
  const gone = `${installation.root}/.gone-${random.hex(6)}`;
  await files.rename(installation.lockDirectory, gone);
  await files.remove(gone);
  await files.remove(installation.lockFile);
}

async function readRecord(files: Files, installation: Installation): Promise<InstallRecord | undefined> {
  try {
    return readInstallRecord(await files.readText(installation.record));
  } catch (error) {
    if (error instanceof HostError && error.code === "not-found") return undefined;
    throw error;
  }
}

async function removeIfEmpty(files: Files, directory: string): Promise<boolean> {
  if ((await namesIn(files, directory)).length > 0) return false;
  await files.remove(directory);
  return true;
}

async function namesIn(files: Files, directory: string): Promise<readonly string[]> {
  return await files.stat(directory) ? await files.list(directory) : [];
}
