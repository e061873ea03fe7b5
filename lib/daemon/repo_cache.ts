/** The cache of repositories: one bare, partial clone for each, brought up to date when a task asks, with a worktree on a branch of its own. */
import { join } from "@std/path";
import type { Clock, Files, Lock, Locks, Logger } from "../core/ports.ts";
import { fetchedAlone, refusedRef, repoAddress, repoKey, revisionsOf } from "../core/repo_request.ts";
import { repoGit, RepoGitError, repoGitMaybe, type RepoGitPorts } from "./repo_git.ts";

/** Why there is no working tree: `busy` passes, `failed` is git's word, the others are the request's fault. */
export class RepoError extends Error {
  override readonly name = "RepoError";
  constructor(readonly kind: "invalid" | "unauthorized" | "forbidden" | "busy" | "failed", message: string) {
    super(message);
  }
}

export interface CheckoutRequest {
  readonly url: string;
  readonly ref?: string;
  /** Repositories of one workspace are not shared with another, whose members may not be allowed to see them. */
  readonly workspace: string;
  /** The directory in which the working tree is made, under the repository's name. */
  readonly into: string;
  readonly branch: string;
  /** A clone of its own: for agents that may write nowhere but in their directory. */
  readonly isolated?: boolean;
}

export interface Checkout {
  readonly path: string;
  readonly branch: string;
  /** It was there already, as the task left it. */
  readonly existed: boolean;
  /** Why the server could not be asked: what is checked out may be old. */
  readonly stale?: string;
}

export interface RepoCacheOptions extends Omit<RepoGitPorts, "env" | "signal"> {
  readonly directory: string;
  readonly env: () => RepoGitPorts["env"];
  readonly files: Files;
  readonly locks: Locks;
  readonly clock: Clock;
  readonly log: Logger;
  readonly allowFile: boolean;
  /** How long a checkout waits for another one of the same repository, in ms; then its caller is told to come again. */
  readonly lockMs?: number;
}

const LOCK_MS = 10_000;

export class RepoCache {
  readonly #options: RepoCacheOptions;

  constructor(options: RepoCacheOptions) {
    this.#options = options;
  }

  /** Throws `RepoError`, and the signal's reason. */
  async checkout(request: CheckoutRequest, { signal }: { signal: AbortSignal }): Promise<Checkout> {
    const { files, directory } = this.#options;
    const address = repoAddress(request.url, this.#options);
    if (address.kind === "refused") {
      throw new RepoError("invalid", `Cannot check out ${shown(request.url)}: ${address.why}`);
    }
    const wrong = request.ref ? refusedRef(request.ref) : undefined;
    if (wrong) throw new RepoError("invalid", `Cannot check out the ref ${shown(request.ref!)}: ${wrong}`);
    const key = repoKey(address.canonical);
    if (!key) throw new RepoError("invalid", `Cannot check out ${shown(request.url)}: the address is too long`);
    const folder = join(directory, request.workspace);
    await files.makeDirectory(folder);
    const bare = join(folder, `${key}.git`);
    const target = join(request.into, address.name);
    const making = join(request.into, `.${address.name}.drover-making`);
    using _lock = await this.#lock(`${bare}.lock`, address.name, signal);
    const ports = { ...this.#options, env: this.#options.env(), signal };
    const there = await existing({ target, bare, making }, { ports, files });
    if (there) return there;
    try {
      const stale = await this.#refresh(bare, address.url, ports);
      // Another branch may be the default one by now.
      if (!request.ref && !stale) await repoGitMaybe(bare, ["remote", "set-head", "origin", "--auto"], ports);
      const commit = await revision(bare, request.ref, ports);
      // Beside it for as long as it is not whole: what a killed process leaves looks just like a working tree.
      await files.writeAtomic(making, "", { sync: false });
      try {
        await (request.isolated ? isolatedClone : worktree)(
          bare,
          { ...request, url: address.url, target, commit },
          { ports, files },
        );
      } finally {
        await files.remove(making);
      }
      // For what cleans up: a repository that is asked for is in use.
      await files.writeAtomic(`${bare}.used`, "", { sync: false });
      return { path: target, branch: request.branch, existed: false, ...(stale ? { stale } : {}) };
    } catch (error) {
      if (!(error instanceof RepoGitError)) throw error;
      throw new RepoError("failed", `Cannot check out ${shown(address.url)}: ${error.message}`);
    }
  }

  async #lock(path: string, name: string, signal: AbortSignal): Promise<Lock> {
    const lock = await this.#options.locks.lock(path, { timeoutMs: this.#options.lockMs ?? LOCK_MS, signal });
    signal.throwIfAborted();
    if (lock) return lock;
    throw new RepoError("busy", `Cannot check out ${name} now: another task fetches it; try again in a moment`);
  }

  /** Why it could not be brought up to date, where an earlier state is there to go on with. */
  async #refresh(bare: string, url: string, ports: RepoGitPorts): Promise<string | undefined> {
    const { files, log } = this.#options;
    const known = await files.stat(join(bare, "drover-complete")) !== undefined;
    if (!known) {
      await files.remove(bare);
      await repoGit(join(bare, ".."), ["init", "--quiet", "--bare", bare], ports);
      await repoGit(bare, ["remote", "add", "origin", url], ports);
    } else if (await repoGitMaybe(bare, ["remote", "get-url", "origin"], ports) !== url) {
      await repoGit(bare, ["remote", "set-url", "origin", url], ports);
    }
    try {
      // A server that cannot leave out files sends all of them.
      await repoGit(bare, ["fetch", "--quiet", "--prune", "--tags", "--force", "--filter=blob:none", "origin"], ports);
    } catch (error) {
      if (!(error instanceof RepoGitError)) throw error;
      if (known) {
        log.warn("repository could not be brought up to date, an earlier state is used", { url, why: error.message });
        return error.message;
      }
      await files.remove(bare);
      throw error;
    }
    // Written last: without it a clone was cut off and is begun anew.
    if (!known) await files.writeAtomic(join(bare, "drover-complete"), "");
    return undefined;
  }
}

