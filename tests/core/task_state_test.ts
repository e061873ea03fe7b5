/** The moves of a task: every state and every event. */
import { assertEquals } from "@std/assert";
import {
  ACTIVE_STATES,
  isTerminal,
  PENDING_STATES,
  stateAfter,
  statesBefore,
  TASK_STATES,
  type TaskEvent,
  type TaskState,
  TERMINAL_STATES,
} from "../../lib/core/task_state.ts";

/** Per event, the states it moves; an event that is not listed for a state must change nothing. */
const MOVES: Record<TaskEvent, Partial<Record<TaskState, TaskState>>> = {
  promote: { deferred: "queued" },
  claim: { queued: "dispatched" },
  redeliver: { dispatched: "dispatched" },
  unclaim: { dispatched: "queued" },
  "wait-local-directory": { dispatched: "waiting_local_directory" },
  "prepare-lease": { dispatched: "dispatched", waiting_local_directory: "waiting_local_directory" },
  start: { dispatched: "running", waiting_local_directory: "running" },
  complete: { running: "completed" },
  fail: { dispatched: "failed", running: "failed", waiting_local_directory: "failed" },
  "recover-orphan": { dispatched: "failed", running: "failed", waiting_local_directory: "failed" },
  "expire-queued": { queued: "failed" },
  "expire-deferred": { deferred: "failed" },
  cancel: {
    queued: "cancelled",
    deferred: "cancelled",
    dispatched: "cancelled",
    running: "cancelled",
    waiting_local_directory: "cancelled",
  },
  "pin-session": { dispatched: "dispatched", running: "running", cancelled: "cancelled" },
  "cancel-ack": { cancelled: "cancelled" },
};

const EVENTS = Object.keys(MOVES) as TaskEvent[];

Deno.test("stateAfter() moves every state by every event as the protocol says, or not at all", () => {
  for (const event of EVENTS) {
    for (const state of TASK_STATES) assertEquals(stateAfter(state, event), MOVES[event][state], `${state} + ${event}`);
  }
});

Deno.test("statesBefore() lists the states that an event acts on", () => {
  for (const event of EVENTS) {
    const states = TASK_STATES.filter((state) => stateAfter(state, event) !== undefined);
    assertEquals([...statesBefore(event)].sort(), [...states].sort(), event);
  }
});

Deno.test("stateAfter() never moves a task out of its end", () => {
  for (const state of TERMINAL_STATES) {
    for (const event of EVENTS) assertEquals(stateAfter(state, event) ?? state, state, `${state} + ${event}`);
  }
});

Deno.test("isTerminal() knows the ends and no other word", () => {
  assertEquals(TASK_STATES.filter(isTerminal), [...TERMINAL_STATES]);
  assertEquals(["", "done", "Completed"].filter(isTerminal), []);
});

Deno.test("ACTIVE_STATES and PENDING_STATES cover what counts against a cap and what holds a thread's place", () => {
  assertEquals([...ACTIVE_STATES].sort(), TASK_STATES.filter((state) => stateAfter(state, "fail")).sort());
  assertEquals([...PENDING_STATES], ["queued", "dispatched"]);
});
