/** Where a task works: the user's directory, a git worktree, or an empty one, with proof of provenance before a reuse. */
import { join, relative } from "@std/path";
import type { Home } from "../core/home.ts";
import { type Env, type Files, HostError, type Processes } from "../core/ports.ts";
import type { ClaimedTask } from "../wire/payloads.ts";
import { WorkdirError } from "./git.ts";
import { makeWorktree } from "./worktree.ts";

export { WorkdirError } from "./git.ts";

export interface Workdir {
  /** Where the agent starts. */
  readonly path: string;
  /** The git branch of a worktree. */
  readonly branch?: string;
  /** The earlier task's directory was taken up again, so that its session may be resumed. */
  readonly reused: boolean;
  /** What people should know of it. */
  readonly remarks?: readonly string[];
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

interface MarkerRecord extends Marker {
  readonly branch?: string;
  /** Where the agent starts, relative to the directory of the marker. */
  readonly path?: string;
}

const MARKER = ".drover-task.json";

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
  const marker: Marker = { workspace: task.workspace_id, agent: task.agent_id, thread: threadOf(task) };
  // A claim that came again after a crash finds what the first one made.
  const begun = await beginning(root, marker, options.files);
  if (begun) return begun;
  const made = request.mode === "worktree"
    ? await worktree(task, requirePath(request.path), { ...options, root })
    : await scratch(root, options.files);
  const record: MarkerRecord = {
    ...marker,
    ...(made.branch ? { branch: made.branch } : {}),
    path: relative(root, made.path),
  };
  await options.files.writeAtomic(join(root, MARKER), JSON.stringify(record) + "\n", {
    // Lost in a power cut it costs a reuse of the directory, nothing else.
    sync: false,
  });
  return made;
}

/** What its tasks have in common, so that the next goes on where the one before was; empty for a task by itself. */
export function threadOf({ issue_id, chat_session_id }: ClaimedTask): string {
  return issue_id || (chat_session_id && `chat:${chat_session_id}`);
}

/** Of the directory in which what a thread shares is kept. */
export function threadKey({ issue_id, chat_session_id, id }: ClaimedTask): string {
  return taskKey(issue_id || chat_session_id || id);
}

/** The name of a directory that `taskKey` gave; what else lies there is nobody's work. */
export const TASK_KEY = /^[0-9a-f]{12}$/;

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

async function beginning(root: string, expected: Marker, files: Files): Promise<Workdir | undefined> {
  const marker = await readMarker(join(root, MARKER), files);
  if (!marker?.path || !isOf(marker, expected)) return undefined;
  const path = join(root, marker.path);
  if (!isInside(path, root) || !(await files.stat(path))?.isDirectory) return undefined;
  return { path, reused: false, ...(marker.branch ? { branch: marker.branch } : {}) };
}

function isOf(marker: Marker, expected: Marker): boolean {
  return marker.workspace === expected.workspace && marker.agent === expected.agent &&
    marker.thread === expected.thread;
}

async function worktree(
  task: ClaimedTask,
  path: string,
  options: WorkdirPorts & { root: string; signal: AbortSignal },
): Promise<Workdir> {
  const branch = `drover/${branchName(task.agent?.name ?? "agent")}-${taskKey(task.id)}`;
  const made = await makeWorktree(path, { ...options, branch });
  const remarks = made.remarks.length > 0 ? { remarks: made.remarks } : {};
  return { path: made.path, branch, reused: false, ...remarks };
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
  const expected = { workspace: task.workspace_id, agent: task.agent_id, thread: threadOf(task) };
  if (!marker || !isOf(marker, expected) || expected.thread === "") return undefined;
  // A link inside the tree could lead anywhere.
  const real = await files.realPath(prior);
  if (!isInside(real, await files.realPath(root))) return undefined;
  return { path: prior, reused: true, ...(marker.branch ? { branch: marker.branch } : {}) };
}

function priorRoot(prior: string, home: Home, workspace: string): string | undefined {
  const base = join(home.workspaces, workspace);
  if (!prior.startsWith("/") || !isInside(prior, base)) return undefined;
  const key = relative(base, prior).split("/")[0];
  return key && TASK_KEY.test(key) ? join(base, key) : undefined;
}

function isInside(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way !== "" && !way.startsWith("..") && !way.startsWith("/");
}

async function readMarker(path: string, files: Files): Promise<MarkerRecord | undefined> {
  try {
    const value = JSON.parse(await files.readText(path)) as Record<string, unknown>;
    const text = (name: string) => typeof value[name] === "string" ? value[name] : undefined;
    const [workspace, agent, thread] = [text("workspace"), text("agent"), text("thread")];
    if (workspace === undefined || agent === undefined || thread === undefined) return undefined;
    const [branch, start] = [text("branch"), text("path")];
    return { workspace, agent, thread, ...(branch ? { branch } : {}), ...(start ? { path: start } : {}) };
  } catch (error) {
    if (error instanceof HostError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function branchName(agent: string): string {
  return agent.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "") || "agent";
}

function requirePath(path: string | undefined): string {
  if (!path?.startsWith("/")) {
    throw new WorkdirError(`Cannot use the directory ${path ?? "(none)"}: it must be absolute`);
  }
  return path;
}
