/** What a script starts: the paths in a shell wrapper, and the package behind an entry point of Python. */
import { basename, dirname, isAbsolute, join, normalize } from "@std/path";
import type { Env } from "../core/ports.ts";
import { namesIn, type Place, type ProgramFile, type Script, type Surroundings } from "./what_runs_look.ts";

/** They run what their arguments name. */
const INTERPRETERS = /^(node|bun|deno|env|exec|ruby|perl|python[\d.]*|(ba|da|z|k|a)?sh)$/;

/** A command line of a wrapper passes its own arguments on; whatever else the script does is preparation. */
const PASSES_ON = /"\$@"|\$\{1\+"\$@"\}/;

/** A path whose quotes end before its first slash. */
const QUOTED_BEGINNING = /"([^"\s]*)"(?=\/)/g;

/** A word with a slash, in quotes or without. */
const PATH_WORD = /"([^"]*\/[^"]*)"|'([^']*\/[^']*)'|([^\s"';&|()=]*\/[^\s"';&|()]+)/g;

/** The ways to say "my own directory", inner ones first; the last also takes the detours of npm's and pnpm's wrappers. */
const OWN_PATH = /\$(?:0|\{0\}|BASH_SOURCE|\{BASH_SOURCE(?:\[0\])?(?::-\$0)?\})/.source;
const OWN_DIRECTORY: readonly RegExp[] = [
  /\$\{(?:0|BASH_SOURCE|BASH_SOURCE\[0\])%\/\*\}/g,
  new RegExp(String.raw`\$\(\s*dirname\s+(?:--\s+)?"?${OWN_PATH}"?\s*\)`, "g"),
  new RegExp(
    String.raw`\$\(\s*dirname\s+(?:--\s+)?"?\$\((?:echo|readlink|realpath)[^()]*${OWN_PATH}[^()]*\)"?\s*\)`,
    "g",
  ),
];
const CHANGE_AND_PRINT = /\$\(\s*cd\s+(?:-P\s+|--\s+)?"?([^"()]+?)"?\s*(?:>\S+\s*)?(?:&&|;)\s*pwd(?:\s+-P)?\s*\)/g;

/** An interpreter as a word of its own, or at the end of a path. */
const READS_A_SCRIPT = /(?:^|[\s/"'])(?:node|bun|deno|ruby|perl|python[\d.]*|(?:ba|da|z|k|a)?sh)["']?\s/;

/** What a wrapper hands over to. `read`: by an interpreter, so that it need not be executable itself. */
export interface ShellTarget {
  readonly path: string;
  readonly read: boolean;
}

/** Absolute paths, in the wrapper's order; they need not exist. */
export function shellTargets(text: string, { path, realPath }: Place, env: Env): readonly ShellTarget[] {
  // By which of its names it was started, the script knows and we do not.
  const homes = [...new Set([dirname(realPath), dirname(path)])];
  const targets = homes.flatMap((home) => targetsFrom(text, home, env));
  return [...new Map(targets.map((target) => [target.path, target])).values()];
}

function targetsFrom(text: string, ownDirectory: string, env: Env): readonly ShellTarget[] {
  const variables = new Map(env.HOME ? [["HOME", env.HOME]] : []);
  const targets: ShellTarget[] = [];
  for (const raw of text.replaceAll("\\\n", " ").split("\n")) {
    if (/^\s*#/.test(raw)) continue;
    const own = OWN_DIRECTORY.reduce((line, pattern) => line.replace(pattern, () => ownDirectory), raw);
    const line = expand(own.replace(CHANGE_AND_PRINT, "$1"), variables).replace(QUOTED_BEGINNING, "$1");
    const assigned = /^\s*(?:export\s+|readonly\s+|local\s+)?(\w+)=(["']?)([^"']*)\2\s*$/.exec(line);
    if (assigned) variables.set(assigned[1]!, assigned[3]!);
    if (!PASSES_ON.test(line)) continue;
    for (const { 1: double, 2: single, 3: bare, index } of line.matchAll(PATH_WORD)) {
      const target = (double ?? single ?? bare ?? "").replace(/^~(?=\/)/, () => env.HOME ?? "~");
      if (isAbsolute(target) && !/[$`]/.test(target) && !INTERPRETERS.test(basename(target))) {
        targets.push({ path: normalize(target), read: READS_A_SCRIPT.test(line.slice(0, index)) });
      }
    }
  }
  return targets;
}

function expand(line: string, variables: ReadonlyMap<string, string>): string {
  return line.replace(/\$(?:(\w+)|\{(\w+)\})/g, (whole, plain, braced) => variables.get(plain ?? braced) ?? whole);
}

/**
 * The record of an installed distribution, which lists the digest of each of its files: its bytes stand for all code.
 * Nothing where the script is not the entry point of one.
 */
export async function pythonFiles(
  place: Place & { readonly script: Script },
  around: Surroundings,
): Promise<readonly ProgramFile[]> {
  const { interpreterPath, text } = place.script;
  if (!isAbsolute(interpreterPath)) return [];
  const modules = [...text.matchAll(/^\s*(?:from|import)\s+(\w+)/gm)].map(([, module]) => module!);
  const wanted = new Set([place.name, ...modules].map(canonical));
  const library = join(dirname(dirname(interpreterPath)), "lib");
  const files: ProgramFile[] = [];
  for (const python of await namesIn(library, around)) {
    if (!/^python[\d.]+$/.test(python)) continue;
    const packages = join(library, python, "site-packages");
    for (const name of await namesIn(packages, around)) {
      const distribution = /^(.+?)-[^-]+\.dist-info$/.exec(name)?.[1];
      if (!distribution || !wanted.has(canonical(distribution))) continue;
      files.push({ path: join(packages, name, "RECORD"), role: "code" });
    }
  }
  return files;
}

/** Distributions are spelled with dashes, dots or underscores, and mean the same. */
function canonical(name: string): string {
  return name.toLowerCase().replace(/[-_.]+/g, "_");
}
