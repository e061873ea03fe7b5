/** Putting a release into the installation: staged beside it, tried, given its name, and only then pointed to. */
import {
  currentProgram,
  formatInstallRecord,
  type Installation,
  pointerTo,
  PROGRAM,
  releaseProgram,
  releasesToRemove,
} from "../core/installation.ts";
import { type Host, HostError } from "../core/ports.ts";
import { UpdateError } from "../core/update_error.ts";
import type { UpdateState } from "../core/update.ts";
import { downloadArchive } from "./update_download.ts";
import { currentRelease, installRecord } from "./own_installation.ts";
import type { Offer, SourcePorts } from "./update_source.ts";
import { unpackProgram } from "./update_unpack.ts";

/** Where tests end or stop this process. */
export type UpdateStep = "downloaded" | "unpacked" | "tried" | "placed" | "noted" | "switched" | "recorded";

export interface InstallPorts extends SourcePorts {
  readonly host: Host;
  readonly installation: Installation;
  readonly signal: AbortSignal;
  readonly step: (step: UpdateStep) => Promise<void>;
}

/** Ours in the staging directory, which install.sh uses too. */
const STAGED = "update-";
const PREFLIGHT_MS = 20_000;
/** Room that is left besides what is written. */
const SPARE_BYTES = 32 * 1024 * 1024;

/** Under the install lock. When it returns the release lies in its directory, whole and proven to run. Throws `UpdateError`. */
export async function stageRelease(
  ports: InstallPorts,
  offer: Offer,
  name: string,
  onProgress?: (done: number, total: number) => void,
): Promise<void> {
  const { host, installation, signal, step } = ports;
  const { files, fingerprints } = host;
  const { build } = offer;
  const program = releaseProgram(installation, name);
  if (await digestOf(host, program) === build.binary_sha256) return;
  await makeRoom(ports, build.size + build.binary_size + SPARE_BYTES);
  const mark = build.sha256.slice(0, 12);
  const archive = `${installation.staging}/${STAGED}${mark}.part`;
  const folder = `${installation.staging}/${STAGED}${mark}.d`;
  await files.makeDirectory(installation.staging);
  await clearStaging(ports, [archive]);
  await downloadArchive({ ...ports, files, fingerprints }, { offer, path: archive, signal, onProgress });
  await step("downloaded");
  await files.makeDirectory(folder);
  const staged = `${folder}/${PROGRAM}`;
  await unpackProgram(files, { archive, path: staged, size: build.binary_size, signal });
  if (await fingerprints.hashFile(staged, { signal }) !== build.binary_sha256) {
    throw new UpdateError(
      "integrity",
      `Verifying release ${offer.version} failed: its program is not what was promised`,
    );
  }
  await files.chmod(staged, 0o755);
  await step("unpacked");
  await tryProgram(host, staged, offer.version, signal);
  await step("tried");
  // A directory with that name and other content is what a disk or a person made of it.
  await files.remove(`${installation.releases}/${name}`);
  await files.chmod(folder, 0o755);
  await files.rename(folder, `${installation.releases}/${name}`);
  await files.remove(archive);
  await step("placed");
}

/** What is left of earlier rounds, of ours only. */
async function clearStaging({ host: { files }, installation }: InstallPorts, keep: readonly string[]): Promise<void> {
  for (const name of await files.list(installation.staging)) {
    const path = `${installation.staging}/${name}`;
    if (name.startsWith(STAGED) && !keep.includes(path)) await files.remove(path);
  }
}

async function makeRoom({ host, installation }: InstallPorts, bytes: number): Promise<void> {
  const space = await host.inspector.diskSpace(installation.root).catch(() => undefined);
  if (!space || space.freeBytes >= bytes) return;
  const [needed, free] = [bytes, space.freeBytes].map((one) => Math.ceil(one / 1e6));
  throw new UpdateError("disk", `Updating failed: ${installation.root} needs ${needed} MB and has ${free} MB free`);
}

async function digestOf({ fingerprints, files }: Host, path: string): Promise<string | undefined> {
  return await files.stat(path) ? await fingerprints.hashFile(path) : undefined;
}

