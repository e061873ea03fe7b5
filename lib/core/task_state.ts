/** May a task go from X to Y: the states of a task on the coordinator and the only moves between them. */

export const TASK_STATES = [
  "queued",
  "deferred",
  "dispatched",
  "waiting_local_directory",
  "running",
  "completed",
  "failed",
  "cancelled",
] as const;

export type TaskState = typeof TASK_STATES[number];

export const TERMINAL_STATES = ["completed", "failed", "cancelled"] as const satisfies readonly TaskState[];

/** States in which a daemon holds the task: they count against the agent's cap. */
export const ACTIVE_STATES = [
  "dispatched",
  "running",
  "waiting_local_directory",
] as const satisfies readonly TaskState[];

export type TaskEvent =
  | "promote"
  | "claim"
  | "redeliver"
  | "unclaim"
  | "wait-local-directory"
  | "prepare-lease"
  | "start"
  | "complete"
  | "fail"
  | "recover-orphan"
  | "expire-queued"
  | "expire-deferred"
  | "cancel"
  | "pin-session"
  | "cancel-ack";

/** From which states an event moves a task, and where to. An event that is not listed for a state changes nothing. */
const MOVES: Record<TaskEvent, { readonly from: readonly TaskState[]; readonly to: TaskState | "same" }> = {
  promote: { from: ["deferred"], to: "queued" },
  claim: { from: ["queued"], to: "dispatched" },
  redeliver: { from: ["dispatched"], to: "same" },
  unclaim: { from: ["dispatched"], to: "queued" },
  "wait-local-directory": { from: ["dispatched"], to: "waiting_local_directory" },
  "prepare-lease": { from: ["dispatched", "waiting_local_directory"], to: "same" },
  start: { from: ["dispatched", "waiting_local_directory"], to: "running" },
  complete: { from: ["running"], to: "completed" },
  fail: { from: ["dispatched", "running", "waiting_local_directory"], to: "failed" },
  "recover-orphan": { from: ["dispatched", "running", "waiting_local_directory"], to: "failed" },
  "expire-queued": { from: ["queued"], to: "failed" },
  "expire-deferred": { from: ["deferred"], to: "failed" },
  cancel: { from: ["queued", "deferred", "dispatched", "running", "waiting_local_directory"], to: "cancelled" },
  // A cancelled task takes a session only into an empty slot; that guard stands with the update itself.
  "pin-session": { from: ["dispatched", "running", "cancelled"], to: "same" },
  "cancel-ack": { from: ["cancelled"], to: "same" },
};

/** States that hold the one pending place of a thread and agent: a second task waits or is refused. */
export const PENDING_STATES = ["queued", "dispatched"] as const satisfies readonly TaskState[];

/** The states an event acts on; what a conditional UPDATE lists in its WHERE. */
export function statesBefore(event: TaskEvent): readonly TaskState[] {
  return MOVES[event].from;
}

/** The state after an event, or `undefined` where the event does not apply. */
export function stateAfter(state: TaskState, event: TaskEvent): TaskState | undefined {
  const move = MOVES[event];
  if (!move.from.includes(state)) return undefined;
  return move.to === "same" ? state : move.to;
}

export function isTerminal(state: string): boolean {
  return (TERMINAL_STATES as readonly string[]).includes(state);
}
