/** The adapter for agents that take one prompt and print JSON lines: what the lines mean is the dialect's. */
import type { AgentTask } from "../core/model.ts";
import type { Adapter, AgentIo } from "./backend.ts";
import type { Dialect } from "./dialect.ts";
import { Garbage } from "./garbage.ts";
import { parseRecord } from "./json_fields.ts";
import { readLines } from "./ndjson.ts";
import { AgentInput, type Conversation, describeExit, exitOf, sessionOf } from "./session.ts";

export function execJsonl(dialect: Dialect): Adapter {
  return { run: (io, task, signal) => sessionOf(converse(dialect, io, task, signal), signal) };
}

async function* converse(dialect: Dialect, io: AgentIo, task: AgentTask, signal: AbortSignal): Conversation {
  const input = new AgentInput(io.stdin);
  input.send(task.prompt);
  // Some of these CLIs do not begin before their input has ended.
  input.close();
  const reader = dialect.open(task);
  const garbage = new Garbage("JSON");
  for await (const lines of readLines(io.stdout, { signal })) {
    for (const line of lines) {
      if (typeof line !== "string") {
        yield { kind: "error", text: `Left out a line of ${line.bytes} bytes` };
        continue;
      }
      if (line.trim() === "") continue;
      const event = parseRecord(line);
      const step = event ? reader.accept(event) : reader.other?.(line);
      if (!step) {
        garbage.add(line);
        continue;
      }
      for (const message of step.messages) yield message;
      if (step.outcome) return step.outcome;
    }
  }
  const exit = await exitOf(io, signal);
  const stderr = io.stderrTail();
  return reader.end(exit, [describeExit(exit, stderr), garbage.describe()].filter(Boolean).join("\n"), stderr);
}
