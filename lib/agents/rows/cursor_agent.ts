/** Cursor's agent CLI: Claude Code's JSON lines, except that tools and thoughts have events of their own. */
import type { Outcome } from "../../core/message.ts";
import type { AgentTask } from "../../core/model.ts";
import type { ChildExit } from "../../core/ports.ts";
import { ClaudeLikeReader } from "../claude_like.ts";
import { type Dialect, type DialectReader, type DialectStep, type LastWords, NOTHING } from "../dialect.ts";
import { isRecord, type JsonRecord, numberOf, recordOf, textOf } from "../json_fields.ts";
import type { RowOf } from "../provider_row.ts";

const LAST_WORDS: readonly LastWords[] = [
  { says: /Authentication required|Not logged in|Invalid API key/i, reason: "agent_error.provider_auth_or_access" },
];

class CursorReader implements DialectReader {
  readonly #like: ClaudeLikeReader;

  constructor(task: AgentTask) {
    this.#like = new ClaudeLikeReader(task, LAST_WORDS);
  }

  accept(event: JsonRecord): DialectStep {
    switch (event.type) {
      case "thinking":
        return event.subtype === "delta" && textOf(event.text)
          ? { messages: [{ kind: "thinking", text: textOf(event.text) }] }
          : NOTHING;
      case "tool_call":
        return toolCall(event);
      case "error":
        return { messages: [{ kind: "error", text: textOf(event.message) || "The agent reported an error" }] };
      case "result":
        return this.#like.accept({ ...event, usage: snakeCased(recordOf(event.usage)) });
      default:
        return this.#like.accept(event);
    }
  }

  end(exit: ChildExit | undefined, detail: string, stderr: string): Outcome {
    return this.#like.end(exit, detail, stderr);
  }
}

/** A call is an object with one member, whose name is the tool's with `ToolCall` behind it. */
function toolCall({ subtype, call_id, tool_call }: JsonRecord): DialectStep {
  const [name, body] = Object.entries(recordOf(tool_call)).find(([, value]) => isRecord(value)) ?? [];
  const { args, result, name: functionName } = recordOf(body);
  const tool = name === "function" ? textOf(functionName) : name?.replace(/ToolCall$/, "") ?? "";
  const callId = textOf(call_id);
  if (subtype === "started") return { messages: [{ kind: "tool-use", tool, callId, input: recordOf(args) }] };
  if (subtype !== "completed") return NOTHING;
  const { success, ...otherwise } = recordOf(result);
  const isError = success === undefined || numberOf(recordOf(success).exitCode) !== 0;
  return { messages: [{ kind: "tool-result", tool, callId, output: shown(success ?? otherwise), isError }] };
}

/** What each tool answers differs; a text in it is the answer, else all of it. */
function shown(result: unknown): string {
  const { content, stdout, stderr, reason } = recordOf(result);
  const text = [content, stdout, stderr, reason].map(textOf).filter(Boolean).join("\n");
  return text || (typeof result === "string" ? result : JSON.stringify(result));
}

function snakeCased(usage: JsonRecord): JsonRecord {
  return {
    input_tokens: usage.input_tokens ?? usage.inputTokens,
    output_tokens: usage.output_tokens ?? usage.outputTokens,
    cache_read_input_tokens: usage.cache_read_input_tokens ?? usage.cacheReadTokens,
    cache_creation_input_tokens: usage.cache_creation_input_tokens ?? usage.cacheWriteTokens,
  };
}

const CURSOR_DIALECT: Dialect = { open: (task) => new CursorReader(task) };

export const CURSOR_AGENT: RowOf<"exec-jsonl"> = {
  provider: "cursor",
  title: "Cursor Agent",
  family: "exec-jsonl",
  dialect: CURSOR_DIALECT,
  launch: {
    kind: "command",
    names: ["cursor-agent"],
    versionArgs: ["--version"],
    install: "see cursor.com/cli",
  },
  args: {
    always: ["--print", "--output-format", "stream-json"],
    model: ["--model", "{}"],
    resume: ["--resume", "{}"],
    reserved: [
      ...["-p", "--print", "--output-format", "--stream-partial-output", "-f", "--force", "--yolo", "--mode", "--plan"],
      ...["--resume", "--continue", "-c", "--cloud", "--workspace", "-w", "--worktree"],
    ],
  },
  stdin: "pipe",
  permissions: { full: { args: ["--yolo"] } },
  secrets: ["CURSOR_API_KEY"],
  brief: "AGENTS.md",
  mcp: { file: ".cursor/mcp.json" },
  login: { variables: ["CURSOR_API_KEY"], status: ["status"], how: "cursor-agent login" },
  usage: "stream",
  remark: "built from what is known of its output; never tried in a whole run",
};
