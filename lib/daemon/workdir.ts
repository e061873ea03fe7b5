/** Where a task works: the user's directory, a git worktree, or an empty one, with proof of provenance before a reuse. */
import { join, relative } from "@std/path";
import { withoutRepository } from "../core/agent_env.ts";
import type { Home } from "../core/home.ts";
import { type Env, type Files, HostError, type Processes } from "../core/ports.ts";
import type { ClaimedTask } from "../wire/payloads.ts";

export interface Workdir {
  /** Where the agent starts. */
  readonly path: string;
  /** The git branch of a worktree. */
  readonly branch?: string;
  /** The earlier task's directory was taken up again, so that its session may be resumed. */
  readonly reused: boolean;
}

/** No directory could be made: the message names it and says what to do. Reported as `local_directory_error`. */
export class WorkdirError extends Error {
  override readonly name = "WorkdirError";
}

export interface WorkdirPorts {
  readonly files: Files;
  readonly processes: Processes;
  /** For git. */
  readonly env: Env;
}

/** What the marker beside a work directory says; all of it must match before the directory is used again. */
interface Marker {
  readonly workspace: string;
  readonly agent: string;
  readonly thread: string;
}

const MARKER = ".drover-task.json";
const GIT_TIMEOUT_MS = 120_000;

export async function prepareWorkdir(
  task: ClaimedTask,
  home: Home,
  options: WorkdirPorts & { signal: AbortSignal },
): Promise<Workdir> {
  const request = task.directory ?? { mode: "scratch" as const };
  if (request.mode === "in-place") return await inPlace(task, request.path, options.files);
  const earlier = await reusable(task, home, options.files);
  if (earlier) return earlier;
  const root = join(home.workspaces, task.workspace_id, taskKey(task.id));
  await options.files.makeDirectory(root);
  const marker: Marker = { workspace: task.workspace_id, agent: task.agent_id, thread: task.issue_id };
  const made = request.mode === "worktree"
    ? await worktree(task, requirePath(request.path), { ...options, root })
    : await scratch(root, options.files);
  await options.files.writeAtomic(join(root, MARKER), JSON.stringify({ ...marker, branch: made.branch }) + "\n", {
    // Lost in a power cut it costs a reuse of the directory, nothing else.
    sync: false,
  });
  return made;
}

/** The last 12 hex digits of the id (wire protocol 3.8). */
export function taskKey(id: string): string {
  return id.replaceAll("-", "").slice(-12);
}

async function inPlace(task: ClaimedTask, path: string | undefined, files: Files): Promise<Workdir> {
  const directory = requirePath(path);
  const info = await files.stat(directory);
  if (!info?.isDirectory) {
    throw new WorkdirError(
      `Cannot work in ${directory}: ${
        info ? "it is not a directory" : "it does not exist"
      }; create it or name another with --cwd`,
    );
  }
  return { path: directory, reused: task.prior_work_dir === directory };
}

async function scratch(root: string, files: Files): Promise<Workdir> {
  const path = join(root, "workdir");
  await files.makeDirectory(path);
  return { path, reused: false };
}

/** The directory of the earlier task, only if it lies where we put it and its marker names this thread. */
async function reusable(task: ClaimedTask, home: Home, files: Files): Promise<Workdir | undefined> {
  const prior = task.prior_work_dir;
  const root = priorRoot(prior, home, task.workspace_id);
  if (!root || !(await files.stat(prior))?.isDirectory) return undefined;
  const marker = await readMarker(join(root, MARKER), files);
  if (!marker || marker.workspace !== task.workspace_id || marker.agent !== task.agent_id) return undefined;
  if (marker.thread !== task.issue_id || task.issue_id === "") return undefined;
  // A link inside the tree could lead anywhere.
  const real = await files.realPath(prior);
  if (!isInside(real, await files.realPath(root))) return undefined;
  return { path: prior, reused: true, ...(marker.branch ? { branch: marker.branch } : {}) };
}

function priorRoot(prior: string, home: Home, workspace: string): string | undefined {
  const base = join(home.workspaces, workspace);
  if (!prior.startsWith("/") || !isInside(prior, base)) return undefined;
  const key = relative(base, prior).split("/")[0];
  return key && /^[0-9a-f]{12}$/.test(key) ? join(base, key) : undefined;
}

function isInside(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way !== "" && !way.startsWith("..") && !way.startsWith("/");
}

async function readMarker(path: string, files: Files): Promise<(Marker & { branch?: string }) | undefined> {
  try {
    const value = JSON.parse(await files.readText(path)) as Record<string, unknown>;
    const texts = [value.workspace, value.agent, value.thread];
    if (!texts.every((text) => typeof text === "string")) return undefined;
    const [workspace, agent, thread] = texts as [string, string, string];
    return { workspace, agent, thread, ...(typeof value.branch === "string" ? { branch: value.branch } : {}) };
  } catch (error) {
    if (error instanceof HostError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function worktree(
  task: ClaimedTask,
  path: string,
  options: WorkdirPorts & { root: string; signal: AbortSignal },
): Promise<Workdir> {
  const top = await git(path, ["rev-parse", "--show-toplevel"], options);
  const branch = `drover/${branchName(task.agent?.name ?? "agent")}-${taskKey(task.id)}`;
  const target = join(options.root, "workdir");
  // A claim that came again after a crash finds what the first one made.
  if (!(await options.files.stat(target))) {
    await git(top, ["worktree", "add", "--quiet", "-b", branch, target, "HEAD"], options);
  }
  const inside = relative(await options.files.realPath(top), await options.files.realPath(path));
  const start = inside ? join(target, inside) : target;
  // A directory that git does not know is not in the worktree.
  await options.files.makeDirectory(start);
  return { path: start, branch, reused: false };
}

function branchName(agent: string): string {
  return agent.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "") || "agent";
}

async function git(
  cwd: string,
  args: readonly string[],
  { processes, files, env, signal }: WorkdirPorts & { signal: AbortSignal },
): Promise<string> {
  if (!(await files.stat(cwd))?.isDirectory) throw new WorkdirError(`Cannot work in ${cwd}: it does not exist`);
  const failed = (why: string) => new WorkdirError(`Cannot make a worktree of ${cwd}: git ${args[0]} failed: ${why}`);
  try {
    const command = { executable: "git", args, cwd, env: { ...withoutRepository(env), GIT_TERMINAL_PROMPT: "0" } };
    const result = await processes.run(command, { timeoutMs: GIT_TIMEOUT_MS, signal });
    if (result.timedOut) throw failed(`no end after ${GIT_TIMEOUT_MS / 1000} s`);
    if (result.exit.code !== 0) throw failed(result.stderr.trim() || `exit code ${result.exit.code}`);
    return result.stdout.trim();
  } catch (error) {
    if (error instanceof HostError) throw failed(error.message);
    throw error;
  }
}

function requirePath(path: string | undefined): string {
  if (!path?.startsWith("/")) {
    throw new WorkdirError(`Cannot use the directory ${path ?? "(none)"}: it must be absolute`);
  }
  return path;
}
