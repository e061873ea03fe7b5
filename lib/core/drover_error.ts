/** Errors that reach a person: a stable code, what happened to what, and what to do next. */

export type ErrorCode =
  | "usage"
  | "not_running"
  | "already_running"
  | "busy"
  | "draining"
  | "drain_deadline"
  | "timeout"
  | "home_unusable"
  | "store_unusable"
  | "config_invalid"
  | "agent_unknown"
  | "no_agent"
  | "task_unknown"
  | "task_ambiguous"
  | "thread_busy"
  | "task_ended"
  | "directory_unusable"
  | "invalid_request"
  | "daemon_failed"
  | "internal";

export class DroverError extends Error {
  override readonly name = "DroverError";
  readonly hint: string | undefined;

  constructor(readonly code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.hint = options.hint;
  }
}
