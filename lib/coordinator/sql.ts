/** The states of a task as SQL: conditions built from the state table, so that no query invents a transition of its own. */
import {
  ACTIVE_STATES,
  isTerminal,
  PENDING_STATES,
  statesBefore,
  TASK_STATES,
  type TaskEvent,
  TERMINAL_STATES,
} from "../core/task_state.ts";

/**
 * A chain of OR, as the partial indexes have it: SQLite uses such an index only for the same condition or one link of it,
 * and it builds a temporary table for `IN (…)` in every run of a statement, which is most of the time of a claim.
 */
function statusIs(states: readonly string[], table: string): string {
  const column = table ? `${table}.status` : "status";
  return `(${states.map((state) => `${column} = '${state}'`).join(" OR ")})`;
}

/** The condition every conditional UPDATE carries: zero rows changed means the event came too late. */
export function mayHappen(event: TaskEvent): string {
  return statusIs(statesBefore(event), "");
}

/** The condition of the index `tasks_active`. `table` is the alias in the query. */
export function isActive(table = ""): string {
  return statusIs(ACTIVE_STATES, table);
}

/** Not over yet. */
export function isOpen(table = ""): string {
  return statusIs(TASK_STATES.filter((state) => !isTerminal(state)), table);
}

/** The condition of the unique index `tasks_slot`. */
export function isPending(table = ""): string {
  return statusIs(PENDING_STATES, table);
}

/** The condition of the index `tasks_ended`. */
export function isEnded(table = ""): string {
  return statusIs(TERMINAL_STATES, table);
}
