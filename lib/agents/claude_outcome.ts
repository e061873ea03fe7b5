/** How a run of Claude ended: from the fields of its `result` line, never from the words in it. */
import { type FailureReason, reasonForStatus } from "../core/failure.ts";
import type { Outcome } from "../core/message.ts";
import type { ModelUsage } from "../core/model.ts";
import { type JsonRecord, listOf, numberOf, recordOf, textOf } from "./json_fields.ts";
import { reasonForCode } from "./provider_error.ts";
import { failed } from "./session.ts";

const TICKS_PER_USD = 1e10;

/** What was seen of the run before its result. */
export interface Seen {
  readonly sessionId: string | undefined;
  readonly model: string;
  readonly lastText: string;
  readonly failure: string;
  readonly unreadable: string;
  /** The provider said that a quota is used up until then, in ms since 1970. */
  readonly quotaUntil: number | undefined;
}

/** `subtype` says "success" even when the provider failed; `is_error` is what counts. Older versions do it the other way round. */
export function outcomeOfResult(result: JsonRecord, seen: Seen, { resumed = false } = {}): Outcome {
  const { sessionId, lastText, quotaUntil } = seen;
  const isError = result.is_error === true || textOf(result.subtype).startsWith("error");
  const said = textOf(result.result);
  if (isError) {
    const reason = reasonOf(result, seen);
    const detail = describeFailure(result, seen);
    if (resumed && sessionId === undefined && isUnknownSession(result)) {
      return { ...failed(reason, detail), resumeRejected: true };
    }
    const isQuota = quotaUntil !== undefined && LIMITS.has(reason);
    return isQuota
      ? { ...failed("agent_error.provider_quota_limit", detail, sessionId), retryAt: quotaUntil }
      : failed(reason, detail, sessionId);
  }
  return { kind: "completed", output: said || lastText, ...(sessionId ? { sessionId } : {}) };
}

/** What a used-up quota looks like by its status alone. */
const LIMITS: ReadonlySet<FailureReason> = new Set([
  "agent_error.provider_capacity_or_rate_limit",
  "agent_error.provider_quota_limit",
]);

/** Nothing else than these words tells it from a session that broke. */
function isUnknownSession(result: JsonRecord): boolean {
  return listOf(result.errors).some((error) => /No conversation found/i.test(textOf(error)));
}

const BY_TERMINAL_REASON: Partial<Record<string, FailureReason>> = {
  prompt_too_long: "agent_error.context_overflow",
  max_turns: "iteration_limit",
};

const BY_SUBTYPE: Partial<Record<string, FailureReason>> = { error_max_turns: "iteration_limit" };

const BY_API_ERROR: Partial<Record<string, FailureReason>> = {
  connection_failed: "agent_error.provider_network",
  no_response: "agent_error.provider_network",
  stream_idle_timeout: "agent_error.provider_network",
  computer_slept: "agent_error.provider_network",
};

/** Of the last message, for what fails before any request, such as a missing login; the result itself says nothing then. */
const BY_FAILURE: Partial<Record<string, FailureReason>> = {
  authentication_failed: "agent_error.provider_auth_or_access",
  oauth_org_not_allowed: "agent_error.provider_auth_or_access",
  cloud_credential_error: "agent_error.provider_auth_or_access",
  account_on_hold: "agent_error.provider_auth_or_access",
  verification_required: "agent_error.provider_auth_or_access",
  billing_error: "agent_error.provider_quota_limit",
  rate_limit: "agent_error.provider_capacity_or_rate_limit",
  overloaded: "agent_error.provider_capacity_or_rate_limit",
  model_not_found: "agent_error.model_not_found_or_unavailable",
  server_error: "agent_error.provider_server_error",
};

/** The most specific field first: a prompt that is too long is also a status 400. */
function reasonOf(result: JsonRecord, seen: Seen): FailureReason {
  return BY_TERMINAL_REASON[textOf(result.terminal_reason)] ??
    BY_SUBTYPE[textOf(result.subtype)] ??
    reasonForStatus(numberOf(result.api_error_status)) ??
    BY_API_ERROR[textOf(result.api_error)] ??
    // For failures inside a stream that began with status 200.
    reasonForCode(result.api_error_type) ??
    BY_FAILURE[seen.failure] ??
    "agent_error.unknown";
}

function describeFailure(result: JsonRecord, { unreadable }: Seen): string {
  const reason = textOf(result.terminal_reason) || textOf(result.subtype) || "no reason given";
  const errors = listOf(result.errors).map(textOf).filter(Boolean);
  const said = textOf(result.result) || [`The agent failed (${reason})`, ...errors].join("\n");
  return [said, unreadable].filter(Boolean).join("\n");
}

/**
 * The tokens of this run, per model. In a resumed session `modelUsage` counts the earlier runs too, which would be
 * billed twice; versions that tell the difference do so in a field of its own.
 */
export function usageOfResult(result: JsonRecord, seen: Seen, resumed: boolean): ModelUsage[] {
  const perModel = [result.model_usage_since_last_result, ...(resumed ? [] : [result.modelUsage])]
    .map(recordOf).find((usage) => Object.keys(usage).length > 0);
  const usages = perModel
    ? Object.entries(perModel).map(([model, usage]) => modelUsage(model, recordOf(usage)))
    : [plainUsage(seen.model, recordOf(result.usage))];
  return usages.filter((usage) => usage.inputTokens + usage.outputTokens + usage.cacheReadTokens > 0);
}

function modelUsage(model: string, usage: JsonRecord): ModelUsage {
  return {
    model,
    inputTokens: numberOf(usage.inputTokens),
    outputTokens: numberOf(usage.outputTokens),
    cacheReadTokens: numberOf(usage.cacheReadInputTokens),
    cacheWriteTokens: numberOf(usage.cacheCreationInputTokens),
    costUsdTicks: Math.round(numberOf(usage.costUSD) * TICKS_PER_USD),
  };
}

function plainUsage(model: string, usage: JsonRecord): ModelUsage {
  return {
    model: model || "unknown",
    inputTokens: numberOf(usage.input_tokens),
    outputTokens: numberOf(usage.output_tokens),
    cacheReadTokens: numberOf(usage.cache_read_input_tokens),
    cacheWriteTokens: numberOf(usage.cache_creation_input_tokens),
    costUsdTicks: 0,
  };
}
