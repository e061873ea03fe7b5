/** THE TABLE of version managers whose shims start something else than themselves, and what each would start. */
import { basename, dirname, join } from "@std/path";
import type { Env } from "../core/ports.ts";
import { directoryOf, namesIn, type Place, type Surroundings, textOf } from "./what_runs_look.ts";

export interface Choice {
  /** What would be started in the home directory; it need not exist. Empty when it cannot be told. */
  readonly candidates: readonly string[];
  /** Files that have a say in the choice. */
  readonly hints: readonly string[];
}

export interface Manager {
  readonly name: string;
  /** `undefined` when the place is no shim of this one. */
  choose(place: Place, around: Surroundings): Promise<Choice | undefined>;
}

/** nvm and fnm have no row: theirs are plain directories and links. */
export const MANAGERS: readonly Manager[] = [
  { name: "asdf", choose: chooseAsdf },
  { name: "mise", choose: chooseMise },
  { name: "volta", choose: chooseVolta },
  { name: "env shim", choose: chooseEnvShim },
];

/** A shim says in comments which versions of which plugin have the command; `~/.tool-versions` picks one. */
async function chooseAsdf({ name, realPath, script }: Place, around: Surroundings): Promise<Choice | undefined> {
  if (!script || !/\basdf exec\b/.test(script.text)) return undefined;
  const offers = [...script.text.matchAll(/^# asdf-plugin: (\S+) (\S+)$/gm)].map(([, plugin, version]) => ({
    plugin: plugin!,
    version: version!,
  }));
  const hints = around.env.HOME ? [join(around.env.HOME, ".tool-versions")] : [];
  const chosen = toolVersions(hints[0] ? await textOf(hints[0], around) : undefined);
  const data = directoryOf(around.env, "ASDF_DATA_DIR", ".asdf") ?? dirname(dirname(realPath));
  const fits = offers.filter(({ plugin, version }) => {
    const wanted = around.env[`ASDF_${plugin.toUpperCase().replaceAll("-", "_")}_VERSION`] ?? chosen.get(plugin);
    return wanted === undefined ? offers.length === 1 : wanted === version;
  });
  return { candidates: fits.map(({ plugin, version }) => join(data, "installs", plugin, version, "bin", name)), hints };
}

/** The first version of each tool, from lines such as `nodejs 22.1.0 20.9.0`. */
function toolVersions(text: string | undefined): ReadonlyMap<string, string> {
  const lines = (text ?? "").split("\n").map((line) => line.replace(/#.*/, "").trim().split(/\s+/));
  return new Map(lines.filter((words) => words.length > 1).map(([tool, version]) => [tool!, version!]));
}

/** Shims are links to mise itself, which goes by the name it is called; `latest` and the like are links of its own. */
async function chooseMise({ name, realPath, links }: Place, around: Surroundings): Promise<Choice | undefined> {
  const shim = links.find(({ path }) => basename(dirname(path)) === "shims");
  if (!shim || !/^mise\b/.test(basename(realPath))) return undefined;
  const { env } = around;
  const config = env.MISE_GLOBAL_CONFIG_FILE ?? join(configDirectory(env), "mise", "config.toml");
  const hints = [config, ...(env.HOME ? [join(env.HOME, ".tool-versions")] : [])];
  const wanted = miseTools(await textOf(config, around));
  for (const [tool, version] of toolVersions(hints[1] ? await textOf(hints[1], around) : undefined)) {
    if (!wanted.has(tool)) wanted.set(tool, version);
  }
  const installs = join(dirname(dirname(shim.path)), "installs");
  const candidates: string[] = [];
  for (const tool of await namesIn(installs, around)) {
    const candidate = join(installs, tool, wanted.get(tool) ?? "latest", "bin", name);
    if ("mark" in await around.fingerprints.look(candidate)) candidates.push(candidate);
  }
  return { candidates, hints };
}

function configDirectory(env: Env): string {
  return directoryOf(env, "XDG_CONFIG_HOME", ".config") ?? "/";
}

/** By the tool's folder: what stands under `[tools]`, as `node = "22"`, `["22", "20"]` or `{ version = "22" }`. */
function miseTools(text: string | undefined): Map<string, string> {
  const tools = new Map<string, string>();
  let inTools = false;
  for (const line of (text ?? "").split("\n")) {
    const section = /^\s*\[([^\]"']+)\]/.exec(line)?.[1];
    if (section !== undefined) inTools = section.trim() === "tools";
    const entry = /^\s*(?:"([^"]+)"|([\w-]+))\s*=[^"#]*"([^"]+)"/.exec(line);
    if (inTools && entry) tools.set((entry[1] ?? entry[2])!.replace(/[^A-Za-z0-9.]+/g, "-"), entry[3]!);
  }
  return tools;
}

/** Shims are links to one program; a file per command says which package has it. */
async function chooseVolta({ name, realPath, links }: Place, around: Surroundings): Promise<Choice | undefined> {
  if (basename(realPath) !== "volta-shim") return undefined;
  const shim = links.find(({ path }) => basename(path) === name && basename(dirname(path)) === "bin");
  const home = shim ? dirname(dirname(shim.path)) : directoryOf(around.env, "VOLTA_HOME", ".volta");
  if (!home) return { candidates: [], hints: [] };
  const record = join(home, "tools", "user", "bins", `${name}.json`);
  // Read as text, as nothing else of it matters here.
  const owner = /"package"\s*:\s*"([^"]+)"/.exec(await textOf(record, around) ?? "")?.[1];
  const candidates = owner ? [join(home, "tools", "image", "packages", owner, "bin", name)] : [];
  return { candidates, hints: [record] };
}

/** nodenv, pyenv and their relatives: what they choose follows from files in any directory above. */
function chooseEnvShim({ script }: Place): Promise<Choice | undefined> {
  const found = script && /\b(nodenv|pyenv|rbenv|goenv|nodebrew)["']? exec\b/.test(script.text);
  return Promise.resolve(found ? { candidates: [], hints: [] } : undefined);
}
