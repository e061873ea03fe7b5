/** Which version and time a build gets: the tag's version on a clean tag, else the next release's with `-dev` and the commit. */
import { ROOT } from "./project.ts";
import { tryCapture } from "./command.ts";

export interface SourceVersion {
  readonly version: string;
  readonly commit: string;
}

/** What git knows about the sources; `describe` is the output of `git describe --tags --always --dirty`. */
export interface GitState {
  readonly describe: string;
  readonly commit: string;
}

/** `declared` is the version in deno.json, the next release. Without git (an unpacked archive) there is no commit. */
export function versionOf(declared: string, git: GitState | undefined): SourceVersion {
  if (!git) return { version: `${declared}-dev`, commit: "" };
  const dirty = git.describe.endsWith("-dirty");
  // Beyond a tag git says TAG-COUNT-gHASH. That has one hyphen too many to match, which is as well: it would read like a
  // pre-release of the tag, older than what it came after.
  const tag = /^v(\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?)$/.exec(git.describe);
  if (tag?.[1] && !dirty) return { version: tag[1], commit: git.commit };
  return { version: `${declared}-dev+${git.commit}${dirty ? ".dirty" : ""}`, commit: git.commit };
}

/**
 * Seconds since 1970 that stand in what is built instead of the time of day, so that the same commit gives the same bytes:
 * `SOURCE_DATE_EPOCH`, or the commit's. 0 without git.
 */
export async function readSourceTime(): Promise<number> {
  const given = Deno.env.get("SOURCE_DATE_EPOCH");
  const seconds = given || (await readGit() && await askGit("log", "-1", "--format=%ct")) || "0";
  if (!/^\d{1,11}$/.test(seconds)) {
    throw new Error(`Reading SOURCE_DATE_EPOCH failed: it is no number of seconds, "${seconds}"`);
  }
  return Number(seconds);
}

/** Undefined without git, without a commit, and where the project only lies inside somebody else's repository. */
export async function readGit(): Promise<GitState | undefined> {
  if (await askGit("rev-parse", "--show-prefix") !== "") return undefined;
  const [describe, commit] = await Promise.all([
    askGit("describe", "--tags", "--always", "--dirty", "--match", "v[0-9]*"),
    askGit("rev-parse", "--short=12", "HEAD"),
  ]);
  return describe && commit ? { describe, commit } : undefined;
}

/** Without optional locks: a build must not disturb a git command that runs at the same time. */
function askGit(...args: string[]): Promise<string | undefined> {
  return tryCapture(["git", ...args], { cwd: ROOT, env: { GIT_OPTIONAL_LOCKS: "0" }, timeoutMs: 10_000 });
}
