/** The adapter of the stream-json protocol that Claude Code speaks: one user message in, events out, permissions answered. */
import type { AgentTask } from "../core/model.ts";
import type { Adapter, AgentIo } from "./backend.ts";
import { ClaudeEvents } from "./claude_events.ts";
import { outcomeOfResult, usageOfResult } from "./claude_outcome.ts";
import { readLines } from "./ndjson.ts";
import { AgentInput, type Conversation, describeExit, exitOf, failed, sessionOf } from "./session.ts";

export const claudeStreamJson: Adapter = {
  run: (io, task, signal) => sessionOf(converse(io, task, signal), signal),
};

async function* converse(io: AgentIo, task: AgentTask, signal: AbortSignal): Conversation {
  const events = new ClaudeEvents(task.permission);
  // Open until the result: permission requests are answered on it.
  const input = new AgentInput(io.stdin);
  try {
    const content = [{ type: "text", text: task.prompt }];
    input.send(jsonLine({ type: "user", message: { role: "user", content } }));
    for await (const lines of readLines(io.stdout, { signal })) {
      for (const line of lines) {
        const { messages, reply, result } = events.accept(line);
        if (reply) input.send(jsonLine(reply));
        for (const message of messages) yield message;
        if (!result) continue;
        const usage = usageOfResult(result, events, task.resumeSession !== undefined);
        if (usage.length > 0) yield { kind: "usage", usage };
        // Not read any further: with a command in the background the agent stays alive after its last word.
        return outcomeOfResult(result, events);
      }
    }
  } finally {
    input.close();
  }
  const exit = await exitOf(io, signal);
  const reason = exit?.code === 0 ? "agent_error.empty_or_unparseable_output" : "agent_error.process_failure";
  const detail = [describeExit(exit, io.stderrTail()), events.unreadable].filter(Boolean).join("\n");
  return failed(reason, `The agent ended without a result. ${detail}`, events.sessionId);
}

function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
