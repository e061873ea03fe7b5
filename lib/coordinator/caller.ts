/** Who calls, as a token says it, and which workspaces that opens (wire protocol 0.3). */

/**
 * `machine`: the daemon of the embedded coordinator's own process. `user`: a person, in every workspace of theirs. `daemon`:
 * one daemon in one workspace. `task`: the agent of one task, for what people use, never as a daemon.
 */
export type CallerScope = "machine" | "user" | "daemon" | "task";

export interface Caller {
  readonly scope: CallerScope;
  readonly workspaces: ReadonlySet<string>;
  readonly userId?: string;
  /** Only the runtimes of this daemon. */
  readonly daemonId?: string;
  /** Of whom a task's token speaks. */
  readonly taskId?: string;
  /** Of the token; absent where there is no row of it. */
  readonly tokenId?: string;
}

/** Which scopes may use which part of the interface at all. What is not theirs is answered as if there was no token. */
export const DAEMON_SCOPES: ReadonlySet<CallerScope> = new Set(["machine", "user", "daemon"]);
export const PEOPLE_SCOPES: ReadonlySet<CallerScope> = new Set(["machine", "user", "task"]);
export const OWNER_SCOPES: ReadonlySet<CallerScope> = new Set(["machine", "user"]);

/** Whether a runtime of this workspace and daemon is the caller's business. */
export function mayUse(caller: Caller, row: { readonly workspace_id: string; readonly daemon_id: string }): boolean {
  return caller.workspaces.has(row.workspace_id) &&
    (caller.daemonId === undefined || caller.daemonId === row.daemon_id);
}
