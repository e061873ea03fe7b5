/** The adapter for agents without a protocol: the prompt goes in, text comes out, the exit code is the verdict. */
import type { AgentTask } from "../core/model.ts";
import { Answer } from "./answer.ts";
import type { Adapter, AgentIo } from "./backend.ts";
import { readLines } from "./ndjson.ts";
import { AgentInput, type Conversation, describeExit, exitOf, failed, sessionOf } from "./session.ts";

export const plainText: Adapter = {
  run: (io, task, signal) => sessionOf(converse(io, task, signal), signal),
};

async function* converse(io: AgentIo, task: AgentTask, signal: AbortSignal): Conversation {
  const input = new AgentInput(io.stdin);
  input.send(task.prompt);
  input.close();
  const output = new Answer();
  for await (const lines of readLines(io.stdout, { signal })) {
    for (const line of lines) {
      if (typeof line !== "string") {
        yield { kind: "error", text: `Left out a line of ${line.bytes} bytes` };
        continue;
      }
      const text = `${line}\n`;
      output.add(text);
      yield { kind: "text", text };
    }
  }
  const exit = await exitOf(io, signal);
  if (exit?.code !== 0) return failed("agent_error.process_failure", describeExit(exit, io.stderrTail()));
  const answer = output.text.trim();
  if (answer === "") {
    return failed(
      "agent_error.empty_or_unparseable_output",
      `${describeExit(exit, io.stderrTail())}. It printed nothing`,
    );
  }
  return { kind: "completed", output: answer };
}
