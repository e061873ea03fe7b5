/** Claude's stream-json, line by line, as messages: pure apart from what it has to remember of earlier lines. */
import type { AgentMessage } from "../core/message.ts";
import type { Permission } from "../core/model.ts";
import { type JsonRecord, listOf, parseRecord, recordOf, textOf } from "./json_fields.ts";
import type { Line } from "./ndjson.ts";

const QUOTE_CHARS = 200;

/** What one line of the agent means. */
export interface Step {
  readonly messages: readonly AgentMessage[];
  /** To be sent back as a line of its own. */
  readonly reply?: JsonRecord;
  /** The line was the end of the turn. */
  readonly result?: JsonRecord;
}

const NOTHING: Step = { messages: [] };

export class ClaudeEvents {
  readonly #permission: Permission;
  readonly #toolNames = new Map<string, string>();
  #sessionId: string | undefined;
  #model = "";
  #lastText = "";
  #failure = "";
  #lastKind: AgentMessage["kind"] | undefined;
  #unreadable = 0;
  #firstUnreadable = "";

  constructor(permission: Permission) {
    this.#permission = permission;
  }

  /** Known from the first line of a session that really exists. */
  get sessionId(): string | undefined {
    return this.#sessionId;
  }

  get model(): string {
    return this.#model;
  }

  /** What the agent said since it last used a tool. */
  get lastText(): string {
    return this.#lastText;
  }

  /** The CLI's own word for what went wrong, where its last message stands for an answer that the provider did not give. */
  get failure(): string {
    return this.#failure;
  }

  /** For a failure text: how much of the output was no protocol; empty when all was. */
  get unreadable(): string {
    if (this.#unreadable === 0) return "";
    const lines = this.#unreadable === 1 ? "1 line" : `${this.#unreadable} lines`;
    return `${lines} of its output could not be read as JSON, the first: ${this.#firstUnreadable}`;
  }

  accept(line: Line): Step {
    if (typeof line !== "string") return say({ kind: "error", text: `Left out a line of ${line.bytes} bytes` });
    if (line.trim() === "") return NOTHING;
    const event = parseRecord(line);
    if (!event) {
      this.#unreadable++;
      this.#firstUnreadable ||= quote(line);
      return NOTHING;
    }
    switch (event.type) {
      case "system":
        return this.#system(event);
      case "assistant":
        return { messages: this.#separated(this.#assistant(event)) };
      case "user":
        return { messages: this.#separated(this.#toolResults(event)) };
      case "control_request":
        return { messages: [], reply: this.#answer(event) };
      case "result":
        return { messages: [], result: event };
      default:
        // Newer versions add types; what we do not know we do not need.
        return NOTHING;
    }
  }

  #system(event: JsonRecord): Step {
    if (event.subtype === "api_retry") return say({ kind: "error", text: describeRetry(event) });
    if (event.subtype !== "init") return NOTHING;
    this.#model = textOf(event.model) || this.#model;
    const sessionId = textOf(event.session_id);
    // Each turn has an init line of its own.
    if (!sessionId || sessionId === this.#sessionId) return NOTHING;
    this.#sessionId = sessionId;
    return say({ kind: "session", sessionId });
  }

  #assistant(event: JsonRecord): AgentMessage[] {
    // What the CLI says in the agent's place when the provider failed is not an answer.
    const isFailure = event.is_api_error_message === true || textOf(event.error) !== "";
    const ofSubagent = textOf(event.parent_tool_use_id) !== "";
    if (!ofSubagent) this.#failure = isFailure ? textOf(event.error) : "";
    const messages: AgentMessage[] = [];
    for (const block of listOf(recordOf(event.message).content).map(recordOf)) {
      if (block.type === "text" && textOf(block.text)) {
        const text = textOf(block.text);
        if (!isFailure && !ofSubagent) this.#lastText = this.#lastText ? `${this.#lastText}\n\n${text}` : text;
        messages.push({ kind: isFailure ? "error" : "text", text });
      } else if (block.type === "thinking" && textOf(block.thinking)) {
        messages.push({ kind: "thinking", text: textOf(block.thinking) });
      } else if (block.type === "tool_use") {
        const [callId, tool] = [textOf(block.id), textOf(block.name)];
        this.#toolNames.set(callId, tool);
        if (!ofSubagent) this.#lastText = "";
        messages.push({ kind: "tool-use", tool, callId, input: recordOf(block.input) });
      }
    }
    return messages;
  }

  /** Texts in a row are read as one; each block is a paragraph of its own. */
  #separated(messages: readonly AgentMessage[]): AgentMessage[] {
    return messages.map((message) => {
      const follows = this.#lastKind === message.kind;
      this.#lastKind = message.kind;
      const isProse = message.kind === "text" || message.kind === "thinking";
      return follows && isProse ? { ...message, text: `\n\n${message.text}` } : message;
    });
  }

  #toolResults(event: JsonRecord): AgentMessage[] {
    return listOf(recordOf(event.message).content).map(recordOf).filter((block) => block.type === "tool_result")
      .map((block) => {
        const callId = textOf(block.tool_use_id);
        const tool = this.#toolNames.get(callId) ?? "";
        this.#toolNames.delete(callId);
        return {
          kind: "tool-result",
          tool,
          callId,
          output: contentText(block.content),
          isError: block.is_error === true,
        };
      });
  }

  /** Something must be answered: the agent waits. Anything but a permission is refused, as nobody could fulfil it. */
  #answer(event: JsonRecord): JsonRecord {
    const request = recordOf(event.request);
    const response = request.subtype === "can_use_tool"
      ? { subtype: "success", request_id: event.request_id, response: this.#decide(request) }
      : { subtype: "error", request_id: event.request_id, error: `drover does not answer ${textOf(request.subtype)}` };
    return { type: "control_response", response };
  }

  #decide(request: JsonRecord): JsonRecord {
    if (this.#permission === "read-only") {
      return { behavior: "deny", message: `This run may only read, so ${textOf(request.tool_name)} is not allowed` };
    }
    const input = recordOf(request.input);
    // A command in the background would be ended with the run, before anybody has seen what it said.
    const updatedInput = "run_in_background" in input ? { ...input, run_in_background: false } : input;
    return { behavior: "allow", updatedInput };
  }
}

function say(message: AgentMessage): Step {
  return { messages: [message] };
}

/** Text blocks as they are; of anything else (images, references) only what it is. */
function contentText(content: unknown): string {
  if (typeof content === "string") return content;
  return listOf(content).map((block) => {
    const { type, text } = recordOf(block);
    return type === "text" ? textOf(text) : `[${textOf(type) || "something that is not text"}]`;
  }).join("\n");
}

/** Retries take minutes in which nothing else is printed; without this a wrong key looks like a hang. */
function describeRetry(event: JsonRecord): string {
  const known = [event.error_status, event.error].filter((part) => part !== "unknown");
  const why = known.filter((part) => part !== null && part !== undefined).join(" ");
  return `The provider failed (${why || "no reason given"}); trying again, ${event.attempt} of ${event.max_retries}`;
}

function quote(line: string): string {
  return line.length > QUOTE_CHARS ? `${line.slice(0, QUOTE_CHARS)}…` : line;
}
