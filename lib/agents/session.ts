/** What every adapter's session has in common: one outcome whatever happens, the meaning of an abort, and the failure texts. */
import type { FailureReason } from "../core/failure.ts";
import { type AgentMessage, type Outcome, type StopReason, stopReasonOf } from "../core/message.ts";
import type { ChildExit } from "../core/ports.ts";
import type { AgentIo, Session } from "./backend.ts";

const ENCODER = new TextEncoder();

/** A conversation yields the messages of one run and returns how it ended. It may throw; a session never does. */
export type Conversation = AsyncGenerator<AgentMessage, Outcome>;

export function sessionOf(conversation: Conversation, signal: AbortSignal): Session {
  const settled = Promise.withResolvers<Outcome>();
  async function* messages(): AsyncGenerator<AgentMessage> {
    let outcome: Outcome = failed("agent_error.unknown", "The agent's messages were not read to the end");
    try {
      outcome = yield* conversation;
    } catch (error) {
      outcome = failed("agent_error.process_failure", `Cannot read what the agent says: ${(error as Error).message}`);
    } finally {
      // An answer that was complete before the abort is still the answer.
      settled.resolve(signal.aborted && outcome.kind === "failed" ? stopped(signal, outcome.sessionId) : outcome);
    }
  }
  return { messages: messages(), outcome: settled.promise };
}

/** Writing to the agent without waiting for it: it may print before it reads, and waiting here would stop us both. */
export class AgentInput {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #open = true;

  constructor(stdin: WritableStream<Uint8Array> | null) {
    this.#writer = stdin?.getWriter();
    this.#writer?.closed.catch(() => {});
  }

  /** In order. A failed write says nothing that the agent's end does not say better. */
  send(text: string): void {
    if (this.#open) this.#writer?.write(ENCODER.encode(text)).catch(() => {});
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#writer?.close().catch(() => {});
  }
}

/** How the process ended; `undefined` when the run is aborted first. Only for when stdout has ended. */
export async function exitOf(io: AgentIo, signal: AbortSignal): Promise<ChildExit | undefined> {
  if (signal.aborted) return undefined;
  const aborted = Promise.withResolvers<undefined>();
  const abort = () => aborted.resolve(undefined);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([io.exit, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

export function failed(
  reason: FailureReason,
  detail: string,
  sessionId?: string,
): Extract<Outcome, { kind: "failed" }> {
  return { kind: "failed", reason, detail, ...(sessionId ? { sessionId } : {}) };
}

/** "The agent ended with code 3", and the end of stderr below it. */
export function describeExit(exit: ChildExit | undefined, stderr: string): string {
  const how = !exit ? "was stopped" : exit.signal ? `was ended by ${exit.signal}` : `ended with code ${exit.code}`;
  const tail = stderr.trim();
  return `The agent ${how}${
    tail ? `; the end of its error output:\n${tail}` : ", and wrote nothing to its error output"
  }`;
}

const STOPPED: Record<StopReason["kind"], FailureReason> = {
  cancelled: "cancelled",
  "time-limit": "timeout",
  "silence-limit": "agent_error.agent_timeout",
  "tool-limit": "agent_error.agent_timeout",
  gone: "cancelled",
  shutdown: "cancelled",
};

function stopped(signal: AbortSignal, sessionId?: string): Outcome {
  const stop = stopReasonOf(signal);
  return failed(STOPPED[stop.kind], describeStop(stop), sessionId);
}

function describeStop(stop: StopReason): string {
  switch (stop.kind) {
    case "cancelled":
      return stop.by === "user" ? "The run was cancelled on this machine" : "The run was cancelled on the server";
    case "time-limit":
      return `The run was stopped at its time limit of ${Math.round(stop.limitMs / 1000)} s`;
    case "silence-limit":
      return `The run was stopped after ${Math.round(stop.limitMs / 1000)} s of silence`;
    case "tool-limit":
      return `The run was stopped because ${stop.tool} did not answer within ${Math.round(stop.limitMs / 1000)} s`;
    case "gone":
      return "The run was stopped because its task is gone";
    case "shutdown":
      return "The run was stopped because drover is ending";
  }
}
