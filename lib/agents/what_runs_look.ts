/** How one looks around for the files behind a command: what may be asked, and the questions that come up everywhere. */
import { dirname, isAbsolute, join } from "@std/path";
import type { Env, Files, Fingerprints, FollowedLink } from "../core/ports.ts";
import type { FileRole } from "../core/reload_sight.ts";

export interface Surroundings {
  readonly fingerprints: Pick<Fingerprints, "look" | "follow" | "readStart">;
  readonly files: Pick<Files, "list">;
  /** What agents inherit: version managers are moved and steered by variables. */
  readonly env: Env;
}

export interface ProgramFile {
  readonly path: string;
  readonly role: FileRole;
}

export interface Script {
  readonly text: string;
  /** Name of the program that reads it, also behind `env`. */
  readonly interpreter: string;
  readonly interpreterPath: string;
}

/** A file that is started, and how it was come by. */
export interface Place {
  /** Of the command; shims go by it. */
  readonly name: string;
  readonly path: string;
  readonly realPath: string;
  readonly links: readonly FollowedLink[];
  readonly script?: Script;
}

/** A directory that a variable names, else the one below the home directory. Undefined without either. */
export function directoryOf(env: Env, variable: string, belowHome: string): string | undefined {
  const set = env[variable];
  if (set && isAbsolute(set)) return set;
  return env.HOME ? join(env.HOME, belowHome) : undefined;
}

/** Names in a directory; none where it cannot be listed. */
export async function namesIn(directory: string, { files }: Pick<Surroundings, "files">): Promise<readonly string[]> {
  try {
    return await files.list(directory);
  } catch {
    return [];
  }
}

/** A text of at most 1 MiB; undefined where it cannot be read. */
export async function textOf(
  path: string,
  { fingerprints }: Pick<Surroundings, "fingerprints">,
): Promise<string | undefined> {
  const bytes = await fingerprints.readStart(path, 1024 * 1024);
  return bytes && new TextDecoder().decode(bytes);
}

/** The directories from a file's own up to the root. */
export function* directoriesAbove(path: string): Generator<string> {
  for (let at = dirname(path);; at = dirname(at)) {
    yield at;
    if (at === dirname(at)) return;
  }
}