const BUSY_TRIES = 20;
const BUSY_MS = 100;

/** The new program says its version, in an environment of its own: nothing of the running one is touched for it. */
async function tryProgram(host: Host, executable: string, version: string, signal: AbortSignal): Promise<void> {
  const fail = (why: string, cause?: unknown) =>
    new UpdateError("preflight", `Trying release ${version} failed: ${why}`, { cause });
  const run = () =>
    host.processes.run(
      { executable, args: ["version", "--json"], env: host.system.env },
      { timeoutMs: PREFLIGHT_MS, signal },
    );
  const result = await patiently(host, run).catch((error) => {
    signal.throwIfAborted();
    throw error instanceof HostError ? fail(error.message, error) : error;
  });
  if (result.timedOut) throw fail(`it did not say its version within ${PREFLIGHT_MS / 1000} s`);
  if (result.exit.code !== 0) throw fail(`it ended with code ${result.exit.code}`);
  const said = versionIn(result.stdout);
  if (said !== version) throw fail(`it says that it is version ${said ?? "unknown"}`);
}

/**
 * A child that another part of this process forks just now holds the file open for writing until its own exec, and the
 * system starts no such file.
 */
async function patiently<T>({ clock }: Pick<Host, "clock">, run: () => Promise<T>): Promise<T> {
  for (let tries = 1;; tries++) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof HostError && error.code === "not-executable") || tries === BUSY_TRIES) throw error;
    }
    await clock.sleep(BUSY_MS);
  }
}

function versionIn(stdout: string): string | undefined {
  try {
    const { version } = JSON.parse(stdout);
    return typeof version === "string" ? version : undefined;
  } catch {
    return undefined;
  }
}

/** Atomic: whoever starts drover in this moment gets the one or the other. */
export async function pointTo(
  { files, random }: Pick<Host, "files" | "random">,
  installation: Installation,
  name: string,
): Promise<void> {
  const fresh = `${installation.root}/.current-${random.hex(6)}`;
  await files.symlink(pointerTo(name), fresh);
  await files.rename(fresh, installation.current);
}

/** Links that a kill between the two calls above has left. */
export async function clearPointers({ files }: Pick<Host, "files">, installation: Installation): Promise<void> {
  for (const name of await files.list(installation.root)) {
    if (/^\.current-[0-9a-f]{12}$/.test(name)) await files.remove(`${installation.root}/${name}`);
  }
}

/** The record of the installation follows the pointer; what else it says stays. */
export async function noteInstalled(
  { files, clock, fingerprints }: Host,
  installation: Installation,
  { version, archive }: { version: string; archive: string },
): Promise<void> {
  const before = await installRecord(files, installation);
  const record = {
    schema: 1,
    link: "",
    shell_file: "",
    keys: [],
    ...before,
    by: "drover update",
    version,
    archive,
    digest: await fingerprints.hashFile(currentProgram(installation)),
    installed_at: new Date(clock.now()).toISOString(),
  };
  await files.writeAtomic(installation.record, formatInstallRecord(record), { mode: 0o644 });
}

/** Keeps what is current, what is gone back to, and what runs, be it of another home. */
export async function removeOldReleases(
  { host, installation }: Pick<InstallPorts, "host" | "installation">,
  state: UpdateState,
  running: string,
): Promise<void> {
  const { files } = host;
  const current = await currentRelease(files, installation);
  const kept = [current, state.lastGood, state.trial?.before, running].filter((name) =>
    name !== undefined && name !== null
  );
  for (const name of releasesToRemove(await files.list(installation.releases), kept)) {
    if (!await isInUse(host, releaseProgram(installation, name))) {
      await files.remove(`${installation.releases}/${name}`);
    }
  }
}

/** Also where that cannot be found out; a later round looks again. */
async function isInUse({ files, inspector }: Host, program: string): Promise<boolean> {
  if (!await files.stat(program)) return false;
  return await inspector.openedBy(program).then((pids) => pids.length > 0, () => true);
}
