/** The adapter for agents without a protocol: the prompt goes in, text comes out, the exit code is the verdict. */
import type { AgentTask } from "../core/model.ts";
import type { Adapter, AgentIo } from "./backend.ts";
import { readLines } from "./ndjson.ts";
import { AgentInput, type Conversation, describeExit, exitOf, failed, sessionOf } from "./session.ts";

/** How much of the answer is kept for the report; the messages have it all. */
const OUTPUT_CHARS = 1024 * 1024;

export const plainText: Adapter = {
  run: (io, task, signal) => sessionOf(converse(io, task, signal), signal),
};

async function* converse(io: AgentIo, task: AgentTask, signal: AbortSignal): Conversation {
  const input = new AgentInput(io.stdin);
  input.send(task.prompt);
  input.close();
  let output = "";
  for await (const lines of readLines(io.stdout, { signal })) {
    for (const line of lines) {
      if (typeof line !== "string") {
        yield { kind: "error", text: `Left out a line of ${line.bytes} bytes` };
        continue;
      }
      const text = `${line}\n`;
      output += text;
      // Cut rarely, or a long answer is copied for each of its lines.
      if (output.length > 2 * OUTPUT_CHARS) output = output.slice(-OUTPUT_CHARS);
      yield { kind: "text", text };
    }
  }
  const exit = await exitOf(io, signal);
  if (exit?.code !== 0) return failed("agent_error.process_failure", describeExit(exit, io.stderrTail()));
  const answer = output.slice(-OUTPUT_CHARS).trim();
  if (answer === "") {
    return failed(
      "agent_error.empty_or_unparseable_output",
      `${describeExit(exit, io.stderrTail())}. It printed nothing`,
    );
  }
  return { kind: "completed", output: answer };
}
