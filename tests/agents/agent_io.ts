/** An agent made of streams: what an adapter is given, with everything it wrote and said kept for the test. */
import { deadline } from "@std/async";
import type { Adapter, AgentIo, Session } from "../../lib/agents/backend.ts";
import type { AgentMessage, Outcome, PermissionDecision, PermissionRequest } from "../../lib/core/message.ts";
import type { AgentTask } from "../../lib/core/model.ts";
import { createClock } from "../../lib/host/clock.ts";
import type { ChildExit } from "../../lib/core/ports.ts";

const LIMIT_MS = 20_000;

/** An agent whose process a test plays. */
export interface FakeAgent {
  readonly io: AgentIo;
  /** Prints; resolves when the adapter has taken it. */
  print(text: string | Uint8Array): Promise<void>;
  /** Closes stdout, then ends the process. */
  end(exit?: Partial<ChildExit>): Promise<void>;
  /** Everything written to stdin so far. */
  readonly written: () => string;
  readonly stdinClosed: Promise<void>;
}

export interface FakeAgentOptions {
  readonly stderr?: string;
  /** Who is asked; by default nobody may be. */
  readonly ask?: (request: PermissionRequest, withdrawn?: AbortSignal) => Promise<PermissionDecision>;
  readonly clock?: AgentIo["clock"];
}

export function fakeAgent(options: FakeAgentOptions = {}): FakeAgent {
  const ask = options.ask ?? (() => Promise.reject(new Error("nobody was to be asked")));
  const stdout = new TransformStream<Uint8Array, Uint8Array>();
  const writer = stdout.writable.getWriter();
  writer.closed.catch(() => {});
  const exit = Promise.withResolvers<ChildExit>();
  const closed = Promise.withResolvers<void>();
  const decoder = new TextDecoder();
  let written = "";
  const stdin = new WritableStream<Uint8Array>({
    write: (chunk) => void (written += decoder.decode(chunk, { stream: true })),
    close: () => closed.resolve(),
  });
  return {
    io: {
      stdin,
      stdout: stdout.readable,
      stderrTail: () => options.stderr ?? "",
      exit: exit.promise,
      ask,
      clock: options.clock ?? createClock(),
    },
    print: (text) => writer.write(typeof text === "string" ? new TextEncoder().encode(text) : text),
    async end(how = {}) {
      await writer.close();
      exit.resolve({ code: 0, signal: null, ...how });
    },
    written: () => written,
    stdinClosed: closed.promise,
  };
}

/** An agent that prints the bytes and ends, whether or not it is listened to. */
export function playback(
  bytes: string | Uint8Array,
  options: FakeAgentOptions & { exit?: Partial<ChildExit> } = {},
): FakeAgent {
  const agent = fakeAgent(options);
  const play = async () => {
    await agent.print(bytes);
    await agent.end(options.exit);
  };
  // An adapter that has its result reads no further.
  play().catch(() => {});
  return agent;
}

export interface Heard {
  readonly messages: AgentMessage[];
  readonly outcome: Outcome;
}

/** Reads a session to its end, as a runner does. */
export async function listen(session: Session): Promise<Heard> {
  const read = async () => {
    const messages: AgentMessage[] = [];
    for await (const message of session.messages) messages.push(message);
    return { messages, outcome: await session.outcome };
  };
  return await deadline(read(), LIMIT_MS);
}

export function taskOf(changes: Partial<AgentTask> = {}): AgentTask {
  return { id: "task", prompt: "do it", cwd: "/work", permission: "full", newSession: "new", ...changes };
}

export async function runOn(
  backend: Adapter,
  agent: FakeAgent,
  options: { task?: Partial<AgentTask>; signal?: AbortSignal } = {},
): Promise<Heard> {
  return await listen(backend.run(agent.io, taskOf(options.task), options.signal ?? new AbortController().signal));
}

/** "session text tool-use …": the shape of a run. */
export function kindsOf(messages: readonly AgentMessage[]): string {
  return messages.map((message) => message.kind).join(" ");
}
