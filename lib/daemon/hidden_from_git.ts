/** What git, as an agent calls it, must not see: files placed for a run are neither shown nor committed, and no repository is told. */
import { join, relative } from "@std/path";
import type { Env, Files } from "../core/ports.ts";
import { STRIP_COMMAND } from "./brief.ts";
import { gitMaybe, type GitPorts } from "./git.ts";
import type { PlacePlan } from "./placed_files.ts";

export interface HiddenFromGit {
  /** For the agent. */
  readonly env: Env;
  /** After everything was taken out. */
  settle(): Promise<void>;
}

/**
 * Variables for the agent. New files are ignored; of files that git knows it gets to see the user's part alone. Settings
 * of the repository or its list of ignored files would be the user's, and shared by all of its worktrees.
 */
export async function hideFromGit(record: string, plan: PlacePlan, options: GitPorts): Promise<HiddenFromGit> {
  const { directory } = plan;
  const prefix = await gitMaybe(directory, ["rev-parse", "--show-prefix"], options) ?? "";
  const named = (path: string) => `/${prefix}${relative(directory, path)}`.replace(/[ \\*?[\]#!"]/g, "\\$&");
  const ignored = [
    ...plan.files.filter(({ original }) => !original).map(({ path }) => named(path)),
    ...plan.folders.map(({ path }) => `${named(path)}/`),
  ];
  const known = plan.files.map((file, i) => ({ ...file, filter: `drover-${i}`, before: join(record, `${i}.before`) }))
    .filter(({ original }) => original);
  const settings = [
    await listed("core.excludesFile", ignored, { ...options, record, directory }),
    await listed("core.attributesFile", known.map(({ path, filter }) => `${inQuotes(named(path))} filter=${filter}`), {
      ...options,
      record,
      directory,
    }),
    ...known.map(({ filter, strip, before }) =>
      `filter.${filter}.clean=${strip.kind === "block" ? STRIP_COMMAND : `cat ${quoted(before)}`}`
    ),
  ];
  const own = [options.env.GIT_CONFIG_PARAMETERS, ...settings.filter(Boolean).map((setting) => quoted(setting!))];
  const paths = known.map(({ path }) => path);
  await readAgain(directory, paths, options);
  return {
    env: { GIT_CONFIG_PARAMETERS: own.filter(Boolean).join(" ") },
    // Also after a run that was told to end.
    settle: () => readAgain(directory, paths, { ...options, signal: new AbortController().signal }),
  };
}

/** Git takes a file of another length for changed without a look through its filters; an entry without a length it reads. */
async function readAgain(directory: string, paths: readonly string[], options: GitPorts): Promise<void> {
  for (const path of paths) {
    const listed = await gitMaybe(directory, ["ls-files", "--stage", "--full-name", "-z", "--", path], options);
    const entry = /^(\d+) ([0-9a-f]+) 0\t([^\0]+)\0?$/.exec(listed ?? "");
    if (entry) await gitMaybe(directory, ["update-index", "--cacheinfo", entry.slice(1).join(",")], options);
  }
}

/** The file that git reads by default in such a place, with lines of ours at its end. */
const DEFAULT_NAMES = { "core.excludesFile": "ignore", "core.attributesFile": "attributes" } as const;

async function listed(
  setting: keyof typeof DEFAULT_NAMES,
  lines: readonly string[],
  options: GitPorts & { record: string; directory: string },
): Promise<string | undefined> {
  if (lines.length === 0) return undefined;
  const { files, env, record, directory } = options;
  const name = DEFAULT_NAMES[setting];
  const config = env.XDG_CONFIG_HOME || (env.HOME ? join(env.HOME, ".config") : "");
  const theirs = await gitMaybe(directory, ["config", "--type=path", "--get", setting], options) ??
    (config && join(config, "git", name));
  const path = join(record, `git-${name}`);
  await files.writeAtomic(path, `${await textOf(theirs, files)}\n${lines.join("\n")}\n`, { sync: false });
  return `${setting}=${path}`;
}

async function textOf(path: string, files: Files): Promise<string> {
  return path.startsWith("/") && (await files.stat(path))?.isFile ? await files.readText(path) : "";
}

/** A pattern as a file of attributes takes it: there a blank ends it, also one after a backslash. */
function inQuotes(pattern: string): string {
  return `"${pattern.replace(/["\\]/g, "\\$&").replaceAll("\n", "\\n")}"`;
}

/** As git and the shell read it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