interface Means {
  readonly ports: RepoGitPorts;
  readonly files: Files;
}

/** What the task has already: asked for twice, it is not made twice, and nothing in it is touched. */
async function existing(
  { target, bare, making }: { target: string; bare: string; making: string },
  means: Means,
): Promise<Checkout | undefined> {
  const { files, ports } = means;
  if (!(await files.stat(target, { link: true }))) return undefined;
  if (!await isOurs(target, bare, means)) {
    throw new RepoError(
      "invalid",
      `Cannot check out into ${target}: something else is there; rename or remove it first`,
    );
  }
  if (await files.stat(making)) {
    await unmake(bare, target, means);
    return undefined;
  }
  const branch = await repoGitMaybe(target, ["branch", "--show-current"], ports) ?? "";
  return { path: target, branch, existed: true };
}

async function isOurs(target: string, bare: string, { files, ports }: Means): Promise<boolean> {
  return await files.stat(join(target, ".git")) !== undefined &&
    await repoGitMaybe(target, ["config", "--get", "drover.cache"], ports) === bare;
}

/** Also when the task is over: the next one must not find half of it. */
async function unmake(bare: string, target: string, { files, ports: { signal: _over, ...ports } }: Means) {
  const ours = await isOurs(target, bare, { files, ports });
  // Twice: one that was cut off is locked.
  await repoGitMaybe(bare, ["worktree", "remove", "--force", "--force", target], ports);
  if (ours) await files.remove(target);
}

async function revision(bare: string, ref: string | undefined, ports: RepoGitPorts): Promise<string> {
  const resolve = (name: string) =>
    repoGitMaybe(bare, ["rev-parse", "--verify", "--quiet", "--end-of-options", `${name}^{commit}`], ports);
  const wanted = ref ? revisionsOf(ref) : ["refs/remotes/origin/HEAD"];
  for (const name of fetchedAlone(ref ?? "") ? wanted.slice(0, -1) : wanted) {
    const commit = await resolve(name);
    if (commit) return commit;
  }
  const alone = fetchedAlone(ref ?? "");
  if (alone) {
    // In a partial clone even to look for a commit that is not there would ask the server.
    await repoGit(
      bare,
      ["fetch", "--quiet", "--force", "--filter=blob:none", "origin", `+${alone}:refs/drover/asked`],
      ports,
    );
    const commit = await resolve("refs/drover/asked");
    if (commit) return commit;
  }
  throw new RepoError(
    "invalid",
    ref
      ? `Cannot check out the ref ${shown(ref)}: the repository has no such branch, tag or commit`
      : "Cannot check out the repository: it has no default branch; name one with --ref",
  );
}

interface Target {
  readonly url: string;
  readonly target: string;
  readonly branch: string;
  readonly commit: string;
}

async function worktree(bare: string, { target, branch, commit }: Target, means: Means): Promise<void> {
  const { ports } = means;
  // Of a directory that was removed by hand the branch stays behind.
  await repoGitMaybe(bare, ["worktree", "prune"], ports);
  const taken = await repoGitMaybe(bare, ["rev-parse", "--verify", "--quiet", `refs/heads/${branch}`], ports);
  await repoGit(bare, ["config", "drover.cache", bare], ports);
  try {
    // A branch that is there holds an earlier run's commits: the task goes on with them.
    const on = taken ? [target, branch] : ["-b", branch, "--no-track", target, commit];
    await repoGit(bare, ["worktree", "add", "--quiet", ...on], ports);
  } catch (error) {
    await unmake(bare, target, means);
    const { signal: _over, ...after } = ports;
    if (!taken) await repoGitMaybe(bare, ["branch", "--quiet", "-D", branch], after);
    throw error;
  }
}

async function isolatedClone(bare: string, { url, target, branch, commit }: Target, means: Means): Promise<void> {
  const { ports } = means;
  const local = { ...ports, protocols: `${ports.protocols}:file` };
  const marked = ["--config", `drover.cache=${bare}`];
  try {
    await repoGit(bare, ["clone", "--quiet", "--local", "--no-checkout", ...marked, bare, target], local);
    await repoGit(target, ["remote", "set-url", "origin", url], ports);
    const partial = [["remote.origin.promisor", "true"], ["remote.origin.partialclonefilter", "blob:none"]];
    for (const [key, value] of partial) {
      if (await repoGitMaybe(bare, ["config", "--get", key!], ports)) {
        await repoGit(target, ["config", key!, value!], ports);
      }
    }
    await repoGit(target, ["fetch", "--quiet", bare, "+refs/remotes/origin/*:refs/remotes/origin/*"], local);
    await repoGit(target, ["checkout", "--quiet", "--no-track", "-b", branch, commit], ports);
  } catch (error) {
    await unmake(bare, target, means);
    throw error;
  }
}

function shown(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
