/** Agents without processes: a test says what each prints and how it ends, and sees how it was started and stopped. */
import type { Backend } from "../../lib/agents/backend.ts";
import type { AgentMessage, Outcome } from "../../lib/core/message.ts";
import { type AgentTask, PERMISSIONS } from "../../lib/core/model.ts";
import { type Child, type ChildExit, HostError, type Processes, type SpawnRequest } from "../../lib/core/ports.ts";

export class FakeAgent implements Child {
  readonly pid: number;
  readonly stdin = null;
  readonly stdout: ReadableStream<Uint8Array>;
  readonly exit: Promise<ChildExit>;
  stops = 0;
  /** Set by the backend: what the adapter was told of the task. */
  task: AgentTask | undefined;
  #stdout!: ReadableStreamDefaultController<Uint8Array>;
  #exit!: (exit: ChildExit) => void;
  #ended = false;
  #unread = false;

  constructor(readonly request: SpawnRequest, pid: number) {
    this.pid = pid;
    this.stdout = new ReadableStream({
      start: (controller) => void (this.#stdout = controller),
      cancel: () => void (this.#unread = true),
    });
    this.exit = new Promise((resolve) => this.#exit = resolve);
  }

  say(...messages: AgentMessage[]): void {
    for (const message of messages) this.#line(message);
  }

  /** Says how it went, and exits. */
  end(outcome: Outcome = { kind: "completed", output: "done" }): void {
    this.finish(outcome);
    this.die(0);
  }

  /** Says how it went, and stays. */
  finish(outcome: Outcome): void {
    this.#line({ outcome });
  }

  /** Exits without a word. */
  die(code: number): void {
    if (this.#ended) return;
    this.#ended = true;
    // Nobody reads on after the outcome, which closes the stream from the other side.
    if (this.#stdout.desiredSize !== null && !this.#unread) this.#stdout.close();
    this.#exit({ code, signal: null });
  }

  stderrTail(): string {
    return "";
  }

  stop(): Promise<{ leftovers: number[]; killed: boolean }> {
    this.stops++;
    this.die(143);
    return Promise.resolve({ leftovers: [], killed: false });
  }

  #line(value: unknown): void {
    if (!this.#ended) this.#stdout.enqueue(new TextEncoder().encode(JSON.stringify(value) + "\n"));
  }
}

export interface FakeAgents extends Processes {
  readonly started: FakeAgent[];
  /** Prefixes of marks whose processes were to be ended. */
  readonly endedMarks: string[];
}

/** `refuse` may throw in the place of a start. */
export function fakeAgents(options: { refuse?: (request: SpawnRequest) => void } = {}): FakeAgents {
  const started: FakeAgent[] = [];
  const endedMarks: string[] = [];
  return {
    started,
    endedMarks,
    spawn(request) {
      options.refuse?.(request);
      const agent = new FakeAgent(request, 1_000 + started.length);
      started.push(agent);
      return agent;
    },
    run: () => Promise.reject(new HostError("not-found", "there are no commands here")),
    endMarked(prefix) {
      endedMarks.push(prefix);
      return Promise.resolve([]);
    },
  };
}

/** Speaks with the agents above: each line a message, the last one the outcome. */
export function fakeBackend(agents: FakeAgents): Backend {
  return {
    family: "plain-text",
    permissions: PERMISSIONS,
    commandFor: (runtime) => ({
      executable: runtime.executable,
      args: runtime.fixedArgs,
      env: { ADAPTER: "yes" },
      stdin: "null",
    }),
    run(io, task, signal) {
      const agent = agents.started.find((one) => one.stdout === io.stdout)!;
      agent.task = task;
      const outcome = Promise.withResolvers<Outcome>();
      return { messages: read(), outcome: outcome.promise };

      async function* read(): AsyncIterable<AgentMessage> {
        let said: Outcome | undefined;
        for await (const line of lines(io.stdout)) {
          if (!line.outcome) {
            yield line as AgentMessage;
            continue;
          }
          said = line.outcome;
          break;
        }
        const code = said ? 0 : (await io.exit).code;
        if (signal.aborted) said = { kind: "failed", reason: "cancelled", detail: "stopped" };
        outcome.resolve(said ?? { kind: "failed", reason: "agent_error.process_failure", detail: `exit code ${code}` });
      }
    },
  };
}

// deno-lint-ignore no-explicit-any
async function* lines(stdout: ReadableStream<Uint8Array>): AsyncIterable<any> {
  const decoder = new TextDecoder();
  for await (const chunk of stdout) {
    for (const line of decoder.decode(chunk).split("\n")) if (line !== "") yield JSON.parse(line);
  }
}
