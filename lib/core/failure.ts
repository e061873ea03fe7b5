/** Why a task failed, as a closed set, and which failures are tried again (the taxonomy of the Multica protocol). */

export const FAILURE_REASONS = [
  "runtime_offline",
  "runtime_recovery",
  "timeout",
  "skill_bundle_unavailable",
  "agent_error.provider_network",
  "queued_expired",
  "runtime_reconnect_timeout",
  "invalid_task_identity",
  "local_directory_error",
  "api_invalid_request",
  "iteration_limit",
  "agent_blocked",
  "cancelled",
  "agent_error.provider_auth_or_access",
  "agent_error.provider_quota_limit",
  "agent_error.provider_capacity_or_rate_limit",
  "agent_error.provider_server_error",
  "agent_error.process_failure",
  "agent_error.empty_or_unparseable_output",
  "agent_error.agent_timeout",
  "agent_error.context_overflow",
  "agent_error.missing_config",
  "agent_error.model_not_found_or_unavailable",
  "agent_error.runtime_version_unsupported",
  "agent_error.runtime_missing_executable",
  "agent_error.unknown",
] as const;

export type FailureReason = typeof FAILURE_REASONS[number];

/** Reasons that only daemons of other makers send. They have rules here because such a daemon may serve this coordinator. */
type PeerReason = "codex_semantic_inactivity" | "codex_resume_oversized" | "agent_fallback_message";

interface Rule {
  /** How many attempts a task may have when it fails like this; 1 = never retried, "task" = the task's own `max_attempts`. */
  readonly ceiling: "task" | number;
  /** How long the next attempt waits, in ms: every one, or only the last permitted one. Without it, none waits. */
  readonly delay?: { readonly ms: number; readonly before: "every-attempt" | "last-attempt" };
  /** The failed session must not be offered again: resuming it would fail the same way. */
  readonly resumeUnsafe?: boolean;
}

/** Only what differs from "never retried, session may be resumed". Source: wire protocol 3.7 and 3.8. */
const RULES: Partial<Record<FailureReason | PeerReason, Rule>> = {
  runtime_offline: { ceiling: "task", delay: { ms: 1_000, before: "every-attempt" } },
  runtime_recovery: { ceiling: "task" },
  timeout: { ceiling: "task" },
  skill_bundle_unavailable: { ceiling: "task" },
  codex_semantic_inactivity: { ceiling: "task", resumeUnsafe: true },
  "agent_error.provider_network": { ceiling: 3, delay: { ms: 5_000, before: "last-attempt" } },
  api_invalid_request: { ceiling: 1, resumeUnsafe: true },
  iteration_limit: { ceiling: 1, resumeUnsafe: true },
  agent_fallback_message: { ceiling: 1, resumeUnsafe: true },
  codex_resume_oversized: { ceiling: 1, resumeUnsafe: true },
  "agent_error.context_overflow": { ceiling: 1, resumeUnsafe: true },
};

/** A peer's text may be the name of something every object inherits ("constructor"), which must not count as a rule. */
function ruleFor(reason: string): Rule | undefined {
  return Object.hasOwn(RULES, reason) ? RULES[reason as FailureReason] : undefined;
}

/** The reason itself when it is one of ours, `agent_error.unknown` for anything else a peer may send. */
export function asFailureReason(text: string): FailureReason {
  return (FAILURE_REASONS as readonly string[]).includes(text) ? text as FailureReason : "agent_error.unknown";
}

export function isResumeUnsafe(reason: string): boolean {
  return ruleFor(reason)?.resumeUnsafe ?? false;
}

export type RetryDecision =
  | { readonly kind: "none"; readonly why: "reason-is-final" | "attempts-spent" }
  | { readonly kind: "retry"; readonly attempt: number; readonly delayMs: number };

/**
 * Whether a task that failed at `attempt` (first = 1) is tried again, and when.
 * `maxAttempts` is the task's own ceiling; 1 or less turns retries off altogether.
 */
export function decideRetry(reason: string, attempt: number, maxAttempts: number): RetryDecision {
  const rule = ruleFor(reason);
  if (!rule || rule.ceiling === 1 || maxAttempts <= 1) return { kind: "none", why: "reason-is-final" };
  const ceiling = rule.ceiling === "task" ? maxAttempts : rule.ceiling;
  if (attempt >= ceiling) return { kind: "none", why: "attempts-spent" };
  const waits = rule.delay?.before === "every-attempt" || attempt + 1 >= ceiling;
  return { kind: "retry", attempt: attempt + 1, delayMs: waits ? rule.delay?.ms ?? 0 : 0 };
}

/**
 * The reason for a provider's HTTP status, where a CLI reports one. `undefined` for a status that says nothing.
 */
export function reasonForStatus(status: number): FailureReason | undefined {
  if (status === 401 || status === 403) return "agent_error.provider_auth_or_access";
  if (status === 402) return "agent_error.provider_quota_limit";
  if (status === 404) return "agent_error.model_not_found_or_unavailable";
  if (status === 413) return "agent_error.context_overflow";
  if (status === 429 || status === 529) return "agent_error.provider_capacity_or_rate_limit";
  if (status === 400 || status === 422) return "api_invalid_request";
  if (status === 408 || status === 504) return "agent_error.provider_network";
  if (status >= 500 && status < 600) return "agent_error.provider_server_error";
  return undefined;
}
