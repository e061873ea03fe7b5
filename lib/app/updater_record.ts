/** The updater of a home: at most one, by its lock; what it says of itself, and how one is started. */
import { type Checks, isInteger, isName, isPositive, isText, pick } from "../core/fields.ts";
import { DroverError } from "../core/drover_error.ts";
import { type Home, homeLayout } from "../core/home.ts";
import { type Installation, releaseProgram } from "../core/installation.ts";
import { daemonEnv } from "../core/launch.ts";
import { type Files, type Host, HostError, type ProcessIdentity } from "../core/ports.ts";
import { sameProcess } from "../lifecycle/pidfile.ts";
import { currentRelease, type Own, ownOwner } from "./own_installation.ts";
import { readUpdates } from "./update_file.ts";

/** Whether its program is of the release that is on trial is told by `name`. */
export interface UpdaterRecord extends ProcessIdentity {
  /** The release it runs from. */
  readonly name: string;
  readonly since: number;
  /** Wall-clock ms; it says so again and again. */
  readonly beat: number;
}

const RECORD: Checks<UpdaterRecord> = {
  pid: isPositive,
  startTicks: isText,
  bootId: isText,
  name: isName,
  since: isInteger,
  beat: isInteger,
};

/** The last one, whether it lives or not. */
async function readUpdater(files: Files, home: Home): Promise<UpdaterRecord | undefined> {
  try {
    const picked = pick(JSON.parse(await files.readText(home.updater)), RECORD);
    return "value" in picked ? picked.value : undefined;
  } catch (error) {
    // A damaged record is as good as none: the lock decides.
    if (error instanceof HostError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export async function livingUpdater(
  { files, system }: Pick<Host, "files" | "system">,
  home: Home,
): Promise<UpdaterRecord | undefined> {
  const record = await readUpdater(files, home);
  return record && sameProcess(record, system.identityOf(record.pid)) ? record : undefined;
}

/** By the holder of the updater's lock. */
export async function writeUpdater({ files, system, clock }: Host, home: Home, about: { name: string; since: number }) {
  const record: UpdaterRecord = { ...system.self(), ...about, beat: Math.round(clock.now()) };
  await files.writeAtomic(home.updater, JSON.stringify({ schema: 1, ...record }) + "\n", { sync: false });
}

export const UPDATER_VERB = "__updater";

/** The shell in between ends at once, so that nobody who becomes another program has a child to wait for. */
const ALONE = '"$@" &';
/**
 * systemd ends with a service all that the service has started: the updater, which restarts it, must not be among that.
 * Where no scope can be had it is started as it is.
 */
const SCOPE = "systemd-run --user --scope --quiet --";
const IN_SCOPE = `{ if ${SCOPE} true 2>/dev/null; then exec ${SCOPE} "$@"; else exec "$@"; fi; } &`;

/** A process of its own, which no terminal and no daemon takes along; started from one release and no other. */
export async function launchUpdater(
  host: Host,
  home: Home,
  { installation, name, args }: { installation: Installation; name: string; args: readonly string[] },
): Promise<void> {
  await host.files.makeDirectory(`${home.root}/logs`);
  const program = releaseProgram(installation, name);
  const begin = await mayBeService(host, home) ? IN_SCOPE : ALONE;
  const launched = host.launcher.launch({
    argv: ["/bin/sh", "-c", begin, "drover", program, UPDATER_VERB, ...args],
    cwd: home.root,
    env: updaterEnv(host, home),
    logFile: home.updaterOut,
  });
  await launched.exit;
}

/** Whoever updates at somebody's wish leaves the trial to an updater. The loop sees by itself what was installed. */
export async function seeThrough(host: Host, home: Home, { installation, name }: Own): Promise<void> {
  if (!await livingUpdater(host, home)) await launchUpdater(host, home, { installation, name, args: ["--once"] });
}

/** Whether this process may be the home's service, or of it. launchd leaves alone what leads a session of its own. */
async function mayBeService(host: Host, home: Home): Promise<boolean> {
  if (host.system.os !== "linux") return false;
  const { serviceOf } = await import("./service.ts");
  const service = await serviceOf(host, home).catch((error) => {
    if (!(error instanceof DroverError)) throw error;
  });
  return service !== undefined && await host.files.stat(service.file) !== undefined;
}

/** Starts the updater of a home that wants one and has none; what keeps it from that is told, and no reason to fail. */
export async function ensureUpdater(host: Host, home: Home, { wanted }: { wanted: boolean }): Promise<boolean> {
  const owner = await ownOwner(host);
  if (owner.kind !== "drover") return false;
  const { installation } = owner;
  // A trial that lost its updater is seen through in any case.
  if (!wanted && !await isAbandoned(host, home, installation)) return false;
  if (await livingUpdater(host, home)) return true;
  const name = await currentRelease(host.files, installation) ?? owner.name;
  await launchUpdater(host, home, { installation, name, args: wanted ? [] : ["--once"] });
  return true;
}

/** A trial that nobody sees through: not the updater of the home that began it, and none here. */
async function isAbandoned(host: Host, home: Home, installation: Installation): Promise<boolean> {
  const { trial } = await readUpdates(host.files, installation);
  return trial !== null && (trial.home === home.root || !await livingUpdater(host, homeLayout(trial.home)));
}

/** Tests' own variables go along: they are how a trial is made short. */
export function updaterEnv({ system }: Pick<Host, "system">, home: Home): Record<string, string> {
  const tests = Object.entries(system.env).filter(([name]) => name.startsWith("DROVER_TEST_"));
  return { ...daemonEnv(system.env, home), ...Object.fromEntries(tests) };
}
