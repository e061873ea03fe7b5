/** The daemon's conformance checklist: whose turn a task is, what it goes on with, and what is tried again. */
import { assert, assertEquals } from "@std/assert";
import { conform } from "./conformance_world.ts";

const SLOTS = { daemon: { slots: 4 } };

conform("Daemon is given no third task of an agent that may have two, before one is over", async (w) => {
  await w.side.setCap((await w.runtime()).id, 2);
  const tasks = [await w.enqueue(), await w.enqueue(), await w.enqueue()];
  await w.agent(1);
  await w.pass(60_000);
  assertEquals([await w.statuses(tasks), w.agents.started.length], [["running", "running", "queued"], 2]);
  w.agents.started[1]!.end();
  const third = await w.agent(2);
  assertEquals([third.task!.id, (await w.statuses(tasks)).includes("queued")], [tasks[2]!, false]);
  for (const agent of [w.agents.started[0]!, third]) agent.end();
  for (const task of tasks) await w.is(task, "completed");
}, SLOTS);

conform("Daemon works on one issue with one agent at a time", async (w) => {
  const first = await w.enqueue();
  const one = await w.agent();
  const second = await w.enqueue({ after: first });
  const other = await w.enqueue();
  assertEquals((await w.agent(1)).task!.id, other);
  await w.pass(60_000);
  assertEquals(await w.statuses([first, second, other]), ["running", "queued", "running"]);
  one.end();
  assertEquals((await w.agent(2)).task!.id, second);
  assertEquals((await w.side.task(first)).status, "completed");
  for (const agent of w.agents.started) agent.end();
  for (const task of [second, other]) await w.is(task, "completed");
}, SLOTS);

conform("Daemon goes on with an issue in its session and its directory", async (w) => {
  const first = await w.enqueue();
  const one = await w.agent();
  await Deno.writeTextFile(`${one.request.cwd}/kept`, "");
  one.end({ kind: "completed", output: "done", sessionId: "s-1" });
  await w.is(first, "completed");
  const second = await w.enqueue({ after: first });
  const two = await w.agent(1);
  assertEquals([two.task!.resumeSession, two.request.cwd], ["s-1", one.request.cwd]);
  assert(await Deno.stat(`${two.request.cwd}/kept`));
  // The agent begins anew by itself: what counts from then on is what it said last.
  two.end({ kind: "completed", output: "done", sessionId: "s-2" });
  await w.is(second, "completed");
  const third = await w.enqueue({ after: second });
  const three = await w.agent(2);
  assertEquals([three.task!.resumeSession, three.request.cwd], ["s-2", one.request.cwd]);
  three.end();
  await w.is(third, "completed");
});

conform("Daemon kills the agent of a cancelled task within 5 s, confirms that, and reports no result", async (w) => {
  const task = await w.enqueue();
  const agent = await w.agent();
  await w.side.cancel(task);
  await w.clock.advance(5_000);
  await w.until("the agent is stopped", () => agent.stops > 0);
  await w.later("that is confirmed", () => w.line.count(`/${task}/cancel-ack`) === 1);
  await w.idle();
  assertEquals([w.line.count("/complete"), w.line.count("/fail")], [0, 0]);
  assertEquals((await w.side.task(task)).status, "cancelled");
});

conform("Daemon takes up a task that is tried again, where the first attempt was", async (w) => {
  const task = await w.enqueue();
  const one = await w.agent();
  one.end({ kind: "failed", reason: "timeout", detail: "too slow", sessionId: "s-1" });
  assertEquals((await w.is(task, "failed")).failureReason, "timeout");
  const second = await w.side.repeated(task);
  assert(second, "the next attempt is there in the same moment");
  const two = await w.agent(1);
  assertEquals([two.task!.id, two.task!.resumeSession, two.request.cwd], [second, "s-1", one.request.cwd]);
  two.end();
  assertEquals((await w.is(second, "completed")).attempt, 2);
});

conform("Daemon hears no more of a task that failed for good", async (w) => {
  const task = await w.enqueue();
  (await w.agent()).end({ kind: "failed", reason: "agent_error.unknown", detail: "no" });
  assertEquals((await w.is(task, "failed")).failureReason, "agent_error.unknown");
  await w.pass(60_000);
  assertEquals([await w.side.repeated(task), w.agents.started.length], [undefined, 1]);
});
