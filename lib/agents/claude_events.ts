/** Claude's stream-json, line by line, as messages: pure apart from what it has to remember of earlier lines. */
import type { AgentMessage, PermissionDecision, PermissionRequest } from "../core/message.ts";
import { Answer } from "./answer.ts";
import { contentText, type JsonRecord, listOf, numberOf, parseRecord, recordOf, textOf } from "./json_fields.ts";
import type { Line } from "./ndjson.ts";

const QUOTE_CHARS = 200;

/** What one line of the agent means. */
export interface Step {
  readonly messages: readonly AgentMessage[];
  /** To be sent back as a line of its own. */
  readonly reply?: JsonRecord;
  /** To be decided, and answered as `replyTo` says; the agent goes on meanwhile with what it need not ask for. */
  readonly question?: Question;
  /** The question with this id needs no answer any more. */
  readonly withdrawn?: string;
  /** The line was the end of the turn. */
  readonly result?: JsonRecord;
}

/** The agent wants to use a tool. */
export interface Question {
  readonly id: string;
  readonly request: PermissionRequest;
}

const NOTHING: Step = { messages: [] };

export class ClaudeEvents {
  readonly #toolNames = new Map<string, string>();
  #sessionId: string | undefined;
  #model = "";
  readonly #answer = new Answer();
  #failure = "";
  #lastKind: AgentMessage["kind"] | undefined;
  #quotaUntil: number | undefined;
  #unreadable = 0;
  #firstUnreadable = "";

  /** Known from the first line of a session that really exists. */
  get sessionId(): string | undefined {
    return this.#sessionId;
  }

  get model(): string {
    return this.#model;
  }

  /** What the agent said since it last used a tool. */
  get lastText(): string {
    return this.#answer.text;
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

  /** When the provider will serve again that refuses for a used-up quota, in ms since 1970. */
  get quotaUntil(): number | undefined {
    return this.#quotaUntil;
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
    return this.take(event);
  }

  take(event: JsonRecord): Step {
    switch (event.type) {
      case "system":
        return this.#system(event);
      case "assistant":
        return { messages: this.#separated(this.#assistant(event)) };
      case "user":
        return { messages: this.#separated(this.#toolResults(event)) };
      case "rate_limit_event":
        this.#limited(recordOf(event.rate_limit_info));
        return NOTHING;
      case "control_request":
        return requested(event);
      case "control_cancel_request":
        return { messages: [], withdrawn: textOf(event.request_id) };
      case "result":
        return { messages: [], result: event };
      default:
        // Newer versions add types; what we do not know we do not need.
        return NOTHING;
    }
  }

  /** Said to those who are logged in with a subscription, in seconds; also when all is well. */
  #limited({ status, resetsAt }: JsonRecord): void {
    const isOver = status === "rejected" && numberOf(resetsAt) > 0;
    this.#quotaUntil = isOver ? numberOf(resetsAt) * 1_000 : undefined;
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
        if (!isFailure && !ofSubagent) this.#answer.add(this.#answer.empty ? text : `\n\n${text}`);
        messages.push({ kind: isFailure ? "error" : "text", text });
      } else if (block.type === "thinking" && textOf(block.thinking)) {
        messages.push({ kind: "thinking", text: textOf(block.thinking) });
      } else if (block.type === "tool_use") {
        const [callId, tool] = [textOf(block.id), textOf(block.name)];
        this.#toolNames.set(callId, tool);
        if (!ofSubagent) this.#answer.clear();
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
}

/** Something must be answered: the agent waits. Anything but a permission is refused, as nobody could fulfil it. */
function requested({ request_id, request: given }: JsonRecord): Step {
  const request = recordOf(given);
  if (request.subtype !== "can_use_tool") {
    const error = `drover does not answer ${textOf(request.subtype)}`;
    return { messages: [], reply: { type: "control_response", response: { subtype: "error", request_id, error } } };
  }
  const input = recordOf(request.input);
  const [tool, callId] = [textOf(request.tool_name), textOf(request.tool_use_id)];
  const title = textOf(request.description) || subjectOf(input) || textOf(request.display_name) || tool;
  return { messages: [], question: { id: textOf(request_id), request: { tool, callId, title, input } } };
}

/** The line that answers a question. */
export function replyTo({ id, request: { input } }: Question, { allow, why }: PermissionDecision): JsonRecord {
  // A command in the background would be ended with the run, before anybody has seen what it said.
  const updatedInput = "run_in_background" in input ? { ...input, run_in_background: false } : input;
  const response = allow ? { behavior: "allow", updatedInput } : { behavior: "deny", message: why };
  return { type: "control_response", response: { subtype: "success", request_id: id, response } };
}

const SUBJECTS = ["command", "file_path", "notebook_path", "path", "url", "query", "pattern"];

/** What a tool would be used on, in the words that its input has for it. */
function subjectOf(input: JsonRecord): string {
  return SUBJECTS.map((name) => textOf(input[name])).find((text) => text !== "") ?? "";
}

function say(message: AgentMessage): Step {
  return { messages: [message] };
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
