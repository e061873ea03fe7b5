/** One process of an agent from its start to its end: streams to the adapter, messages out, and nothing left behind. */
import type { AgentIo, Backend } from "../agents/backend.ts";
import { LaunchRefusal } from "../agents/command_line.ts";
import type { AgentMessage, Outcome } from "../core/message.ts";
import type { AgentTask, CommandLine, Runtime } from "../core/model.ts";
import type { Child, Clock, Env, Logger, Processes } from "../core/ports.ts";
import { startAgent } from "./task_launch.ts";

/** How long an agent may take to end by itself after its outcome. */
const LAST_WORDS_MS = 2_000;

export interface AgentRunOptions {
  readonly backend: Backend;
  readonly runtime: Runtime;
  readonly task: AgentTask;
  readonly env: (adapter: Env) => Env;
  /** In the environment of everything it starts. */
  readonly mark: string;
  /** Aborts with a `StopError`. */
  readonly signal: AbortSignal;
  readonly ask: AgentIo["ask"];
  /** A last look before the start, see `startAgent`. */
  readonly wait?: (distrust: boolean) => Promise<Outcome | undefined>;
  readonly onStarted: (child: Child) => void;
  readonly onMessage: (message: AgentMessage) => void;
  /** Right after the outcome, before the process is waited for: what is done is done. */
  readonly onOutcome: (outcome: Outcome) => void;
  readonly clock: Clock;
  readonly processes: Processes;
  readonly log: Logger;
}

export async function runAgent(options: AgentRunOptions): Promise<Outcome> {
  const { backend, runtime, task, signal, clock, processes, log } = options;
  let command: CommandLine;
  try {
    command = backend.commandFor(runtime, task);
  } catch (error) {
    if (!(error instanceof LaunchRefusal)) throw error;
    return { kind: "failed", reason: "agent_error.missing_config", detail: error.message };
  }
  const started = await startAgent(
    () =>
      processes.spawn({
        executable: command.executable,
        args: command.args,
        cwd: task.cwd,
        env: options.env(command.env),
        stdin: command.stdin,
        mark: options.mark,
      }),
    options.wait,
  );
  if ("kind" in started) return started;
  const child = started;
  options.onStarted(child);
  const onAbort = () => void child.stop();
  signal.addEventListener("abort", onAbort, { once: true });
  // What it left behind may hold its output open: waiting for the end of that would be waiting for ever. That the
  // stop worked is asked for below, where it is awaited.
  void child.exit.then(() => child.stop()).catch(() => {});
  try {
    if (signal.aborted) onAbort();
    const io: AgentIo = {
      stdin: child.stdin,
      stdout: child.stdout,
      stderrTail: () => child.stderrTail(),
      exit: child.exit,
      clock,
      ask: options.ask,
    };
    const session = backend.run(io, task, signal);
    for await (const message of session.messages) options.onMessage(message);
    const outcome = await session.outcome;
    options.onOutcome(outcome);
    return outcome;
  } finally {
    signal.removeEventListener("abort", onAbort);
    if (!signal.aborted) await leaveToEnd(child, clock);
    const report = await child.stop();
    if (report.leftovers.length > 0) {
      log.warn("processes the agent left behind were ended", { task: task.id, pids: report.leftovers });
    }
  }
}

/** An agent that has said its last word may still be saving its session; one that stays is ended. */
async function leaveToEnd(child: Child, clock: Clock): Promise<void> {
  const waiting = new AbortController();
  await Promise.race([child.exit, clock.sleep(LAST_WORDS_MS, { signal: waiting.signal }).catch(() => {})]);
  waiting.abort();
}
