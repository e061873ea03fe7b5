/** What git says of a work directory before it is removed: is there work that only it holds; and taking it out of its repositories. */
import { join, resolve } from "@std/path";
import type { Unsaved } from "../core/gc.ts";
import { type Env, type Files, HostError, type Processes } from "../core/ports.ts";
import { repoGit, RepoGitError, repoGitMaybe, type RepoGitPorts } from "./repo_git.ts";

export interface WorkStatePorts {
  readonly files: Files;
  readonly processes: Processes;
  readonly env: Env;
  readonly signal: AbortSignal;
}

interface Checkout {
  readonly path: string;
  /** The repository is elsewhere, and stays when this is removed. */
  readonly worktree: boolean;
}

/** To look at a directory takes no server. */
function offline({ processes, env, signal }: WorkStatePorts): RepoGitPorts {
  return { processes, env, signal, protocols: "none" };
}

/** The worst of all checkouts in a directory; one that git cannot read counts as work, as nobody knows what it holds. */
export async function unsavedIn(root: string, cache: string, ports: WorkStatePorts): Promise<Unsaved> {
  let found: Unsaved = "nothing";
  for (const checkout of await checkoutsIn(root, ports.files)) {
    const unsaved = await unsavedOf(checkout, { root, cache }, ports);
    if (unsaved === "uncommitted") return unsaved;
    if (unsaved !== "nothing") found = unsaved;
  }
  return found;
}

async function unsavedOf(
  { path, worktree }: Checkout,
  { root, cache }: { root: string; cache: string },
  ports: WorkStatePorts,
): Promise<Unsaved> {
  const git = offline(ports);
  try {
    if (await repoGit(path, ["status", "--porcelain", "--untracked-files=normal"], git) !== "") return "uncommitted";
    const common = resolve(path, await repoGit(path, ["rev-parse", "--git-common-dir"], git));
    // In a repository of the user's the branch stays behind, and with it all that was committed.
    const ours = [root, cache].some((directory) => common.startsWith(`${directory}/`));
    if (worktree && !ours) return "nothing";
    if (await repoGitMaybe(path, ["rev-parse", "--verify", "--quiet", "HEAD"], git) === undefined) return "nothing";
    const heads = worktree ? ["HEAD"] : ["HEAD", "--branches"];
    return await repoGit(path, ["rev-list", "--max-count=1", ...heads, "--not", "--remotes"], git) === ""
      ? "nothing"
      : "unpushed";
  } catch (error) {
    if (error instanceof RepoGitError || error instanceof HostError) return "uncommitted";
    throw error;
  }
}

/** So that no repository lists what is gone. Branches of the cache go along when all of them is on the server. */
export async function detach(root: string, cache: string, ports: WorkStatePorts): Promise<void> {
  const git = offline(ports);
  // Those inside others first: with the outer one they would be gone before their repository heard of it.
  for (const { path, worktree } of (await checkoutsIn(root, ports.files)).toReversed()) {
    if (!worktree) continue;
    const common = await repoGitMaybe(path, ["rev-parse", "--git-common-dir"], git);
    const branch = await repoGitMaybe(path, ["branch", "--show-current"], git);
    if (common === undefined) continue;
    const repository = resolve(path, common);
    await repoGitMaybe(repository, ["worktree", "remove", "--force", "--force", path], git);
    if (!branch || !repository.startsWith(`${cache}/`)) continue;
    const own = await repoGitMaybe(repository, ["rev-list", "--max-count=1", branch, "--not", "--remotes"], git);
    if (own === "") await repoGitMaybe(repository, ["branch", "--quiet", "-D", branch], git);
  }
}

/** Agents put repositories where they like; deeper ones are parts of something else. */
const DEPTH = 4;
/** Large, and never somebody's work. */
const PASSED_OVER: ReadonlySet<string> = new Set([".git", "node_modules", ".venv", ".cache"]);

/** The work directory itself, and what was checked out in it. */
async function checkoutsIn(root: string, files: Files): Promise<readonly Checkout[]> {
  const found: Checkout[] = [];
  const look = async (path: string, depth: number): Promise<void> => {
    if (!(await files.stat(path, { link: true }))?.isDirectory) return;
    const git = await files.stat(join(path, ".git"), { link: true });
    if (git) found.push({ path, worktree: git.isFile });
    if (depth === DEPTH) return;
    for (const name of await files.list(path)) {
      if (!PASSED_OVER.has(name)) await look(join(path, name), depth + 1);
    }
  };
  await look(join(root, "workdir"), 0);
  return found;
}

export interface CachedRepo {
  /** The bare clone. */
  readonly path: string;
  readonly usedAt: number;
  readonly worktrees: number;
  readonly unpushed: boolean;
}

/** Worktrees that were removed by hand are forgotten first. */
export async function lookAtRepo(path: string, ports: WorkStatePorts): Promise<CachedRepo> {
  const git = offline(ports);
  const used = await ports.files.stat(`${path}.used`) ?? await ports.files.stat(path);
  const bare = { path, usedAt: used?.mtimeMs ?? 0, worktrees: 0, unpushed: false };
  await repoGitMaybe(path, ["worktree", "prune"], git);
  const listed = await repoGitMaybe(path, ["worktree", "list", "--porcelain"], git);
  // What git cannot read is a clone that was cut off.
  if (listed === undefined) return bare;
  const own = await repoGitMaybe(path, ["rev-list", "--max-count=1", "--branches", "--not", "--remotes"], git);
  return {
    ...bare,
    worktrees: listed.split("\n").filter((line) => line.startsWith("worktree ")).length - 1,
    unpushed: own !== "",
  };
}

/** Each fetch leaves a pack behind, and with many of them everything becomes slow. At once, not in the background. */
const TIDY = [
  "-c",
  "gc.auto=5000",
  "-c",
  "gc.autoPackLimit=30",
  "-c",
  "gc.autoDetach=false",
  "gc",
  "--auto",
  "--quiet",
];

/** Only where there is enough to do. Under the repository's lock. */
export async function tidyRepo(path: string, ports: WorkStatePorts): Promise<void> {
  await repoGitMaybe(path, TIDY, offline(ports));
}

/** Folders of workspaces, and in each what `takes` says. */
export async function listBelow(
  directory: string,
  takes: (name: string) => boolean,
  files: Files,
): Promise<readonly string[]> {
  const found: string[] = [];
  for (const workspace of await listed(directory, files)) {
    if (workspace.startsWith(".")) continue;
    for (const name of await listed(join(directory, workspace), files)) {
      if (takes(name)) found.push(join(directory, workspace, name));
    }
  }
  return found;
}

async function listed(directory: string, files: Files): Promise<readonly string[]> {
  return (await files.stat(directory, { link: true }))?.isDirectory ? await files.list(directory) : [];
}
