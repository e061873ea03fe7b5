/** Which exit code: one table from error codes and task outcomes to what scripts can rely on. */
import type { ErrorCode } from "../core/drover_error.ts";
import { SUPERVISED_EXIT } from "../core/service_unit_spec.ts";

export interface ExitCodeRow {
  readonly code: number;
  readonly meaning: string;
}

/** Shown in the README; a test compares the two. */
export const EXIT_CODES = {
  ok: { code: 0, meaning: "done; for `run`: the task completed" },
  unexpected: { code: 1, meaning: "unexpected error; `doctor`: it found a problem" },
  usage: { code: 2, meaning: "wrong usage: unknown command, option or value" },
  notRunning: { code: 3, meaning: "no daemon is running, or it went away" },
  busy: { code: 4, meaning: "another drover holds the home, or is starting or ending" },
  timeout: { code: 5, meaning: "a deadline passed" },
  unmanaged: { code: 6, meaning: "a process that drover did not start, or cannot identify, holds the home" },
  version: { code: 7, meaning: "this drover and the daemon are of versions that cannot work together" },
  drainDeadline: { code: 8, meaning: "`stop`: tasks still run at the deadline; the daemon goes on draining" },
  preflight: { code: 9, meaning: "nothing to run with: no agent CLI, a directory or a program that cannot be used" },
  breaker: { code: 10, meaning: "the daemon failed to start too often; it is not tried again for a while" },
  home: { code: 11, meaning: "the home or a store in it cannot be used" },
  unknown: { code: 12, meaning: "no such task, agent or runtime" },
  conflict: {
    code: 13,
    meaning: "the task, conversation or runtime is in a state that does not allow this; `update`: refused",
  },
  login: { code: 14, meaning: "not logged in at the server, or not any more" },
  server: { code: 15, meaning: "the server cannot be reached, or is none" },
  taskFailed: { code: 20, meaning: "`run`, `tasks follow`: the task failed" },
  taskCancelled: { code: 21, meaning: "`run`, `tasks follow`: the task was cancelled" },
  config: { code: SUPERVISED_EXIT.config, meaning: "a setting cannot be used" },
  restartMe: {
    code: SUPERVISED_EXIT.restart,
    meaning: "`daemon --supervised`: to be started again, of what is installed now",
  },
  stoodDown: { code: SUPERVISED_EXIT.stoodDown, meaning: "`daemon --supervised`: not to be started again for now" },
  interrupted: { code: 130, meaning: "ended by ctrl-C" },
} as const satisfies Record<string, ExitCodeRow>;

const BY_ERROR: Record<ErrorCode, ExitCodeRow> = {
  usage: EXIT_CODES.usage,
  invalid_request: EXIT_CODES.usage,
  not_running: EXIT_CODES.notRunning,
  already_running: EXIT_CODES.busy,
  busy: EXIT_CODES.busy,
  draining: EXIT_CODES.busy,
  timeout: EXIT_CODES.timeout,
  unmanaged: EXIT_CODES.unmanaged,
  version_conflict: EXIT_CODES.version,
  breaker_open: EXIT_CODES.breaker,
  binary_unusable: EXIT_CODES.preflight,
  drain_deadline: EXIT_CODES.drainDeadline,
  platform_unsupported: EXIT_CODES.preflight,
  no_agent: EXIT_CODES.preflight,
  agent_paused: EXIT_CODES.preflight,
  claims_paused: EXIT_CODES.preflight,
  directory_unusable: EXIT_CODES.preflight,
  home_unusable: EXIT_CODES.home,
  store_unusable: EXIT_CODES.home,
  agent_unknown: EXIT_CODES.unknown,
  task_unknown: EXIT_CODES.unknown,
  profile_unknown: EXIT_CODES.unknown,
  task_ambiguous: EXIT_CODES.conflict,
  thread_busy: EXIT_CODES.conflict,
  task_ended: EXIT_CODES.conflict,
  not_asked: EXIT_CODES.conflict,
  profile_exists: EXIT_CODES.conflict,
  profile_busy: EXIT_CODES.conflict,
  config_invalid: EXIT_CODES.config,
  login_needed: EXIT_CODES.login,
  login_refused: EXIT_CODES.login,
  server_unreachable: EXIT_CODES.server,
  daemon_failed: EXIT_CODES.unexpected,
  service_failed: EXIT_CODES.unexpected,
  checkout_failed: EXIT_CODES.unexpected,
  not_installed: EXIT_CODES.conflict,
  policy_refused: EXIT_CODES.conflict,
  update_failed: EXIT_CODES.unexpected,
  update_refused: EXIT_CODES.conflict,
  internal: EXIT_CODES.unexpected,
};

export function exitCodeFor(code: string): number {
  return (BY_ERROR[code as ErrorCode] ?? EXIT_CODES.unexpected).code;
}

const BY_STATUS: Record<string, ExitCodeRow> = {
  completed: EXIT_CODES.ok,
  failed: EXIT_CODES.taskFailed,
  cancelled: EXIT_CODES.taskCancelled,
};

/** For a task that has ended. */
export function exitCodeForTask(status: string): number {
  return (BY_STATUS[status] ?? EXIT_CODES.unexpected).code;
}
