/** Git as a command: in the repository that a path lies in, without questions, and with errors that people can use. */
import { withoutRepository } from "../core/agent_env.ts";
import { type Env, type Files, HostError, type Processes } from "../core/ports.ts";

/** No directory could be made: the message names it and says what to do. Reported as `local_directory_error`. */
export class WorkdirError extends Error {
  override readonly name = "WorkdirError";
}

export interface GitPorts {
  readonly files: Files;
  readonly processes: Processes;
  /** What it inherits; what binds git to another repository is left out. */
  readonly env: Env;
  readonly signal: AbortSignal;
}

export interface GitOptions extends GitPorts {
  /** Instead of the repository's own index. */
  readonly index?: string;
  readonly stdin?: string;
}

const TIMEOUT_MS = 120_000;

/** Stdout as it is. Throws `WorkdirError`. */
export async function gitRaw(cwd: string, args: readonly string[], options: GitOptions): Promise<string> {
  const { processes, files, env, signal, index, stdin } = options;
  if (!(await files.stat(cwd))?.isDirectory) throw new WorkdirError(`Cannot work in ${cwd}: it does not exist`);
  const verb = args.find((arg, i) => !arg.startsWith("-") && args[i - 1] !== "-c");
  const failed = (why: string) => new WorkdirError(`Cannot make a worktree of ${cwd}: git ${verb} failed: ${why}`);
  try {
    const own = { GIT_TERMINAL_PROMPT: "0", GIT_OPTIONAL_LOCKS: "0", ...(index ? { GIT_INDEX_FILE: index } : {}) };
    const command = {
      executable: "git",
      args,
      cwd,
      env: { ...withoutRepository(env), ...own },
      ...(stdin === undefined ? {} : { stdin }),
    };
    const result = await processes.run(command, { timeoutMs: TIMEOUT_MS, signal });
    if (result.timedOut) throw failed(`no end after ${TIMEOUT_MS / 1000} s`);
    if (result.exit.code !== 0) throw failed(result.stderr.trim() || `exit code ${result.exit.code}`);
    return result.stdout;
  } catch (error) {
    if (error instanceof HostError) throw failed(error.message);
    throw error;
  }
}

/** One line or a few, trimmed. Throws `WorkdirError`. */
export async function git(cwd: string, args: readonly string[], options: GitOptions): Promise<string> {
  return (await gitRaw(cwd, args, options)).trim();
}

/** `undefined` where git says no. */
export async function gitMaybe(cwd: string, args: readonly string[], options: GitOptions): Promise<string | undefined> {
  try {
    return await git(cwd, args, options);
  } catch (error) {
    if (error instanceof WorkdirError) return undefined;
    throw error;
  }
}
