/** The adapter of the stream-json protocol that Claude Code speaks: one user message in, events out, permissions answered. */
import type { AgentTask, CommandLine, Permission, Runtime } from "../core/model.ts";
import type { AgentIo, Backend } from "./backend.ts";
import { ClaudeEvents } from "./claude_events.ts";
import { outcomeOfResult, usageOfResult } from "./claude_outcome.ts";
import { readLines } from "./ndjson.ts";
import { AgentInput, type Conversation, describeExit, exitOf, failed, sessionOf } from "./session.ts";

export const claudeStreamJson: Backend = {
  family: "claude-stream-json",
  commandFor,
  run: (io, task, signal) => sessionOf(converse(io, task, signal), signal),
};

const PROTOCOL = ["-p", "--output-format", "stream-json", "--input-format", "stream-json", "--verbose"];

/**
 * Read-only is a closed list of tools that cannot write, a mode that denies what would have to be asked, and none of
 * the project's own settings and servers, which may run commands. A version too old for one of these refuses to start.
 * Nobody can answer a question, so that tool is taken away from the others.
 */
const PERMISSION_ARGS: Record<Permission, readonly string[]> = {
  full: ["--permission-mode", "bypassPermissions", "--disallowedTools", "AskUserQuestion"],
  "read-only": [
    ...["--permission-mode", "dontAsk", "--tools", "Read,Glob,Grep,WebFetch,WebSearch"],
    ...["--strict-mcp-config", "--setting-sources", "user"],
  ],
};

function commandFor(runtime: Runtime, task: AgentTask): CommandLine {
  const args = [...runtime.fixedArgs, ...PROTOCOL, ...PERMISSION_ARGS[task.permission]];
  if (task.model) args.push("--model", task.model);
  if (task.resumeSession) args.push("--resume", task.resumeSession);
  return { executable: runtime.executable, args, env: runtime.env ?? {}, stdin: "pipe" };
}

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
