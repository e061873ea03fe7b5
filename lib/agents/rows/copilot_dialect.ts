/** GitHub Copilot CLI's JSON events: a log of its session, of which the last line alone says how the run ended. */
import { type FailureReason, reasonForStatus } from "../../core/failure.ts";
import type { AgentMessage, Outcome } from "../../core/message.ts";
import type { AgentTask } from "../../core/model.ts";
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
import { type JsonRecord, numberOf, recordOf, textOf } from "../json_fields.ts";
import { Prose } from "../prose.ts";
import { reasonForCode } from "../provider_error.ts";
import { failed } from "../session.ts";

export const COPILOT_DIALECT: Dialect = { open: (task) => new CopilotReader(task) };

/** The kinds of `session.error`; the one called "query" says nothing. */
const BY_ERROR_TYPE: Partial<Record<string, FailureReason>> = {
  authentication: "agent_error.provider_auth_or_access",
  authorization: "agent_error.provider_auth_or_access",
  policy: "agent_error.provider_auth_or_access",
  quota: "agent_error.provider_quota_limit",
  rate_limit: "agent_error.provider_capacity_or_rate_limit",
  context_limit: "agent_error.context_overflow",
};

const LAST_WORDS: readonly LastWords[] = [
  {
    says: /No session, task, or name matched/,
    reason: "agent_error.process_failure",
    resumeRejected: true,
  },
  { says: /No authentication information found/, reason: "agent_error.provider_auth_or_access" },
];

class CopilotReader implements DialectReader {
  readonly #task: AgentTask;
  readonly #prose = new Prose();
  readonly #toolNames = new Map<string, string>();
  /** Messages and thoughts that came in pieces: the whole that follows is not said again. */
  readonly #streamed = new Set<string>();
  #sessionId: string | undefined;
  #error: JsonRecord = {};
  #callFailure: JsonRecord = {};

  constructor(task: AgentTask) {
    this.#task = task;
  }

  accept(event: JsonRecord): DialectStep {
    // It names its session only in the last line, but we chose the name, and with the first line there is one.
    const { resumeSession, newSession } = this.#task;
    const session = this.#session(textOf(event.sessionId) || this.#sessionId || (resumeSession ?? newSession));
    const { messages, outcome } = this.#take(event);
    return { messages: [...session, ...messages], ...(outcome ? { outcome } : {}) };
  }

  end(exit: ChildExit | undefined, detail: string, stderr: string): Outcome {
    return endedEarly(exit, detail, { sessionId: this.#sessionId, why: earlyEndIn(LAST_WORDS, stderr, this.#task) });
  }

  #session(sessionId: string): AgentMessage[] {
    if (sessionId === this.#sessionId) return [];
    this.#sessionId = sessionId;
    return [{ kind: "session", sessionId }];
  }

  #take(event: JsonRecord): DialectStep {
    const data = recordOf(event.data);
    // Of an agent that this one has started.
    const aside = textOf(event.agentId) !== "";
    switch (event.type) {
      case "assistant.message_delta":
        return this.#piece("text", textOf(data.messageId), textOf(data.deltaContent), aside);
      case "assistant.reasoning_delta":
        return this.#piece("thinking", textOf(data.reasoningId), textOf(data.deltaContent), aside);
      case "assistant.message":
        this.#error = {};
        return this.#whole("text", textOf(data.messageId), textOf(data.content), aside);
      case "assistant.reasoning":
        return this.#whole("thinking", textOf(data.reasoningId), textOf(data.content), aside);
      case "tool.execution_start":
        return this.#toolUse(data, aside);
      case "tool.execution_complete":
        return this.#toolResult(data);
      case "model.call_failure":
        this.#callFailure = data;
        return NOTHING;
      case "assistant.turn_retry":
        return { messages: [{ kind: "error", text: describeRetry(data, this.#callFailure) }] };
      case "session.error":
        this.#error = data;
        return { messages: [{ kind: "error", text: textOf(data.message) }] };
      case "result":
        return { messages: [], outcome: this.#verdict(event) };
      default:
        return NOTHING;
    }
  }

  #piece(kind: "text" | "thinking", id: string, text: string, aside: boolean): DialectStep {
    this.#streamed.add(id);
    return { messages: this.#prose.say(kind, id, text, { aside }) };
  }

  #whole(kind: "text" | "thinking", id: string, text: string, aside: boolean): DialectStep {
    return this.#streamed.delete(id) ? NOTHING : { messages: this.#prose.say(kind, id, text, { aside }) };
  }

  #toolUse(data: JsonRecord, aside: boolean): DialectStep {
    const [callId, tool] = [textOf(data.toolCallId), textOf(data.toolName)];
    this.#toolNames.set(callId, tool);
    this.#prose.toolUsed({ aside });
    return { messages: [{ kind: "tool-use", tool, callId, input: recordOf(data.arguments) }] };
  }

  #toolResult(data: JsonRecord): DialectStep {
    const callId = textOf(data.toolCallId);
    const tool = this.#toolNames.get(callId) ?? "";
    this.#toolNames.delete(callId);
    const output = textOf(recordOf(data.result).content) || textOf(recordOf(data.error).message);
    // A command that ends with an error code is a success to it.
    const isError = data.success === false || numberOf(recordOf(data.shellExecution).exitCode) !== 0;
    return { messages: [{ kind: "tool-result", tool, callId, output, isError }] };
  }

  #verdict(result: JsonRecord): Outcome {
    const sessionId = this.#sessionId;
    if (result.exitCode === 0) {
      return { kind: "completed", output: this.#prose.answer, ...(sessionId ? { sessionId } : {}) };
    }
    const said = textOf(this.#error.message) ||
      `The agent ended with code ${numberOf(result.exitCode)} and gave no reason`;
    return failed(this.#reason(), said, sessionId);
  }

  /** Its own kind first: a quota that is used up is also a status 429. The failed call knows what a vague error leaves out. */
  #reason(): FailureReason {
    const { errorType, errorCode, providerErrorType, statusCode } = this.#error;
    const call = this.#callFailure;
    return BY_ERROR_TYPE[textOf(errorType)] ?? reasonForCode(errorCode) ?? reasonForStatus(numberOf(statusCode)) ??
      reasonForCode(providerErrorType) ?? reasonForCode(call.errorCode) ?? reasonForStatus(numberOf(call.statusCode)) ??
      reasonForCode(call.errorType) ??
      (call.failureKind === "transport" ? "agent_error.provider_network" : "agent_error.unknown");
  }
}

/** Retries take a while in which nothing else is printed. */
function describeRetry({ reason }: JsonRecord, { statusCode, errorType, failureKind }: JsonRecord): string {
  const known = [numberOf(statusCode) || "", textOf(errorType) || textOf(failureKind) || textOf(reason)].filter(
    Boolean,
  );
  return `The provider failed (${known.join(" ") || "no reason given"}); trying again`;
}
