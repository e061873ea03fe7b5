/** The home directory: found, made private, and refused with a reason when it cannot be used. */
import { DroverError } from "../core/drover_error.ts";
import { type Home, homeLayout, homeRoot, UNFINISHED_PREFIX } from "../core/home.ts";
import { type Env, type Host, HostError } from "../core/ports.ts";
import { isProfileName, PROFILE_RULE, profileRoot } from "../core/profile.ts";

const OTHERS_MAY_WRITE = 0o022;
/** Far more than a write takes on the slowest of disks. */
const UNFINISHED_MS = 10 * 60_000;

/** The home of this environment and profile (`DROVER_PROFILE` unless given); nothing is created. Throws `home_unusable`, `usage`. */
export function findHome(host: Host, profile?: string): Home {
  const { env } = host.system;
  const root = homeRoot(env);
  if (root) return homeLayout(rootOfProfile(root, profile, env));
  const why = env.DROVER_HOME
    ? `DROVER_HOME is ${JSON.stringify(env.DROVER_HOME)}, which is not an absolute path`
    : "neither DROVER_HOME nor HOME is an absolute path";
  throw new DroverError("home_unusable", `Cannot find a home for drover: ${why}`, {
    hint: "set DROVER_HOME to the absolute path of a directory of yours",
  });
}

function rootOfProfile(root: string, given: string | undefined, env: Env): string {
  const name = given ?? env.DROVER_PROFILE;
  if (!name) return root;
  if (isProfileName(name)) return profileRoot(root, name);
  const source = given === undefined ? "the variable DROVER_PROFILE" : "--profile";
  throw new DroverError(
    "usage",
    `Cannot use the profile ${JSON.stringify(name)} of ${source}: no profile has such a name`,
    {
      hint: `a name is ${PROFILE_RULE}; drover profiles lists those there are`,
    },
  );
}

/**
 * Whether there is a home. Throws `home_unusable` where it is not ours alone: what stands in it, the way to the control
 * socket for one, could be somebody else's doing.
 */
export async function checkHome(host: Host, home: Home): Promise<boolean> {
  const { files, system } = host;
  const info = await inHome(home, () => files.stat(home.root));
  if (!info) return false;
  if (!info.isDirectory) throw unusable(home, "it is not a directory");
  if (info.uid !== system.uid) throw unusable(home, `it belongs to user ${info.uid}, not to ${system.uid}`);
  if ((info.mode & OTHERS_MAY_WRITE) !== 0) {
    const hint = `run: chmod 700 ${home.root}`;
    throw unusable(home, `others may write to it (mode ${info.mode.toString(8)})`, { hint });
  }
  return true;
}

/** Creates what is missing (0700) and checks that it is ours, private and writable. Throws `home_unusable`. */
export async function openHome(host: Host, home: Home): Promise<void> {
  const { files } = host;
  await inHome(home, async () => {
    if (!await checkHome(host, home)) await files.makeDirectory(home.root);
    await checkHome(host, home);
    await files.chmod(home.root, 0o700);
    const logs = home.logFile.slice(0, home.logFile.lastIndexOf("/"));
    for (const directory of [home.runDirectory, home.bin, home.workspaces, home.transcripts, logs]) {
      await files.makeDirectory(directory);
    }
    // The directories may all be there on a file system that is read-only or full by now; an empty file needs no space.
    await files.writeAtomic(`${home.runDirectory}/.writable`, "yes\n", { sync: false });
  });
}

/** Removes what writes that were cut off left in the home, as a token may be. What cannot be removed stays. */
export async function removeUnfinished({ files, clock }: Pick<Host, "files" | "clock">, home: Home): Promise<void> {
  const names = await unlessRefused(() => files.list(home.root)) ?? [];
  for (const name of names.filter((one) => one.startsWith(UNFINISHED_PREFIX))) {
    await unlessRefused(async () => {
      const path = `${home.root}/${name}`;
      const info = await files.stat(path, { link: true });
      if (info?.isFile && clock.now() - info.mtimeMs > UNFINISHED_MS) await files.remove(path);
    });
  }
}

async function unlessRefused<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof HostError) return undefined;
    throw error;
  }
}

/** Does something that belongs to opening the home; what the machine refuses there becomes `home_unusable`. */
export async function inHome<T>(home: Home, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    if (error instanceof HostError) throw unusable(home, error.message, { hint: HINTS[error.code], cause: error });
    throw error;
  }
}

function unusable(home: Home, why: string, options: { hint?: string; cause?: unknown } = {}): DroverError {
  const { hint = "set DROVER_HOME to another directory, or mend this one", cause } = options;
  return new DroverError("home_unusable", `Cannot use the home ${home.root}: ${why}`, { hint, cause });
}

const HINTS: Partial<Record<HostError["code"], string>> = {
  "read-only": "the file system is read-only: set DROVER_HOME to a directory that can be written",
  "no-space": "the disk is full: make room, or set DROVER_HOME to a directory on another disk",
  permission: "set DROVER_HOME to a directory of yours, or give this one back with chown and chmod",
};

/** The id under which servers know this home; made once. */
export async function daemonIdOf(host: Host, home: Home): Promise<string> {
  const { files, random } = host;
  try {
    const id = (await files.readText(home.daemonId)).trim();
    if (/^[0-9a-f-]{36}$/.test(id)) return id;
  } catch (error) {
    if (!(error instanceof HostError && error.code === "not-found")) throw error;
  }
  const id = random.uuid();
  await files.writeAtomic(home.daemonId, id + "\n");
  return id;
}

/** `<home>/bin/drover`, first on every agent's PATH: this very program, whatever is installed elsewhere. */
export async function writeOwnCommand(host: Host, home: Home): Promise<void> {
  const quoted = host.system.selfCommand.map((part) => `'${part.replaceAll("'", `'\\''`)}'`).join(" ");
  const text = `#!/bin/sh\n# Generated by drover at each start.\nexec ${quoted} "$@"\n`;
  const path = `${home.bin}/drover`;
  const current = await host.files.readText(path).catch(() => "");
  if (current !== text) await host.files.writeAtomic(path, text, { mode: 0o700, sync: false });
}
