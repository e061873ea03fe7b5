/** Why a provider refused, from its own error codes, also where a CLI passes these on only inside a text. */
import { type FailureReason, reasonForStatus } from "../core/failure.ts";
import { isRecord, type JsonRecord, numberOf, parseRecord, textOf } from "./json_fields.ts";

/** Anthropic's types, OpenAI's codes and types, and the status names of Google's APIs. */
const BY_CODE: Partial<Record<string, FailureReason>> = {
  authentication_error: "agent_error.provider_auth_or_access",
  permission_error: "agent_error.provider_auth_or_access",
  billing_error: "agent_error.provider_quota_limit",
  not_found_error: "agent_error.model_not_found_or_unavailable",
  request_too_large: "agent_error.context_overflow",
  rate_limit_error: "agent_error.provider_capacity_or_rate_limit",
  overloaded_error: "agent_error.provider_capacity_or_rate_limit",
  invalid_request_error: "api_invalid_request",
  timeout_error: "agent_error.provider_network",
  api_error: "agent_error.provider_server_error",
  invalid_api_key: "agent_error.provider_auth_or_access",
  insufficient_quota: "agent_error.provider_quota_limit",
  rate_limit_exceeded: "agent_error.provider_capacity_or_rate_limit",
  context_length_exceeded: "agent_error.context_overflow",
  model_not_found: "agent_error.model_not_found_or_unavailable",
  server_error: "agent_error.provider_server_error",
  UNAUTHENTICATED: "agent_error.provider_auth_or_access",
  PERMISSION_DENIED: "agent_error.provider_auth_or_access",
  NOT_FOUND: "agent_error.model_not_found_or_unavailable",
  RESOURCE_EXHAUSTED: "agent_error.provider_capacity_or_rate_limit",
  INVALID_ARGUMENT: "api_invalid_request",
  DEADLINE_EXCEEDED: "agent_error.provider_network",
  UNAVAILABLE: "agent_error.provider_server_error",
  INTERNAL: "agent_error.provider_server_error",
};

export function reasonForCode(code: unknown): FailureReason | undefined {
  return typeof code === "string" && Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : undefined;
}

/** Of an error as the provider sent it. Its code comes before its status: a prompt that is too long is also a status 400. */
export function reasonForError(error: JsonRecord): FailureReason | undefined {
  const { code, type, status } = isRecord(error.error) ? error.error : error;
  return reasonForCode(code) ?? reasonForStatus(numberOf(code)) ?? reasonForCode(type) ?? reasonForCode(status);
}

/** The JSON object in a text; empty when there is none. */
export function errorInText(text: string): JsonRecord {
  return parseRecord(text.slice(text.indexOf("{"), text.lastIndexOf("}") + 1)) ?? {};
}

/** Of a text that holds the provider's error: a status in front, its JSON, or the name of a status at the end. */
export function reasonInText(text: string): FailureReason | undefined {
  const status = Number(/^(\d{3})\b/.exec(text)?.[1]);
  const name = /\(Status: (\w+)\)/.exec(text)?.[1];
  return reasonForError(errorInText(text)) ?? reasonForStatus(status) ?? reasonForCode(textOf(name));
}
