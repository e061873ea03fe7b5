/** Writes lib/README.md, the map of the sources, from the first line of each file; `--check` only compares. */
import { join } from "@std/path";
import { listFiles, ROOT } from "./project.ts";
import { runScript } from "./command.ts";

const MAP = "lib/README.md";

/** What the folders are, in the order in which one may build on another; others follow by name. */
const FOLDERS: ReadonlyMap<string, string> = new Map([
  ["lib/core", "The rules: no I/O, no clock, no randomness."],
  ["lib/wire", "The protocols."],
  ["lib/agents", "One adapter per protocol family."],
  ["lib/daemon", "The loops."],
  ["lib/lifecycle", "One daemon per home."],
  ["lib/coordinator", "The embedded server."],
  ["lib/app", "Daemon, coordinator and lifecycle wired over one host."],
  ["lib/host", "The real world: the only place with effects."],
  ["lib/cli", "The verbs."],
  ["lib/cli/commands", "One file per verb."],
]);

/** One source file: its path below the project and its first line. */
export interface MapEntry {
  readonly path: string;
  readonly firstLine: string;
}

/** The whole page. Files without a doc comment on the first line get an empty cell; the lint rule names them. */
export function renderMap(entries: readonly MapEntry[]): string {
  const byFolder = Map.groupBy(entries, (entry) => entry.path.slice(0, entry.path.lastIndexOf("/")));
  const known = [...FOLDERS.keys()];
  const rank = (folder: string) => known.includes(folder) ? known.indexOf(folder) : known.length;
  const folders = [...byFolder.keys()].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  const sections = folders.map((folder) => {
    const role = FOLDERS.get(folder);
    const rows = (byFolder.get(folder) ?? []).map(({ path, firstLine }) => {
      const name = path.slice(folder.length + 1);
      return `| [${name}](${path.slice("lib/".length)}) | ${sentence(firstLine)} |\n`;
    });
    return `## ${folder}\n\n${role ? `${role}\n\n` : ""}| file | role |\n| --- | --- |\n${rows.join("")}`;
  });
  return `# Map of lib\n\nMade by \`deno task map\` from the first line of each file; do not edit.\n\n${
    sections.join("\n")
  }`;
}

function sentence(firstLine: string): string {
  const found = /^\/\*\* (.*) \*\/$/.exec(firstLine);
  return (found?.[1] ?? "").replaceAll("|", "\\|");
}

async function readEntries(): Promise<MapEntry[]> {
  const paths = (await listFiles("lib", [".ts"])).filter((path) => !path.endsWith(".d.ts"));
  return await Promise.all(paths.map(async (path) => {
    const text = await Deno.readTextFile(join(ROOT, path));
    return { path, firstLine: text.slice(0, text.indexOf("\n")) };
  }));
}

async function main(): Promise<number> {
  const wanted = renderMap(await readEntries());
  const present = await Deno.readTextFile(join(ROOT, MAP)).catch(() => "");
  if (wanted === present) return 0;
  if (Deno.args.includes("--check")) {
    console.error(
      `${MAP} is not up to date with the first lines of the files in lib: run "deno task map" and commit it`,
    );
    return 1;
  }
  await Deno.writeTextFile(join(ROOT, MAP), wanted);
  return 0;
}

if (import.meta.main) await runScript(main);
