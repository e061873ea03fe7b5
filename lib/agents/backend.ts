/** The contract of an adapter: one per protocol family, given streams and never a process. */
import type { AgentMessage, Outcome } from "../core/message.ts";
import type { AgentTask, CommandLine, Family, Runtime } from "../core/model.ts";
import type { ChildExit } from "../core/ports.ts";

/** The agent's streams as the runner hands them to an adapter. */
export interface AgentIo {
  /** Null when the command line asked for no stdin. */
  readonly stdin: WritableStream<Uint8Array> | null;
  readonly stdout: ReadableStream<Uint8Array>;
  /** The last of stderr so far, for failure texts. */
  stderrTail(): string;
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

export interface Backend {
  readonly family: Family;
  /** Pure. The prompt is never in it where the CLI offers another way. */
  commandFor(runtime: Runtime, task: AgentTask): CommandLine;
  /** `signal` aborts with a `StopError`; the caller ends the process, the adapter only stops reading. */
  run(io: AgentIo, task: AgentTask, signal: AbortSignal): Session;
}
