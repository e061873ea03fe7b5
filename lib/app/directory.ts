/** Where a task of `drover run` works: what was asked for, or what the current directory suggests. */
import { resolve } from "@std/path";
import { withoutRepository } from "../core/agent_env.ts";
import { DroverError } from "../core/drover_error.ts";
import type { DirectoryRequest, Permission } from "../core/model.ts";
import { type Host, HostError } from "../core/ports.ts";

export interface DirectoryWish {
  readonly cwd?: string;
  readonly worktree: boolean;
  readonly scratch: boolean;
  readonly permission?: Permission;
}

export interface DirectoryPlan {
  readonly directory: DirectoryRequest;
  readonly permission: Permission;
  /** What the user should know: a dirty tree, a fallback. */
  readonly remarks: readonly string[];
}

const GIT_MS = 10_000;

/** Throws `usage` for contradictory wishes and `directory_unusable` for a directory that cannot serve. */
export async function planDirectory(host: Host, wish: DirectoryWish): Promise<DirectoryPlan> {
  const wishes = [wish.cwd !== undefined && "--cwd", wish.worktree && "--worktree", wish.scratch && "--scratch"]
    .filter(Boolean);
  if (wishes.length > 1) throw new DroverError("usage", `Cannot combine ${wishes.join(" and ")}: choose one`);
  if (wish.cwd !== undefined) return await inPlace(host, wish.cwd, wish.permission);
  const permission = wish.permission ?? "full";
  if (wish.scratch) return { directory: { mode: "scratch" }, permission, remarks: [] };

  const here = host.system.cwd;
  const repository = await lookAtRepository(host, here);
  if (repository.kind === "usable") {
    const dirty = repository.changed > 0
      ? [
        `${repository.changed} uncommitted change${
          repository.changed === 1 ? "" : "s"
        } in ${repository.top} are not in the worktree`,
      ]
      : [];
    return { directory: { mode: "worktree", path: here }, permission, remarks: dirty };
  }
  if (wish.worktree) {
    throw new DroverError("directory_unusable", `Cannot make a worktree of ${here}: ${repository.why}`, {
      hint: "go into a git repository with a commit, or use --scratch or --cwd DIR",
    });
  }
  const fallback = repository.kind === "unusable"
    ? [`no worktree: ${repository.why}; working in an empty directory`]
    : [];
  return { directory: { mode: "scratch" }, permission, remarks: fallback };
}

/** In the user's own directory nothing is changed unless that was spelled out. */
async function inPlace(host: Host, cwd: string, permission: Permission | undefined): Promise<DirectoryPlan> {
  const path = resolve(host.system.cwd, cwd);
  const info = await host.files.stat(path);
  if (!info?.isDirectory) {
    throw new DroverError(
      "directory_unusable",
      `Cannot work in ${path}: ${info ? "it is not a directory" : "it does not exist"}`,
      { hint: "create it, or name another one with --cwd" },
    );
  }
  const remarks = permission === undefined
    ? ["working in place, read-only; --permission full lets the agent change files"]
    : [];
  return { directory: { mode: "in-place", path }, permission: permission ?? "read-only", remarks };
}

type Repository =
  | { readonly kind: "usable"; readonly top: string; readonly changed: number }
  | { readonly kind: "none"; readonly why: string }
  | { readonly kind: "unusable"; readonly why: string };

async function lookAtRepository(host: Host, path: string): Promise<Repository> {
  const git = (...args: string[]) => runGit(host, path, args);
  const top = await git("rev-parse", "--show-toplevel");
  if (top === undefined) return { kind: "none", why: "it is not in a git repository (or git is not installed)" };
  if (await git("rev-parse", "--verify", "--quiet", "HEAD") === undefined) {
    return { kind: "unusable", why: "the repository has no commit yet" };
  }
  const changes = await git("status", "--porcelain") ?? "";
  return { kind: "usable", top, changed: changes === "" ? 0 : changes.split("\n").length };
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
