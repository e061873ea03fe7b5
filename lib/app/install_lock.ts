/** One at a time changes an installation: install.sh, the updater of any terminal, and uninstall. */
import { DroverError } from "../core/drover_error.ts";
import { type Installation, latestTurn, readTurn, type Turn, turnText } from "../core/installation.ts";
import { type Host, HostError, type Lock } from "../core/ports.ts";

export type InstallLockPorts = Pick<Host, "clock" | "files" | "fingerprints" | "locks" | "system">;

const POLL_MS = 100;

/** The turn. It ends with the process too, but only for those who look whether that lives. */
export class InstallLock implements AsyncDisposable {
  constructor(readonly lock: Lock, readonly end: () => Promise<void>) {}

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.end();
    } finally {
      this.lock[Symbol.dispose]();
    }
  }
}

/**
 * The turn of this process, or `undefined` when somebody else has had it for `timeoutMs` (default 0: asked once). The
 * directory of the installation must be there. Throws `HostError` where it cannot be written.
 */
export async function tryInstallLock(
  ports: InstallLockPorts,
  installation: Installation,
  { timeoutMs = 0 }: { timeoutMs?: number } = {},
): Promise<InstallLock | undefined> {
  const { clock, files, locks } = ports;
  const until = clock.monotonic() + timeoutMs;
  // Those who can flock wait for each other here; the turns are for the shell, which cannot everywhere.
  const lock = timeoutMs > 0
    ? await locks.lock(installation.lockFile, { timeoutMs })
    : await locks.tryLock(installation.lockFile);
  if (!lock) return undefined;
  try {
    for (;;) {
      // Each time: an uninstallation takes it away.
      await files.makeDirectory(installation.lockDirectory);
      const number = await takeTurn(ports, installation);
      if (number !== undefined) return new InstallLock(lock, () => endTurn(ports, installation, number));
      if (clock.monotonic() >= until) break;
      await clock.sleep(POLL_MS);
    }
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
  lock[Symbol.dispose]();
  return undefined;
}

/** The same; throws `busy` instead, with who has the turn. */
export async function takeInstallLock(
  ports: InstallLockPorts,
  installation: Installation,
  options: { timeoutMs: number },
): Promise<InstallLock> {
  const lock = await tryInstallLock(ports, installation, options);
  if (lock) return lock;
  const holder = await holderOf(ports, installation);
  throw new DroverError(
    "busy",
    `Cannot change the installation in ${installation.root}: ${
      holder ? `process ${holder.pid} is changing it` : "another process is changing it"
    }`,
    { phase: "lock", hint: "try again when it is done", details: { holder: holder?.pid ?? null } },
  );
}

async function takeTurn(ports: InstallLockPorts, installation: Installation): Promise<number | undefined> {
  const { files, system } = ports;
  if (await holderOf(ports, installation)) return undefined;
  const directory = installation.lockDirectory;
  const number = latestTurn(await files.list(directory)).number + 1;
  const own = system.self();
  try {
    await files.symlink(turnText(own.pid, system.os === "linux" ? own.startTicks : "0"), `${directory}/${number}`);
  } catch (error) {
    if (error instanceof HostError && error.code === "exists") return undefined;
    throw error;
  }
  const names = await files.list(directory);
  // Somebody was a whole turn ahead and had cleared away what we looked at.
  if (latestTurn(names).number !== number) {
    await files.remove(`${directory}/${number}`);
    return undefined;
  }
  for (const name of names) if (Number.parseInt(name, 10) < number) await files.remove(`${directory}/${name}`);
  return number;
}

async function endTurn({ files }: InstallLockPorts, installation: Installation, number: number): Promise<void> {
  // After an uninstallation there is nothing left to mark.
  if (!await files.stat(installation.lockDirectory)) return;
  try {
    await files.symlink("done", `${installation.lockDirectory}/${number}.done`);
  } catch (error) {
    if (!(error instanceof HostError) || error.code !== "exists") throw error;
  }
}

/** Who has the turn now, by its own link, while that process lives. */
async function holderOf(ports: InstallLockPorts, installation: Installation): Promise<Turn | undefined> {
  const { files, fingerprints, system } = ports;
  const directory = installation.lockDirectory;
  if (!await files.stat(directory)) return undefined;
  const { number, done } = latestTurn(await files.list(directory));
  if (done) return undefined;
  const link = (await fingerprints.follow(`${directory}/${number}`)).at(-1);
  const turn = link && readTurn(number, link.target.slice(link.target.lastIndexOf("/") + 1));
  if (!turn) return undefined;
  const identity = system.identityOf(turn.pid);
  const same = identity && (turn.ticks === "0" || turn.ticks === identity.startTicks || system.os !== "linux");
  return same ? turn : undefined;
}
