/** What an npm package runs behind its launcher: its manifest stands for its code, beside the native programs it starts. */
import { basename, join } from "@std/path";
import { directoriesAbove, namesIn, type ProgramFile, type Surroundings, textOf } from "./what_runs_look.ts";

/** Where packages keep programs of their own, besides the package of the platform. */
const PROGRAM_FOLDERS = ["bin", "vendor"];
const MAX_DEPTH = 5;
const MAX_ENTRIES = 400;
const MAX_PROGRAMS = 16;

/** First bytes of ELF and Mach-O files (both orders, 64 bit and universal). */
const MAGIC: ReadonlySet<string> = new Set(["7f454c46", "cffaedfe", "feedfacf", "cafebabe", "bebafeca"]);

/** Manifest and native programs of the package that a launcher belongs to; nothing where it belongs to none. */
export async function packageFiles(launcher: string, around: Surroundings): Promise<readonly ProgramFile[]> {
  const directory = await packageOf(launcher, around);
  if (!directory) return [];
  const files: ProgramFile[] = [{ path: join(directory, "package.json"), role: "code" }];
  const folders = PROGRAM_FOLDERS.map((folder) => join(directory, folder));
  for (const name of await optionalDependencies(directory, around)) {
    const dependency = await installed(name, directory, around);
    if (!dependency) continue;
    files.push({ path: join(dependency, "package.json"), role: "code" });
    folders.push(dependency);
  }
  const programs: string[] = [];
  for (const folder of folders) await collectPrograms(folder, around, programs, { entries: 0 });
  return [...files, ...programs.map((path): ProgramFile => ({ path, role: "program" }))];
}

/** The nearest directory with a manifest that names a package; not beyond the node_modules it is installed in. */
async function packageOf(launcher: string, around: Surroundings): Promise<string | undefined> {
  for (const directory of directoriesAbove(launcher)) {
    if (basename(directory) === "node_modules") return undefined;
    const manifest = await manifestOf(directory, around);
    // Some packages keep a bare manifest beside their code, only to say which kind of modules it has.
    if (typeof manifest?.name === "string") return directory;
  }
}

async function manifestOf(directory: string, around: Surroundings): Promise<Record<string, unknown> | undefined> {
  const text = await textOf(join(directory, "package.json"), around);
  if (text === undefined) return undefined;
  try {
    const manifest = JSON.parse(text);
    return manifest && typeof manifest === "object" ? manifest : undefined;
  } catch {
    return undefined;
  }
}

/** Platform packages are optional dependencies, of which npm installs those that fit the machine. */
async function optionalDependencies(directory: string, around: Surroundings): Promise<readonly string[]> {
  const named = (await manifestOf(directory, around))?.optionalDependencies;
  return named && typeof named === "object" ? Object.keys(named).sort() : [];
}

/** As Node looks a package up: in each node_modules from here to the root. */
async function installed(name: string, from: string, around: Surroundings): Promise<string | undefined> {
  for (const directory of directoriesAbove(join(from, "package.json"))) {
    const found = join(basename(directory) === "node_modules" ? directory : join(directory, "node_modules"), name);
    if ("mark" in await around.fingerprints.look(join(found, "package.json"))) return found;
  }
}

async function collectPrograms(
  directory: string,
  around: Surroundings,
  programs: string[],
  seen: { entries: number },
  depth = MAX_DEPTH,
): Promise<void> {
  for (const name of await namesIn(directory, around)) {
    if (name === "node_modules" || ++seen.entries > MAX_ENTRIES || programs.length >= MAX_PROGRAMS) continue;
    const path = join(directory, name);
    const look = await around.fingerprints.look(path);
    // What is no file is a directory, or has no names in it.
    if (look.kind === "unreadable" && depth > 0) await collectPrograms(path, around, programs, seen, depth - 1);
    if (look.kind === "file" && await isNative(path, around)) programs.push(path);
  }
}

/** Libraries are left out: they come and go with the program that loads them, and with the manifest. */
async function isNative(path: string, { fingerprints }: Surroundings): Promise<boolean> {
  if (/\.(so|dylib|node)(\.|$)/.test(basename(path))) return false;
  return MAGIC.has((await fingerprints.readStart(path, 4))?.toHex() ?? "");
}
