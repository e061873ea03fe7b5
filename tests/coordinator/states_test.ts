/** Every state of a task against every event that reaches it over the wire: the state table is what happens. */
import { assertEquals } from "@std/assert";
import { isTerminal, stateAfter, TASK_STATES, type TaskEvent, type TaskState } from "../../lib/core/task_state.ts";
import * as act from "./actions.ts";
import { type Action, World } from "./world.ts";

/** How a task called `a`, or its second attempt, gets into a state; the last name is the task meant. */
const ROADS: Record<TaskState, { alias: string; road: Action[] }> = {
  queued: { alias: "a", road: [act.submit("a")] },
  deferred: {
    alias: "a#2",
    road: [act.submit("a"), act.claim(), act.start("a"), act.fail("a", "runtime_offline")],
  },
  dispatched: { alias: "a", road: [act.submit("a"), act.claim()] },
  waiting_local_directory: { alias: "a", road: [act.submit("a"), act.claim(), act.wait("a")] },
  running: { alias: "a", road: [act.submit("a"), act.claim(), act.start("a")] },
  completed: { alias: "a", road: [act.submit("a"), act.claim(), act.start("a"), act.complete("a")] },
  failed: { alias: "a", road: [act.submit("a"), act.claim(), act.start("a"), act.fail("a", "agent_error.unknown")] },
  cancelled: { alias: "a", road: [act.submit("a"), act.cancel("a")] },
};

interface WireEvent {
  readonly event: TaskEvent;
  readonly act: (alias: string) => Action;
  /** Refused with 400 where it does not apply; the others answer 200 with the row as it is. */
  readonly strict?: boolean;
}

const EVENTS: WireEvent[] = [
  { event: "start", act: act.start, strict: true },
  { event: "wait-local-directory", act: act.wait, strict: true },
  { event: "prepare-lease", act: act.lease, strict: true },
  { event: "complete", act: act.complete },
  { event: "fail", act: (alias) => act.fail(alias, "agent_error.unknown") },
  { event: "cancel", act: act.cancel },
];

for (const state of TASK_STATES) {
  for (const { event, act: make, strict } of EVENTS) {
    const after = stateAfter(state, event);
    const answer = after ?? (strict ? 400 : state);
    Deno.test(`A ${state} task answers ${event} with ${answer}`, async () => {
      await using world = await World.with(["claude"]);
      const { alias, road } = ROADS[state];
      for (const step of road) await step.run(world);
      assertEquals(await act.status(alias).run(world), state);
      const before = await world.viewOf(await world.id(alias));
      assertEquals(await make(alias).run(world), answer);
      assertEquals(await act.status(alias).run(world), after ?? state);
      if (isTerminal(state)) assertEquals(await world.viewOf(await world.id(alias)), before);
    });
  }
}

for (const state of TASK_STATES) {
  const after = stateAfter(state, "recover-orphan") ?? state;
  Deno.test(`A ${state} task is ${after} after recover-orphans of its runtime`, async () => {
    await using world = await World.with(["claude"]);
    const { alias, road } = ROADS[state];
    for (const step of road) await step.run(world);
    await act.recover().run(world);
    assertEquals(await act.status(alias).run(world), after);
  });
}
