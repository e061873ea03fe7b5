/** Where a task of `drover run` works: what was asked for, or what the current directory suggests. */
import { resolve } from "@std/path";
import { withoutRepository } from "../core/agent_env.ts";
import { DroverError } from "../core/drover_error.ts";
import type { DirectoryRequest } from "../core/model.ts";
import { type Host, HostError } from "../core/ports.ts";

export interface DirectoryWish {
  readonly cwd?: string;
  readonly worktree: boolean;
  readonly scratch: boolean;
}

export interface DirectoryPlan {
  readonly directory: DirectoryRequest;
  /** What the user should know: a dirty tree, a fallback. */
  readonly remarks: readonly string[];
}

const GIT_MS = 10_000;

/** Throws `usage` for contradictory wishes and `directory_unusable` for a directory that cannot serve. */
export async function planDirectory(host: Host, wish: DirectoryWish): Promise<DirectoryPlan> {
  const wishes = [wish.cwd !== undefined && "--cwd", wish.worktree && "--worktree", wish.scratch && "--scratch"]
    .filter(Boolean);
  if (wishes.length > 1) throw new DroverError("usage", `Cannot combine ${wishes.join(" and ")}: choose one`);
  if (wish.cwd !== undefined) return await inPlace(host, wish.cwd);
  if (wish.scratch) return { directory: { mode: "scratch" }, remarks: [] };

  const here = host.system.cwd;
  const repository = await lookAtRepository(host, here);
  if (repository.kind === "usable") {
    return { directory: { mode: "worktree", path: here }, remarks: repository.remarks };
  }
  if (wish.worktree) {
    throw new DroverError("directory_unusable", `Cannot make a worktree of ${here}: ${repository.why}`, {
      hint: "go into a git repository with a commit, or use --scratch or --cwd DIR",
    });
  }
  const fallback = repository.kind === "unusable"
    ? [`no worktree: ${repository.why}; working in an empty directory`]
    : [];
  return { directory: { mode: "scratch" }, remarks: fallback };
}

async function inPlace(host: Host, cwd: string): Promise<DirectoryPlan> {
  const path = resolve(host.system.cwd, cwd);
  const info = await host.files.stat(path);
  if (!info?.isDirectory) {
    throw new DroverError(
      "directory_unusable",
      `Cannot work in ${path}: ${info ? "it is not a directory" : "it does not exist"}`,
      { hint: "create it, or name another one with --cwd" },
    );
  }
  return { directory: { mode: "in-place", path }, remarks: [] };
}

type Repository =
  | { readonly kind: "usable"; readonly remarks: readonly string[] }
  | { readonly kind: "none"; readonly why: string }
  | { readonly kind: "unusable"; readonly why: string };

async function lookAtRepository(host: Host, path: string): Promise<Repository> {
  const git = (...args: string[]) => runGit(host, path, args);
  const top = await git("rev-parse", "--show-toplevel");
  if (top === undefined) {
    const bare = await git("rev-parse", "--is-bare-repository") === "true";
    return bare
      ? { kind: "unusable", why: "the repository is bare" }
      : { kind: "none", why: "it is not in a git repository (or git is not installed)" };
  }
  if (await git("rev-parse", "--verify", "--quiet", "HEAD") === undefined) {
    return { kind: "unusable", why: "the repository has no commit yet" };
  }
  const changes = await git("status", "--porcelain") ?? "";
  const changed = changes === "" ? 0 : changes.split("\n").length;
  const submodules = await host.files.stat(`${top}/.gitmodules`);
  return {
    kind: "usable",
    remarks: [
      ...(changed > 0
        ? [`the worktree gets ${changed} uncommitted change${changed === 1 ? "" : "s"} of ${top}, which stays as it is`]
        : []),
      ...(submodules ? ["submodules are empty in the worktree until git submodule update --init is run there"] : []),
    ],
  };
}

/** Trimmed stdout, `undefined` when git says no or is not there. */
async function runGit(host: Host, cwd: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const env = { ...withoutRepository(host.system.env), GIT_TERMINAL_PROMPT: "0", GIT_OPTIONAL_LOCKS: "0" };
    const result = await host.processes.run({ executable: "git", args, cwd, env }, { timeoutMs: GIT_MS });
    return result.exit.code === 0 && !result.timedOut ? result.stdout.trim() : undefined;
  } catch (error) {
    if (error instanceof HostError) return undefined;
    throw error;
  }
}
