/** Errors that reach a person: a stable code, what happened to what, and what to do next. */

export type ErrorCode =
  | "usage"
  | "not_running"
  | "already_running"
  | "busy"
  | "draining"
  | "drain_deadline"
  | "timeout"
  | "unmanaged"
  | "version_conflict"
  | "breaker_open"
  | "binary_unusable"
  | "home_unusable"
  | "store_unusable"
  | "config_invalid"
  | "login_needed"
  | "login_refused"
  | "server_unreachable"
  | "agent_unknown"
  | "no_agent"
  | "agent_paused"
  | "claims_paused"
  | "task_unknown"
  | "task_ambiguous"
  | "thread_busy"
  | "task_ended"
  | "not_asked"
  | "profile_unknown"
  | "profile_exists"
  | "profile_busy"
  | "directory_unusable"
  | "invalid_request"
  | "daemon_failed"
  | "service_failed"
  | "checkout_failed"
  | "platform_unsupported"
  | "not_installed"
  | "policy_refused"
  | "update_failed"
  | "update_refused"
  | "internal";

/** Codes of what may well be over in a moment: the same command again is a sensible thing to do. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  "already_running",
  "breaker_open",
  "busy",
  "drain_deadline",
  "draining",
  "server_unreachable",
  "thread_busy",
  "timeout",
]);

/** The step of a verb that failed; for scripts, which branch on it where the code alone does not tell. */
export type ErrorPhase = "lock" | "look" | "handshake" | "preflight" | "drain" | "signal" | "launch";

export interface DroverErrorOptions {
  readonly hint?: string;
  readonly phase?: ErrorPhase;
  /** What the message says, as data. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

export class DroverError extends Error {
  override readonly name = "DroverError";
  readonly hint: string | undefined;
  readonly phase: ErrorPhase | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(readonly code: ErrorCode, message: string, options: DroverErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.hint = options.hint;
    this.phase = options.phase;
    this.details = options.details ?? {};
  }

  get retryable(): boolean {
    return PASSING.has(this.code);
  }
}
