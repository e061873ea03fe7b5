/** pi's JSON events: messages in pieces, and an exit code that says nothing; how the last message stopped is the verdict. */
import type { FailureReason } from "../../core/failure.ts";
import type { AgentMessage, Outcome } from "../../core/message.ts";
import type { AgentTask, ModelUsage } from "../../core/model.ts";
import type { ChildExit } from "../../core/ports.ts";
import {
  type Dialect,
  type DialectReader,
  type DialectStep,
  earlyEndIn,
  endedEarly,
  type LastWords,
  NOTHING,
} from "../dialect.ts";
import { contentText, type JsonRecord, listOf, numberOf, recordOf, textOf } from "../json_fields.ts";
import { Prose } from "../prose.ts";
import { reasonInText } from "../provider_error.ts";
import { failed } from "../session.ts";
import { UsageSum } from "../usage_sum.ts";

export const PI_DIALECT: Dialect = { open: (task) => new PiReader(task) };

/** Errors of the provider that carry no code. */
const BY_WORDS: readonly [RegExp, FailureReason][] = [
  [/overloaded/i, "agent_error.provider_capacity_or_rate_limit"],
  [/connection error|fetch failed|timed? ?out|ECONN/i, "agent_error.provider_network"],
];

const LAST_WORDS: readonly LastWords[] = [
  { says: /No session found matching/, reason: "agent_error.process_failure", resumeRejected: true },
  // It asks whether to make a copy, and takes the end of its input for a no.
  { says: /Session found in different project/, reason: "agent_error.process_failure", resumeRejected: true },
  { says: /No API key found|No models available/, reason: "agent_error.provider_auth_or_access" },
];

class PiReader implements DialectReader {
  readonly #task: AgentTask;
  readonly #prose = new Prose();
  readonly #usage = new UsageSum();
  readonly #streamed = new Set<number>();
  #sessionId: string | undefined;
  #message = 0;
  /** Of the model's last message. */
  #last: JsonRecord | undefined;
  #over = false;

  constructor(task: AgentTask) {
    this.#task = task;
  }

  accept(event: JsonRecord): DialectStep {
    switch (event.type) {
      case "session":
        return this.#begin(textOf(event.id));
      case "agent_start":
        this.#over = false;
        return NOTHING;
      case "message_start":
        this.#message++;
        this.#streamed.clear();
        return NOTHING;
      case "message_update":
        return { messages: this.#delta(recordOf(event.assistantMessageEvent)) };
      case "message_end":
        return { messages: this.#messageEnd(recordOf(event.message)) };
      case "tool_execution_start":
      case "tool_execution_end":
        return { messages: [this.#tool(event)] };
      case "auto_retry_start":
        return { messages: [{ kind: "error", text: describeRetry(event) }] };
      case "agent_end":
        this.#over = event.willRetry !== true;
        return NOTHING;
      case "agent_settled":
        return { messages: [], outcome: this.#verdict() };
      default:
        return NOTHING;
    }
  }

  end(exit: ChildExit | undefined, detail: string, stderr: string): Outcome {
    // Older versions have no line after the last one's end, which may still be followed by a retry.
    if (this.#over) return this.#verdict();
    return endedEarly(exit, detail, { sessionId: this.#sessionId, why: earlyEndIn(LAST_WORDS, stderr, this.#task) });
  }

  #begin(sessionId: string): DialectStep {
    if (!sessionId || sessionId === this.#sessionId) return NOTHING;
    this.#sessionId = sessionId;
    return { messages: [{ kind: "session", sessionId }] };
  }

  #delta({ type, contentIndex, delta }: JsonRecord): AgentMessage[] {
    if (type !== "text_delta" && type !== "thinking_delta") return [];
    const index = numberOf(contentIndex);
    this.#streamed.add(index);
    return this.#prose.say(type === "text_delta" ? "text" : "thinking", `${this.#message}.${index}`, textOf(delta));
  }

  #messageEnd(message: JsonRecord): AgentMessage[] {
    if (message.role !== "assistant") return [];
    this.#last = message;
    const rest = listOf(message.content).flatMap((value, index) => {
      const { type, text, thinking } = recordOf(value);
      if (this.#streamed.has(index) || (type !== "text" && type !== "thinking")) return [];
      return this.#prose.say(type, `${this.#message}.${index}`, textOf(type === "text" ? text : thinking));
    });
    return this.#usage.add(usageOf(message)) ? [...rest, { kind: "usage", usage: this.#usage.totals }] : rest;
  }

  #tool(event: JsonRecord): AgentMessage {
    const named = { tool: textOf(event.toolName), callId: textOf(event.toolCallId) };
    if (event.type === "tool_execution_start") {
      this.#prose.toolUsed();
      return { kind: "tool-use", ...named, input: recordOf(event.args) };
    }
    const output = contentText(recordOf(event.result).content);
    return { kind: "tool-result", ...named, output, isError: event.isError === true };
  }

  #verdict(): Outcome {
    const { stopReason, errorMessage } = this.#last ?? {};
    if (stopReason === "stop" || stopReason === "length") {
      const sessionId = this.#sessionId;
      return { kind: "completed", output: this.#prose.answer, ...(sessionId ? { sessionId } : {}) };
    }
    const said = textOf(errorMessage) ||
      `The agent stopped without an answer (${textOf(stopReason) || "no reason given"})`;
    const reason = reasonInText(said) ?? BY_WORDS.find(([words]) => words.test(said))?.[1] ?? "agent_error.unknown";
    return failed(reason, said, this.#sessionId);
  }
}

function describeRetry({ errorMessage, attempt, maxAttempts }: JsonRecord): string {
  const why = textOf(errorMessage) || "no reason given";
  return `The provider failed (${why}); trying again, ${numberOf(attempt)} of ${numberOf(maxAttempts)}`;
}

const TICKS_PER_USD = 1e10;

/** Of a message, or of whatever else has its model and its tokens as pi writes them. */
export function usageOf(message: JsonRecord): ModelUsage {
  const { input, output, cacheRead, cacheWrite, cost } = recordOf(message.usage);
  return {
    model: textOf(message.model) || "unknown",
    inputTokens: numberOf(input),
    outputTokens: numberOf(output),
    cacheReadTokens: numberOf(cacheRead),
    cacheWriteTokens: numberOf(cacheWrite),
    costUsdTicks: Math.round(numberOf(recordOf(cost).total) * TICKS_PER_USD),
  };
}
