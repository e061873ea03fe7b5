/** The home as `drover doctor` sees it: whose it is, every file in it, the room it has, and what its file system can do. */
import { DroverError } from "../core/drover_error.ts";
import { controlSocket, type Home } from "../core/home.ts";
import { type FileInfo, type Host, HostError } from "../core/ports.ts";
import { type Check, count, type Finding, ok, problem, type Verdict, warning } from "./doctor_check.ts";
import { checkHome } from "./home_dir.ts";
import { probeHome } from "./home_probe.ts";

export interface HomeFile {
  readonly path: string;
  readonly kind: "file" | "directory" | "link" | "socket" | "other";
  readonly owner: number;
  /** Octal, such as `600`. */
  readonly mode: string;
  /** Bytes. */
  readonly size: number;
  readonly modifiedAt: string;
}

export interface HomePlace {
  readonly host: Host;
  readonly home: Home;
  readonly files: readonly HomeFile[];
  /** Why some of it could not be listed. */
  readonly unlisted: readonly string[];
}

export interface HomeLook {
  /** `usable`: there, and nobody else can change it. */
  readonly kind: "usable" | "absent" | "unusable";
  readonly finding: Finding;
}

export async function lookAtHome(host: Host, home: Home): Promise<HomeLook> {
  try {
    if (await checkHome(host, home)) return { kind: "usable", finding: await privacy(host, home) };
    return { kind: "absent", finding: ok(`${home.root} is not there yet; drover start makes it`) };
  } catch (error) {
    if (!(error instanceof DroverError)) throw error;
    return {
      kind: "unusable",
      finding: problem(error.message, error.hint ?? "mend it, or set DROVER_HOME to another one"),
    };
  }
}

async function privacy({ files }: Host, home: Home): Promise<Finding> {
  const mode = (await files.stat(home.root))?.mode ?? 0;
  if ((mode & 0o700) !== 0o700) {
    return problem(`${home.root} is closed to its owner (mode ${octal(mode)})`, `chmod 700 ${home.root}`);
  }
  if ((mode & 0o077) === 0) return ok(`${home.root} is yours alone (mode ${octal(mode)})`);
  return warning(
    `others may look into ${home.root} (mode ${octal(mode)})`,
    `chmod 700 ${home.root}, as the next drover start does`,
  );
}

/** Directories whose content belongs to tasks, or to another home. */
const OPAQUE = new Set(["workspaces", "transcripts", "profiles"]);

/** Every file of the home with owner and mode; what belongs to tasks or to profiles is not gone into. */
export async function listHome(host: Host, home: Home): Promise<Pick<HomePlace, "files" | "unlisted">> {
  const files: HomeFile[] = [];
  const unlisted: string[] = [];
  const walk = async (directory: string, depth: number) => {
    try {
      for (const name of await host.files.list(directory)) {
        const path = `${directory}/${name}`;
        const info = await host.files.stat(path, { link: true });
        if (!info) continue;
        files.push(fileOf(path, info));
        const inside = info.isDirectory && !info.isSymlink && depth < 2;
        if (inside && !(depth === 0 && OPAQUE.has(name))) await walk(path, depth + 1);
      }
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      // Files come and go while a daemon works.
      if (error.code !== "not-found") unlisted.push(error.message);
    }
  };
  await walk(home.root, 0);
  return { files, unlisted };
}

function fileOf(path: string, info: FileInfo): HomeFile {
  const kinds = [
    ["link", info.isSymlink],
    ["directory", info.isDirectory],
    ["file", info.isFile],
    ["socket", path.endsWith(".sock")],
  ] as const;
  return {
    path,
    kind: kinds.find(([, is]) => is)?.[0] ?? "other",
    owner: info.uid,
    mode: octal(info.mode),
    size: info.size,
    modifiedAt: new Date(info.mtimeMs).toISOString(),
  };
}

function octal(mode: number): string {
  return mode.toString(8);
}

export const HOME_CHECKS: readonly Check<HomePlace>[] = [
  ["files", checkFiles],
  ["disk", checkDisk],
  ["socket path", checkSocketPath],
  ["file system", ({ host, home }) => probeHome(host, home)],
];

interface Fault {
  readonly verdict: Exclude<Verdict, "ok">;
  readonly applies: (file: HomeFile, uid: number) => boolean;
  readonly one: (file: HomeFile, name: string, uid: number) => string;
  readonly many: string;
  /** What mends it, before the path. */
  readonly command: (uid: number) => string;
}

