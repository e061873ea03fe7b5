/** Why a run over the Agent Client Protocol failed: from its error codes and stop reasons, and from words where an agent gives nothing else. */
import { type FailureReason, reasonForStatus } from "../core/failure.ts";
import type { AcpError } from "./acp_options.ts";
import { recordOf, textOf } from "./json_fields.ts";
import { INVALID_PARAMS, METHOD_NOT_FOUND } from "./jsonrpc.ts";
import { reasonInText } from "./provider_error.ts";

/** The protocol's own codes. */
const AUTHENTICATION_REQUIRED = -32_000;
export const RESOURCE_NOT_FOUND = -32_002;

/** Most agents put the provider's answer into a text and leave its status nowhere else. */
const STATUS_IN_TEXT = /(?:^|: |\b(?:status|error|code|http)\b\W{0,3})([45]\d\d)\b/i;

/** For what no status came with; the first that fits. */
const WORDS: readonly (readonly [RegExp, FailureReason])[] = [
  [/context (?:length|window)|prompt is too long|maximum context|too many tokens/i, "agent_error.context_overflow"],
  [/\bquota\b|\bbilling\b|insufficient (?:balance|credit|funds)|usage limit/i, "agent_error.provider_quota_limit"],
  [/rate.?limit|too many requests|overloaded|high demand/i, "agent_error.provider_capacity_or_rate_limit"],
  [
    /unauthori[sz]ed|authenticat|not logged in|log ?in again|(?:invalid|incorrect|missing) api.?key/i,
    "agent_error.provider_auth_or_access",
  ],
  [/missing environment variable|\bno (?:model|provider) (?:is )?configured/i, "agent_error.missing_config"],
  [/\bmodel\b.{0,80}\bnot (?:found|exist|configured|supported)/i, "agent_error.model_not_found_or_unavailable"],
  [
    /ECONN|ENOTFOUND|ETIMEDOUT|EAI_AGAIN|fetch failed|connection (?:error|refused|reset)|socket hang up|stream disconnected|error sending request/i,
    "agent_error.provider_network",
  ],
];

export function reasonInWords(text: string): FailureReason | undefined {
  return reasonInText(text) ?? reasonForStatus(Number(STATUS_IN_TEXT.exec(text)?.[1])) ??
    WORDS.find(([pattern]) => pattern.test(text))?.[1];
}

/** What is said of an error, in all the places where agents put it. */
export function textOfError({ message, data }: AcpError): string {
  const fields = recordOf(data);
  const more = [data, fields.details, fields.message, recordOf(fields.error).message].map(textOf).filter(Boolean);
  return [message, ...new Set(more)].filter((text, at, all) => !all.slice(0, at).some((said) => said.includes(text)))
    .join(": ");
}

export function reasonForAcpError(error: AcpError): FailureReason {
  // The words first: "Internal error" is what most agents call any failure of the provider.
  const ofProvider = [...Object.values(recordOf(error.data)), error.data, error.message].map(textOf)
    .map(reasonInWords).find(Boolean);
  if (ofProvider) return ofProvider;
  switch (error.code) {
    case AUTHENTICATION_REQUIRED:
      return "agent_error.provider_auth_or_access";
    case METHOD_NOT_FOUND:
    case INVALID_PARAMS:
      return "agent_error.runtime_version_unsupported";
    default:
      return "agent_error.unknown";
  }
}

/** Of a turn that ended otherwise than with `end_turn`. */
export const STOP_REASONS: Partial<Record<string, { readonly reason: FailureReason; readonly detail: string }>> = {
  cancelled: { reason: "cancelled", detail: "The agent ended its turn as cancelled, though nobody here cancelled it" },
  refusal: { reason: "agent_error.unknown", detail: "The agent refused to go on" },
  max_tokens: { reason: "agent_error.context_overflow", detail: "The agent came to the limit of its tokens" },
  max_turn_requests: { reason: "iteration_limit", detail: "The agent came to its limit of model calls in one turn" },
};
