/** The updates of a turn of the Agent Client Protocol as messages: pure apart from what it has to remember of earlier ones. */
import type { AgentMessage } from "../core/message.ts";
import type { AcpOptions } from "./acp_options.ts";
import { AcpToolCalls, type KnownCall } from "./acp_tool_calls.ts";
import { AcpUsage } from "./acp_usage.ts";
import { type JsonRecord, recordOf, textOf } from "./json_fields.ts";
import { Prose } from "./prose.ts";

export class AcpEvents {
  readonly usage: AcpUsage;
  /** For the table of tokens; known once the session is open. */
  model = "unknown";
  readonly #calls: AcpToolCalls;
  readonly #prose = new Prose();
  #answerBefore = "";
  #active = false;
  #lastKind: "text" | "thinking" | undefined;
  #blocks = 0;

  constructor(options: AcpOptions) {
    this.usage = new AcpUsage(options.inputIncludesCached ?? false);
    this.#calls = new AcpToolCalls(options);
  }

  /** What the agent said since it last used a tool, else what it said before that. */
  get answer(): string {
    return (this.#prose.answer || this.#answerBefore).trim();
  }

  /** Whether it said something after the last thing it did. */
  get hasLastWord(): boolean {
    return this.#prose.answer.trim() !== "";
  }

  /** Whether it said, thought or did anything. */
  get active(): boolean {
    return this.#active;
  }

  accept(update: JsonRecord): AgentMessage[] {
    const callId = textOf(update.toolCallId) || undefined;
    return this.#noted([...this.#calls.others(callId), ...this.#meaning(update)]);
  }

  /** A question about a call: the call is told before the question is. */
  asked(toolCall: JsonRecord): { readonly call: KnownCall; readonly messages: AgentMessage[] } {
    const { call, messages } = this.#calls.asked(toolCall);
    return { call, messages: this.#noted(messages) };
  }

  /** The turn is over: what was held back in case there is more of it. */
  end(): AgentMessage[] {
    return this.#noted(this.#calls.others());
  }

  #meaning(update: JsonRecord): AgentMessage[] {
    const messages = this.#content(update);
    if (this.usage.update(update)) messages.push({ kind: "usage", usage: this.usage.soFar(this.model) });
    return messages;
  }

  #content(update: JsonRecord): AgentMessage[] {
    switch (update.sessionUpdate) {
      case "agent_message_chunk":
        return this.#chunk("text", update);
      case "agent_thought_chunk":
        return this.#chunk("thinking", update);
      case "tool_call":
      case "tool_call_update":
        return this.#calls.accept(update);
      default:
        // Plans, modes, commands, and what newer versions add.
        return [];
    }
  }

  /** Not every agent numbers its messages; one that changes between thinking and talking has begun another. */
  #chunk(kind: "text" | "thinking", update: JsonRecord): AgentMessage[] {
    const piece = textOf(recordOf(update.content).text);
    if (piece === "") return [];
    if (kind !== this.#lastKind) this.#blocks++;
    this.#lastKind = kind;
    const block = textOf(update.messageId) || `${this.#blocks}`;
    const aside = textOf(recordOf(recordOf(update._meta).claudeCode).parentToolUseId) !== "";
    return this.#prose.say(kind, block, piece, { aside });
  }

  #noted(messages: AgentMessage[]): AgentMessage[] {
    for (const { kind } of messages) {
      if (kind !== "usage") this.#active = true;
      if (kind !== "tool-use") continue;
      this.#answerBefore = this.#prose.answer || this.#answerBefore;
      this.#lastKind = undefined;
      this.#prose.toolUsed();
    }
    return messages;
  }
}
