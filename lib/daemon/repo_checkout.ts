/** A running task asks for a repository: who asks is told by its token, what it may have by its claim, and where by its own directory. */
import { join, relative } from "@std/path";
import { type Files, HostError } from "../core/ports.ts";
import { repoAddress, taskBranch } from "../core/repo_request.ts";
import { workspaceRepos } from "../wire/upkeep.ts";
import { type Checkout, type RepoCache, RepoError } from "./repo_cache.ts";
import type { RunningTask, RunningTasks } from "./running_tasks.ts";
import { taskKey } from "./workdir.ts";

/** Wire protocol 5.3. Whose branch it is and which task asks is told by the token, never by what is said here. */
export interface CheckoutBody {
  readonly url: string;
  readonly workdir: string;
  readonly workspaceId: string;
  readonly taskId?: string;
  readonly ref?: string;
  readonly isolated?: boolean;
}

export interface RepoCheckoutOptions {
  readonly running: RunningTasks;
  readonly cache: Pick<RepoCache, "checkout">;
  readonly files: Files;
  readonly allowFile: boolean;
}

/** Throws `RepoError`. */
export async function checkoutForTask(
  token: string,
  body: CheckoutBody,
  { running, cache, files, allowFile, signal }: RepoCheckoutOptions & { signal: AbortSignal },
): Promise<Checkout> {
  const asking = running.byToken(token);
  if (!asking) {
    throw new RepoError("unauthorized", "Cannot check out: the token is of no task that runs here");
  }
  const { task } = asking;
  if (body.workspaceId !== task.workspace_id || (body.taskId && body.taskId !== task.id)) {
    throw new RepoError("forbidden", "Cannot check out: the token belongs to another task or workspace");
  }
  const into = await insideOf(asking, body.workdir, files);
  const granted = await grantOf(asking, body.url, { allowFile, signal });
  const ref = body.ref || granted.ref;
  return await cache.checkout({
    url: body.url,
    ...(ref ? { ref } : {}),
    workspace: task.workspace_id,
    into,
    branch: taskBranch(task.agent?.name ?? "", taskKey(task.id)),
    ...(body.isolated ? { isolated: true } : {}),
  }, { signal });
}

/** Links lead anywhere: only where the directory really is counts. */
async function insideOf({ workdir }: RunningTask, asked: string, files: Files): Promise<string> {
  try {
    const [real, root] = await Promise.all([files.realPath(asked), files.realPath(workdir)]);
    const way = relative(root, real);
    if (asked.startsWith("/") && way !== ".." && !way.startsWith("../") && !way.split("/").includes(".git")) {
      return join(root, way);
    }
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
  }
  throw new RepoError("forbidden", `Cannot check out into ${asked}: it is not inside the task's directory ${workdir}`);
}

/** A server's tasks get what it configured for them; those of this machine get what its user could have as well. */
async function grantOf(
  { task, connection }: RunningTask,
  url: string,
  { allowFile, signal }: { allowFile: boolean; signal: AbortSignal },
): Promise<{ readonly ref?: string }> {
  const named = (repos: readonly { url: string; ref: string }[]) => {
    const wanted = canonical(url, allowFile);
    return repos.find((repo) => wanted !== undefined && canonical(repo.url, allowFile) === wanted);
  };
  const own = named(task.repos ?? []);
  if (own) return own;
  if (!connection.remote) return {};
  const listed = await workspaceRepos(connection.client, task.workspace_id, { signal });
  const configured = listed.kind === "ok" ? named(listed.value) : undefined;
  if (configured) return configured;
  const why = listed.kind === "ok" ? "" : `; its list could not be read: ${listed.detail}`;
  throw new RepoError(
    "invalid",
    `Cannot check out ${
      JSON.stringify(url)
    }: the repository is not configured for the task's workspace or project${why}`,
  );
}

function canonical(url: string, allowFile: boolean): string | undefined {
  const address = repoAddress(url, { allowFile });
  return address.kind === "ok" ? address.canonical : undefined;
}
