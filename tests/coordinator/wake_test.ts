/** Wake-ups: which there are, that none before the first read is lost, and that nothing is left behind. */
import { assertEquals } from "@std/assert";
import { deadline } from "@std/async";
import type { Wakeup } from "../../lib/coordinator/coordinator.ts";
import { Topics, Wakeups } from "../../lib/coordinator/wake.ts";
import type { Logger } from "../../lib/core/ports.ts";
import { eventually } from "../support/drover.ts";
import { FakeClock } from "../support/fake_clock.ts";
import * as act from "./actions.ts";
import { countListeners, SILENT, World } from "./world.ts";

/** What a subscriber hears while `fn` runs: kinds, with the name of a task that was mentioned. */
async function heard(world: World, fn: () => Promise<unknown>): Promise<string[]> {
  const stop = new AbortController();
  const wakeups = world.coordinator.subscribe(stop.signal);
  await fn();
  const reading = (async () => {
    const all: Wakeup[] = [];
    for await (const wakeup of wakeups) all.push(wakeup);
    return all;
  })();
  await world.clock.settle();
  stop.abort();
  const words: string[] = [];
  for (const { kind, runtimeId, taskId } of await deadline(reading, 5_000)) {
    assertEquals(runtimeId, world.runtime());
    words.push(taskId ? `${kind} ${await world.aliasOf(taskId)}` : kind);
  }
  return words;
}

Deno.test("subscribe() hears of a task that was queued", async () => {
  await using world = await World.with(["claude"]);
  assertEquals(await heard(world, () => act.submit("a").run(world)), ["task-available a"]);
});

Deno.test("subscribe() hears of a cancelled task, which may also unblock another", async () => {
  await using world = await World.with(["claude"]);
  await act.submit("a").run(world);
  assertEquals(await heard(world, () => act.cancel("a").run(world)), ["task-changed a", "task-available"]);
  assertEquals(await heard(world, () => act.cancel("a").run(world)), []);
});

Deno.test("subscribe() hears of every end of a task, and of its next attempt", async () => {
  await using world = await World.with(["claude"]);
  for (const step of [act.submit("a"), act.claim(), act.start("a")]) await step.run(world);
  assertEquals(await heard(world, () => act.fail("a", "timeout").run(world)), ["task-available a#2", "task-available"]);
  for (const step of [act.claim(), act.start("a#2")]) await step.run(world);
  assertEquals(await heard(world, () => act.complete("a#2").run(world)), ["task-available"]);
  assertEquals(await heard(world, () => act.complete("a#2").run(world)), []);
});

Deno.test("subscribe() hears of a deferred attempt when it falls due", async () => {
  await using world = await World.with(["claude"]);
  for (const step of [act.submit("a"), act.claim(), act.start("a")]) await step.run(world);
  assertEquals(await heard(world, () => act.fail("a", "runtime_offline").run(world)), ["task-available"]);
  assertEquals(await heard(world, () => world.clock.advance(999)), []);
  assertEquals(await heard(world, () => world.clock.advance(1)), ["task-available a#2"]);
});

Deno.test("subscribe() ends when the coordinator closes", async () => {
  const world = await World.with(["claude"]);
  const words: Wakeup[] = [];
  const reading = (async () => {
    for await (const wakeup of world.coordinator.subscribe(new AbortController().signal)) words.push(wakeup);
  })();
  await world.clock.settle();
  await world.coordinator.close();
  await deadline(reading, 5_000);
  assertEquals(words, []);
});

Deno.test("close() forgets deferred wake-ups and the sweep timer", async () => {
  const world = await World.with(["claude"]);
  world.coordinator.start();
  for (const step of [act.submit("a"), act.claim(), act.start("a"), act.fail("a", "runtime_offline")]) {
    await step.run(world);
  }
  assertEquals(world.clock.waiting, 2);
  await world.coordinator.close();
  assertEquals(world.clock.waiting, 0);
});

Deno.test("start() holds no silence against a daemon that it could not have heard", async () => {
  await using world = await World.with(["claude"]);
  for (const step of [act.submit("a"), act.claim(), act.start("a")]) await step.run(world);
  world.coordinator.start();
  // The machine sleeps for a night: the time of day jumps, and no timer of the daemon or the coordinator ran.
  world.clock.shiftWall(8 * 3_600_000);
  await world.clock.advance(140_000);
  assertEquals(await act.status("a").run(world), "running");
  await world.beat();
  await world.clock.advance(120_000);
  assertEquals([await act.status("a").run(world), await act.runtimeState().run(world)], ["running", "online"]);
  // And one that stays away is found out all the same.
  world.clock.shiftWall(8 * 3_600_000);
  await world.clock.advance(210_000);
  await eventually(
    async () => await act.status("a").run(world) === "failed",
    "the task of a daemon that is gone failed",
  );
});

Deno.test("start() sweeps every 30 s", async () => {
  await using world = await World.with(["claude"]);
  world.coordinator.start();
  world.coordinator.start();
  assertEquals(world.clock.waiting, 1);
  for (const step of [act.submit("a"), act.claim()]) await step.run(world);
  world.beating = true;
  await world.advanceTo(331);
  await eventually(async () => await act.status("a").run(world) === "failed", "a sweep found the task");
});

Deno.test("Wakeups.subscribe() keeps hints for a subscriber that is busy, each once", async () => {
  const wakeups = new Wakeups(new FakeClock());
  const stop = new AbortController();
  const heard = wakeups.subscribe(stop.signal)[Symbol.asyncIterator]();
  for (let i = 0; i < 3; i++) wakeups.publish({ kind: "task-available", runtimeId: "r" });
  wakeups.publish({ kind: "task-changed", runtimeId: "r", taskId: "t" });
  assertEquals((await heard.next()).value?.kind, "task-available");
  assertEquals((await heard.next()).value?.kind, "task-changed");
  stop.abort();
  assertEquals(await heard.next(), { done: true, value: undefined });
});

Deno.test("Wakeups.subscribe() leaves nothing behind, however it ends", async () => {
  const wakeups = new Wakeups(new FakeClock());
  const stop = new AbortController();
  const heard = countListeners(stop.signal);
  wakeups.subscribe(stop.signal);
  wakeups.subscribe(AbortSignal.abort());
  assertEquals(wakeups.size, 1);
  wakeups.publish({ kind: "task-available" });
  const third = wakeups.subscribe(stop.signal);
  wakeups.publish({ kind: "task-available" });
  for await (const _ of third) break;
  assertEquals(wakeups.size, 1);
  stop.abort();
  assertEquals([wakeups.size, heard.listeners], [0, 0]);
});

Deno.test("Topics.notify() serves the other followers when one is in trouble", () => {
  const errors: string[] = [];
  const log: Logger = { ...SILENT, error: (message) => errors.push(message) };
  const topics = new Topics(log);
  let served = 0;
  const closed = () => {};
  using _bad = topics.follow("t", {
    changed: () => {
      throw new Error("no");
    },
    closed,
  });
  using _good = topics.follow("t", { changed: () => served++, closed });
  topics.notify("t");
  assertEquals([served, errors.length], [1, 1]);
});
