/** The contract of an adapter: one per protocol family, given streams and never a process. */
import type { AgentMessage, Outcome, PermissionDecision, PermissionRequest } from "../core/message.ts";
import type { AgentTask, CommandLine, Family, Permission, Runtime } from "../core/model.ts";
import type { ChildExit, Clock } from "../core/ports.ts";

/** The agent's streams as the runner hands them to an adapter. */
export interface AgentIo {
  /** Null when the command line asked for no stdin. */
  readonly stdin: WritableStream<Uint8Array> | null;
  readonly stdout: ReadableStream<Uint8Array>;
  /** For the time limits of single requests; those of the run are the runner's. */
  readonly clock: Pick<Clock, "after" | "now">;
  /** The last of stderr so far, for failure texts. */
  stderrTail(): string;
  /**
   * Asks a person, where the task's permission is `ask`; an adapter goes on reading meanwhile. Never rejects: nobody who
   * answers in time, the end of the run, and `withdrawn` (the agent does not want to know any more) are a refusal.
   */
  ask(request: PermissionRequest, withdrawn?: AbortSignal): Promise<PermissionDecision>;
  /** How the process ended. An adapter may await it once stdout has ended, never before. */
  readonly exit: Promise<ChildExit>;
}

export interface Session {
  /**
   * In the order the agent produced them; nothing is dropped: a slow reader stops the agent (back-pressure).
   * Ends when the run is over. Must be read to the end; never throws.
   */
  readonly messages: AsyncIterable<AgentMessage>;
  /** Settles once, after the last message; never rejects. An aborted signal yields `failed` with reason `cancelled` or `timeout`. */
  readonly outcome: Promise<Outcome>;
}

/** One protocol family, as one row of the table speaks it. */
export interface Adapter {
  /** `signal` aborts with a `StopError`; the caller ends the process, the adapter only stops reading. */
  run(io: AgentIo, task: AgentTask, signal: AbortSignal): Session;
}

/** One row of the table at work. */
export interface Backend extends Adapter {
  readonly family: Family;
  /** What it can promise; a task with another permission is never given to it. */
  readonly permissions: readonly Permission[];
  /** Pure. The prompt is never in it where the CLI offers another way. Throws `LaunchRefusal`. */
  commandFor(runtime: Runtime, task: AgentTask): CommandLine;
}
