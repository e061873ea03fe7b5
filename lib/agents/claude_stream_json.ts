/** The adapter of the stream-json protocol that Claude Code speaks: one user message in, events out, permissions answered. */
import type { AgentTask } from "../core/model.ts";
import type { Adapter, AgentIo } from "./backend.ts";
import { ClaudeEvents, type Question, replyTo } from "./claude_events.ts";
import { outcomeOfResult, usageOfResult } from "./claude_outcome.ts";
import type { JsonRecord } from "./json_fields.ts";
import { readLines } from "./ndjson.ts";
import { decide } from "./permission.ts";
import { AgentInput, type Conversation, describeExit, exitOf, failed, sessionOf } from "./session.ts";

export const claudeStreamJson: Adapter = {
  run: (io, task, signal) => sessionOf(converse(io, task, signal), signal),
};

async function* converse(io: AgentIo, task: AgentTask, signal: AbortSignal): Conversation {
  const events = new ClaudeEvents();
  // Open until the result: permission requests are answered on it.
  const input = new AgentInput(io.stdin);
  const questions = new Questions(io, task, (reply) => input.send(jsonLine(reply)));
  try {
    const content = [{ type: "text", text: task.prompt }];
    input.send(jsonLine({ type: "user", message: { role: "user", content } }));
    for await (const lines of readLines(io.stdout, { signal })) {
      for (const line of lines) {
        const { messages, reply, question, withdrawn, result } = events.accept(line);
        if (reply) input.send(jsonLine(reply));
        for (const message of messages) yield message;
        if (question) questions.ask(question);
        if (withdrawn) questions.withdraw(withdrawn);
        if (!result) continue;
        const resumed = task.resumeSession !== undefined;
        const usage = usageOfResult(result, events, resumed);
        if (usage.length > 0) yield { kind: "usage", usage };
        // Not read any further: with a command in the background the agent stays alive after its last word.
        return outcomeOfResult(result, events, { resumed });
      }
    }
  } finally {
    questions.withdrawAll();
    input.close();
  }
  const exit = await exitOf(io, signal);
  const reason = exit?.code === 0 ? "agent_error.empty_or_unparseable_output" : "agent_error.process_failure";
  const detail = [describeExit(exit, io.stderrTail()), events.unreadable].filter(Boolean).join("\n");
  return failed(reason, `The agent ended without a result. ${detail}`, events.sessionId);
}

/** What the agent asked and was not told yet. Nothing waits for it: the agent asks about several tools at once. */
class Questions {
  readonly #io: AgentIo;
  readonly #task: AgentTask;
  readonly #send: (reply: JsonRecord) => void;
  readonly #open = new Map<string, AbortController>();

  constructor(io: AgentIo, task: AgentTask, send: (reply: JsonRecord) => void) {
    this.#io = io;
    this.#task = task;
    this.#send = send;
  }

  ask(question: Question): void {
    const withdrawn = new AbortController();
    // That a tool only reads is not said.
    const request = { ...question.request, reads: false };
    const decision = decide(this.#task.permission, request, this.#io, withdrawn.signal);
    if (!(decision instanceof Promise)) return this.#send(replyTo(question, decision));
    this.#open.set(question.id, withdrawn);
    void decision.then((decided) => {
      if (this.#open.delete(question.id)) this.#send(replyTo(question, decided));
    });
  }

  /** It expects no answer any more. */
  withdraw(id: string): void {
    const question = this.#open.get(id);
    this.#open.delete(id);
    question?.abort();
  }

  withdrawAll(): void {
    for (const id of this.#open.keys()) this.withdraw(id);
  }
}

function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
