/** Git over the network for tasks: without questions, over allowed protocols only, in bounded time, and with the reason when it fails. */
import { withoutRepository } from "../core/agent_env.ts";
import { type Env, HostError, type Processes } from "../core/ports.ts";
import { redactText } from "../core/redact.ts";

export interface RepoGitPorts {
  readonly processes: Processes;
  /** What git inherits: credential helpers, proxies, keys. */
  readonly env: Env;
  /** As git takes them, e.g. `https:ssh`. */
  readonly protocols: string;
  readonly signal?: AbortSignal;
}

/** A large repository over a slow line takes minutes; what takes longer hangs. */
const LIMIT_MS = 10 * 60_000;
const MAX_WHY = 500;

/** Git failed; the message is git's own reason, without secrets. */
export class RepoGitError extends Error {
  override readonly name = "RepoGitError";
}

/** Hooks of the user would run in the name of a task, and a collection in the background outlives us. */
const QUIETLY = ["-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "maintenance.auto=false"];

/** Stdout, trimmed. Throws `RepoGitError`, and the signal's reason. */
export async function repoGit(cwd: string, args: readonly string[], ports: RepoGitPorts): Promise<string> {
  const { processes, env, protocols, signal } = ports;
  const own: Env = {
    GIT_TERMINAL_PROMPT: "0",
    GIT_ALLOW_PROTOCOL: protocols,
    SSH_ASKPASS_REQUIRE: "never",
    GIT_ASKPASS: "",
    // The user's own way to call ssh comes first, be it a variable or a setting.
    ...(env.GIT_SSH_COMMAND || env.GIT_SSH || !asksServer(args) || await hasOwnSsh(cwd, ports)
      ? {}
      : { GIT_SSH_COMMAND: "ssh -o BatchMode=yes" }),
    LC_ALL: "C",
  };
  const command = {
    executable: "git",
    args: [...QUIETLY, ...args],
    cwd,
    env: { ...withoutRepository(env), ...own },
  };
  const verb = args.find((arg, i) => !arg.startsWith("-") && args[i - 1] !== "-c");
  const failed = (why: string) => new RepoGitError(`Git ${verb} failed: ${redactText(why.trim()).slice(-MAX_WHY)}`);
  try {
    const result = await processes.run(command, { timeoutMs: LIMIT_MS, ...(signal ? { signal } : {}) });
    signal?.throwIfAborted();
    if (result.timedOut) throw failed(`no end after ${LIMIT_MS / 60_000} min`);
    if (result.exit.code !== 0) throw failed(result.stderr || `exit code ${result.exit.code}`);
    return result.stdout.trim();
  } catch (error) {
    if (error instanceof HostError) throw failed(error.message);
    throw error;
  }
}

/** `undefined` where git says no. */
export async function repoGitMaybe(
  cwd: string,
  args: readonly string[],
  ports: RepoGitPorts,
): Promise<string | undefined> {
  try {
    return await repoGit(cwd, args, ports);
  } catch (error) {
    if (error instanceof RepoGitError) return undefined;
    throw error;
  }
}

const ASKS = new Set(["fetch", "clone", "remote", "worktree", "checkout", "ls-remote"]);

function asksServer(args: readonly string[]): boolean {
  return args.some((arg) => ASKS.has(arg));
}

async function hasOwnSsh(cwd: string, { processes, env }: RepoGitPorts): Promise<boolean> {
  const command = { executable: "git", args: ["config", "--get", "core.sshCommand"], cwd, env: withoutRepository(env) };
  const { exit } = await processes.run(command, { timeoutMs: 10_000 });
  return exit.code === 0;
}
