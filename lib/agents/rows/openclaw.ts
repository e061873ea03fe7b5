/** OpenClaw: one JSON document at the end of a turn, printed over many lines. */
import { type FailureReason, reasonForStatus } from "../../core/failure.ts";
import type { AgentMessage, Outcome } from "../../core/message.ts";
import type { ChildExit } from "../../core/ports.ts";
import { type Dialect, type DialectReader, type DialectStep, endedEarly, NOTHING } from "../dialect.ts";
import { isRecord, type JsonRecord, listOf, parseRecord, recordOf, textOf } from "../json_fields.ts";
import { MAX_LINE_BYTES } from "../ndjson.ts";
import type { RowOf } from "../provider_row.ts";
import { reasonInText } from "../provider_error.ts";
import { failed } from "../session.ts";
import { usageOf } from "./pi_dialect.ts";

const BY_ERROR_KIND: Partial<Record<string, FailureReason>> = {
  context_overflow: "agent_error.context_overflow",
  timeout: "agent_error.agent_timeout",
};

class OpenClawReader implements DialectReader {
  /** The lines of a document that is not complete yet. */
  #open: string[] = [];
  #chars = 0;

  accept(event: JsonRecord): DialectStep {
    return typeof event.ok === "boolean" ? read(event) : NOTHING;
  }

  /** Its document begins and ends with a brace on a line of its own; what stands before it is a log. */
  other(line: string): DialectStep | undefined {
    if (line === "{") this.#discard();
    else if (this.#open.length === 0) return undefined;
    this.#open.push(line);
    this.#chars += line.length;
    if (this.#chars > MAX_LINE_BYTES) {
      this.#discard();
      return { messages: [{ kind: "error", text: `Left out a document of more than ${MAX_LINE_BYTES} characters` }] };
    }
    if (line !== "}") return NOTHING;
    const document = parseRecord(this.#open.join("\n"));
    this.#discard();
    return document ? this.accept(document) : NOTHING;
  }

  end(exit: ChildExit | undefined, detail: string): Outcome {
    return endedEarly(exit, detail);
  }

  #discard(): void {
    this.#open = [];
    this.#chars = 0;
  }
}

/** Its session is left out: it is gone with the run. */
function read(document: JsonRecord): DialectStep {
  const texts = listOf(document.payloads).map((payload) => textOf(recordOf(payload).text)).filter(Boolean);
  // Its tokens and their cost have the same names as in pi.
  const usage = isRecord(document.usage) ? usageOf(document) : undefined;
  const messages: AgentMessage[] = [
    ...texts.map((text, index) => ({ kind: "text", text: index > 0 ? `\n\n${text}` : text } as const)),
    ...(usage ? [{ kind: "usage", usage: [usage] } as const] : []),
  ];
  if (document.ok === true) return { messages, outcome: { kind: "completed", output: texts.join("\n\n") } };
  const { message, kind } = recordOf(document.error);
  const said = textOf(message) || "The agent failed and gave no reason";
  const status = Number(/HTTP (\d{3})\b/.exec(said)?.[1]);
  const reason = BY_ERROR_KIND[textOf(kind)] ?? reasonForStatus(status) ?? reasonInText(said) ?? "agent_error.unknown";
  return { messages, outcome: failed(reason, said) };
}

const OPENCLAW_DIALECT: Dialect = { open: () => new OpenClawReader() };

export const OPENCLAW: RowOf<"exec-jsonl"> = {
  provider: "openclaw",
  title: "OpenClaw",
  family: "exec-jsonl",
  dialect: OPENCLAW_DIALECT,
  launch: {
    kind: "command",
    names: ["openclaw"],
    versionArgs: ["--version"],
    // The first that was seen to read its prompt from a file.
    minimum: "2026.9.0",
    install: "npm install -g openclaw",
  },
  args: {
    // The turn that works in the current directory; the one with sessions works in the workspace of the configuration.
    always: ["agent", "exec", "--json", "--message-file", "-"],
    model: ["--model", "{}"],
    effort: ["--thinking", "{}"],
    reserved: ["--json", "--message-file", "--cwd", "--state-dir"],
  },
  stdin: "pipe",
  // What it may do is a matter of its configuration.
  permissions: { full: {} },
  secrets: ["OPENCLAW_*", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"],
  mcp: "none",
  usage: "stream",
  remark: "it says nothing before it is done, and cannot be resumed",
};
