/** How a turn of Codex failed: from its error codes, from the provider's own answer inside its text, and from words last. */
import { type FailureReason, reasonForStatus } from "../core/failure.ts";
import { type JsonRecord, numberOf, parseRecord, recordOf, textOf } from "./json_fields.ts";
import type { RpcFailure } from "./jsonrpc.ts";
import { METHOD_NOT_FOUND } from "./jsonrpc.ts";

type Reasons = Readonly<Partial<Record<string, FailureReason>>>;

const BY_CODE: Reasons = {
  contextWindowExceeded: "agent_error.context_overflow",
  sessionBudgetExceeded: "iteration_limit",
  usageLimitExceeded: "agent_error.provider_quota_limit",
  rateLimitExceeded: "agent_error.provider_capacity_or_rate_limit",
  flexUnavailable: "agent_error.provider_capacity_or_rate_limit",
  policyCapacityUnavailable: "agent_error.provider_capacity_or_rate_limit",
  serverOverloaded: "agent_error.provider_capacity_or_rate_limit",
  modelNotFound: "agent_error.model_not_found_or_unavailable",
  unauthorized: "agent_error.provider_auth_or_access",
  badRequest: "api_invalid_request",
  internalServerError: "agent_error.provider_server_error",
  sandboxError: "agent_error.process_failure",
  // These four may carry a status, which says more.
  httpConnectionFailed: "agent_error.provider_network",
  responseStreamConnectionFailed: "agent_error.provider_network",
  responseStreamDisconnected: "agent_error.provider_network",
  responseTooManyFailedAttempts: "agent_error.provider_network",
};

/** Of the provider's answer, which becomes the text of an error that Codex has no code for. */
const BY_PROVIDER_ERROR: Reasons = {
  context_length_exceeded: "agent_error.context_overflow",
  insufficient_quota: "agent_error.provider_quota_limit",
  model_not_found: "agent_error.model_not_found_or_unavailable",
  invalid_request_error: "api_invalid_request",
};

const BY_WORDS: readonly (readonly [RegExp, FailureReason])[] = [
  [/^stream disconnected/i, "agent_error.provider_network"],
];

/** A turn's error object. */
export function reasonOfTurn(error: JsonRecord): FailureReason {
  const { code, status } = codeOf(error.codexErrorInfo);
  const message = textOf(error.message);
  const answer = recordOf(parseRecord(message)?.error);
  return reasonForStatus(status) ??
    BY_CODE[code] ??
    BY_PROVIDER_ERROR[textOf(answer.code)] ??
    BY_PROVIDER_ERROR[textOf(answer.type)] ??
    BY_WORDS.find(([pattern]) => pattern.test(message))?.[1] ??
    "agent_error.unknown";
}

/** A code is a word, or an object with the word as its one key. */
function codeOf(info: unknown): { code: string; status: number } {
  if (typeof info === "string") return { code: info, status: 0 };
  const [code = "", detail] = Object.entries(recordOf(info))[0] ?? [];
  return { code, status: numberOf(recordOf(detail).httpStatusCode) };
}

export function describeError(error: JsonRecord): string {
  const [message, details] = [textOf(error.message), textOf(error.additionalDetails)];
  return details && details !== message ? `${message} (${details})` : message || "no reason given";
}

/** Errors of the handshake have one code for nearly everything, so their words have to tell. */
const BY_REFUSAL: readonly (readonly [RegExp, FailureReason])[] = [
  [/failed to load configuration/i, "agent_error.missing_config"],
  [/unknown variant/i, "agent_error.runtime_version_unsupported"],
];

const RESUME_REJECTED =
  /no rollout found|failed to read thread|invalid (thread|session|conversation) id|(thread|session|conversation)[^:]* not found/i;

export interface HandshakeFailure {
  readonly reason: FailureReason;
  readonly detail: string;
  readonly resumeRejected?: true;
}

export function describeHandshake(failure: RpcFailure): HandshakeFailure {
  const { method } = failure;
  if (failure.kind === "timeout") {
    const seconds = Math.round(failure.limitMs / 1000);
    return { reason: "agent_error.agent_timeout", detail: `The agent did not answer ${method} within ${seconds} s` };
  }
  const { code, message } = failure;
  const reason = code === METHOD_NOT_FOUND
    ? "agent_error.runtime_version_unsupported"
    : BY_REFUSAL.find(([pattern]) => pattern.test(message))?.[1] ?? "agent_error.unknown";
  return {
    reason,
    detail: `The agent refused ${method}: ${message} (${code})`,
    ...(method === "thread/resume" && RESUME_REJECTED.test(message) ? { resumeRejected: true } : {}),
  };
}
