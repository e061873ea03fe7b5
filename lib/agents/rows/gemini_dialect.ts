/** Gemini CLI's stream-json: text in pieces, tools as they run, and one result line with the tokens of each model. */
import type { FailureReason } from "../../core/failure.ts";
import type { Outcome } from "../../core/message.ts";
import type { AgentTask, ModelUsage } from "../../core/model.ts";
import type { ChildExit } from "../../core/ports.ts";
import { type Dialect, type DialectReader, type DialectStep, type EarlyEnd, endedEarly, NOTHING } from "../dialect.ts";
import { type JsonRecord, numberOf, recordOf, textOf } from "../json_fields.ts";
import { Prose } from "../prose.ts";
import { reasonInText } from "../provider_error.ts";
import { failed } from "../session.ts";

export const GEMINI_DIALECT: Dialect = { open: (task) => new GeminiReader(task) };

/** The class of the error, where the CLI has one for it. */
const BY_ERROR_TYPE: Partial<Record<string, FailureReason>> = {
  FatalAuthenticationError: "agent_error.provider_auth_or_access",
  UnauthorizedError: "agent_error.provider_auth_or_access",
  ValidationRequiredError: "agent_error.provider_auth_or_access",
  TerminalQuotaError: "agent_error.provider_quota_limit",
  RetryableQuotaError: "agent_error.provider_capacity_or_rate_limit",
  ModelNotFoundError: "agent_error.model_not_found_or_unavailable",
  FatalTurnLimitedError: "iteration_limit",
  FatalConfigError: "agent_error.missing_config",
};

/** What has neither a code nor a class of its own. */
const BY_WORDS: readonly [RegExp, FailureReason][] = [
  [/fetch failed|socket hang up|ECONN|ETIMEDOUT/, "agent_error.provider_network"],
  [/stream ended without|empty response/, "agent_error.provider_server_error"],
  // What it adds to the words of a refusal for too many requests.
  [/Please wait and try again later/, "agent_error.provider_capacity_or_rate_limit"],
];

/** Its exit codes for what it gives up on before it prints anything. */
const BY_EXIT_CODE: Partial<Record<number, FailureReason>> = {
  41: "agent_error.provider_auth_or_access",
  44: "agent_error.missing_config",
  52: "agent_error.missing_config",
  53: "iteration_limit",
  55: "agent_error.missing_config",
};

const BAD_INPUT = 42;

class GeminiReader implements DialectReader {
  readonly #resumes: boolean;
  readonly #prose = new Prose();
  readonly #toolNames = new Map<string, string>();
  #sessionId: string | undefined;
  #error = "";

  constructor(task: AgentTask) {
    this.#resumes = task.resumeSession !== undefined;
  }

  accept(event: JsonRecord): DialectStep {
    switch (event.type) {
      case "init":
        return this.#begin(textOf(event.session_id));
      case "message":
        // The prompt comes back as a message of the user.
        if (event.role !== "assistant") return NOTHING;
        return { messages: this.#prose.say("text", "", textOf(event.content)) };
      case "tool_use":
        return this.#toolUse(event);
      case "tool_result":
        return this.#toolResult(event);
      case "error":
        this.#error = textOf(event.message);
        return { messages: [{ kind: "error", text: this.#error }] };
      case "result":
        return this.#result(event);
      default:
        return NOTHING;
    }
  }

  end(exit: ChildExit | undefined, detail: string): Outcome {
    const code = exit?.code ?? 0;
    const reason = BY_EXIT_CODE[code];
    // The code is also that of other bad input; of what we give it, only the session can be bad.
    const rejected = code === BAD_INPUT && this.#resumes && this.#sessionId === undefined;
    const why: EarlyEnd | undefined = rejected
      ? { reason: "agent_error.process_failure", resumeRejected: true }
      : reason && { reason };
    return endedEarly(exit, detail, { sessionId: this.#sessionId, why });
  }

  #begin(sessionId: string): DialectStep {
    if (!sessionId || sessionId === this.#sessionId) return NOTHING;
    this.#sessionId = sessionId;
    return { messages: [{ kind: "session", sessionId }] };
  }

  #toolUse(event: JsonRecord): DialectStep {
    const [callId, tool] = [textOf(event.tool_id), textOf(event.tool_name)];
    this.#toolNames.set(callId, tool);
    this.#prose.toolUsed();
    return { messages: [{ kind: "tool-use", tool, callId, input: recordOf(event.parameters) }] };
  }

  #toolResult(event: JsonRecord): DialectStep {
    const callId = textOf(event.tool_id);
    const tool = this.#toolNames.get(callId) ?? "";
    this.#toolNames.delete(callId);
    const output = textOf(event.output) || textOf(recordOf(event.error).message);
    // A command that ends with an error code is a success to it.
    return { messages: [{ kind: "tool-result", tool, callId, output, isError: event.status === "error" }] };
  }

  #result(event: JsonRecord): DialectStep {
    const usage = usageOf(recordOf(event.stats));
    return {
      messages: usage.length > 0 ? [{ kind: "usage", usage }] : [],
      outcome: event.status === "error" ? this.#failure(event) : {
        kind: "completed",
        output: this.#prose.answer,
        ...(this.#sessionId ? { sessionId: this.#sessionId } : {}),
      },
    };
  }

  #failure(event: JsonRecord): Outcome {
    const { type, message } = recordOf(event.error);
    const said = textOf(message) || this.#error || "The agent failed and gave no reason";
    const reason = BY_ERROR_TYPE[textOf(type)] ?? reasonInText(said) ??
      BY_WORDS.find(([words]) => words.test(said))?.[1] ?? "agent_error.unknown";
    const wait = waitIn(said);
    const now = Date.parse(textOf(event.timestamp));
    const retryAt = wait === undefined || Number.isNaN(now) ? {} : { retryAt: now + wait };
    return { ...failed(reason, said, this.#sessionId), ...retryAt };
  }
}

const UNIT_MS: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000 };

/** For how long the provider serves nothing more, in ms: the delay of its error's details, or the time its message names. */
function waitIn(text: string): number | undefined {
  const spans = /"retryDelay"\s*:\s*\\?"([\d.]+s)|reset after ((?:[\d.]+[dhms]\s?)+)/.exec(text);
  const parts = [...(spans?.[1] ?? spans?.[2] ?? "").matchAll(/([\d.]+)([dhms])/g)];
  const ms = parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * UNIT_MS[unit!]!, 0);
  return ms > 0 ? Math.ceil(ms) : undefined;
}

/** Of every model it called: it asks a small one which model to use. */
function usageOf(stats: JsonRecord): ModelUsage[] {
  return Object.entries(recordOf(stats.models)).map(([model, value]) => {
    const { input, output_tokens, cached } = recordOf(value);
    return {
      model,
      inputTokens: numberOf(input),
      outputTokens: numberOf(output_tokens),
      cacheReadTokens: numberOf(cached),
      cacheWriteTokens: 0,
      costUsdTicks: 0,
    };
  }).filter((usage) => usage.inputTokens + usage.outputTokens + usage.cacheReadTokens > 0);
}