const FAULTS: readonly Fault[] = [
  {
    verdict: "problem",
    applies: ({ owner }, uid) => owner !== uid,
    one: ({ owner }, name, uid) => `${name} belongs to user ${owner}, not to ${uid}`,
    many: "belong to other users",
    command: (uid) => `chown -R ${uid}`,
  },
  {
    verdict: "problem",
    applies: (file) => has(file, 0o022),
    one: ({ mode }, name) => `others may write to ${name} (mode ${mode})`,
    many: "can be written by others",
    command: () => "chmod -R go-rwx",
  },
  {
    verdict: "warning",
    applies: (file) => has(file, 0o044) && !has(file, 0o022),
    one: ({ mode }, name) => `others may read ${name} (mode ${mode})`,
    many: "can be read by others",
    command: () => "chmod -R go-rwx",
  },
  {
    verdict: "problem",
    applies: (file) => file.kind !== "link" && !has(file, 0o400),
    one: ({ mode }, name) => `you may not read ${name} (mode ${mode})`,
    many: "cannot be read by you",
    command: () => "chmod -R u+rwX",
  },
];

/** The mode of a link says nothing. */
function has({ kind, mode }: HomeFile, bits: number): boolean {
  return kind !== "link" && (parseInt(mode, 8) & bits) !== 0;
}

function checkFiles({ host, home, files, unlisted }: HomePlace): Finding[] {
  const { uid } = host.system;
  const relative = ({ path }: HomeFile) => path.slice(home.root.length + 1);
  const found: Finding[] = unlisted.map((why) => problem(why, "give it back to you with chown and chmod"));
  for (const { verdict, applies, one, many, command } of FAULTS) {
    const faulty = files.filter((file) => applies(file, uid));
    const [first] = faulty;
    if (!first) continue;
    found.push({
      verdict,
      finding: faulty.length === 1 ? one(first, relative(first), uid) : `${count(faulty.length, "file")} ${many}`,
      advice: `${command(uid)} ${quoted(faulty.length === 1 ? first.path : home.root)}`,
      details: faulty.map((file) => one(file, relative(file), uid)),
    });
  }
  const damaged = files.filter(({ path }) => DAMAGED.test(path));
  if (damaged.length > 0) {
    const advice = "look at them if you want to know why, then remove them";
    found.push(warning(`${count(damaged.length, "damaged file")} put aside`, advice, damaged.map(relative)));
  }
  return found.length > 0 ? found : [ok(`${count(files.length, "file")}, all yours and private`)];
}

/** What `set_aside.ts` of the life cycle calls them. */
const DAMAGED = /\.bad-\d{8}T\d+Z$/;

function quoted(path: string): string {
  return /^[\w./+-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

const MIB = 1024 * 1024;
/** Logs and stores still fit; below that they soon do not. */
const SCARCE_BYTES = 64 * MIB;
/** A working copy and its build may well need that much. */
const LOW_BYTES = 1024 * MIB;
const LOW_FILES = 1_000;

async function checkDisk({ host, home }: HomePlace): Promise<Finding[]> {
  const { freeBytes, totalBytes, freeFiles } = await host.inspector.diskSpace(home.root);
  const free = `${Math.floor(freeBytes / MIB)} of ${Math.ceil(totalBytes / MIB)} MiB free`;
  const advice = "make room, or move the home to another disk (DROVER_HOME)";
  const files = freeFiles !== null && freeFiles < LOW_FILES
    ? [problem(`the file system has room for ${count(freeFiles, "more file")}`, advice)]
    : [];
  if (freeBytes < SCARCE_BYTES) return [problem(free, advice), ...files];
  return [freeBytes < LOW_BYTES ? warning(free, advice) : ok(free), ...files];
}

/** Of the length that any instance's path has. */
const SOME_INSTANCE = "0".repeat(32);

async function checkSocketPath({ host, home }: HomePlace): Promise<Finding> {
  const { path, directory } = controlSocket(home, SOME_INSTANCE, host.system);
  const bytes = new TextEncoder().encode(path).length;
  if (directory === home.runDirectory) return ok(`${bytes} bytes of at most 103`);
  const info = await host.files.stat(directory, { link: true });
  if (info && (!info.isDirectory || info.uid !== host.system.uid || (info.mode & 0o077) !== 0)) {
    return problem(
      `the home's path is too long for a socket, and ${directory} in its place is not a private directory of yours`,
      `remove ${directory}, or set DROVER_HOME to a directory with a shorter path`,
    );
  }
  return ok(`the home's path is too long for a socket, so it is in ${directory}`);
}
