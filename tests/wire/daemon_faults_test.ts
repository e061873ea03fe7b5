/** A server that fails, delays, cuts, loses and doubles every fifth answer over both transports: each task ends once, and none runs twice. */
import { assert, assertEquals } from "@std/assert";
import { randomFrom, seedOfRun } from "../core/seed.ts";
import type { Clock } from "../../lib/core/ports.ts";
import { TeamWorld } from "../daemon/team_world.ts";
import { isLong } from "../support/length.ts";
import type { FakeFault } from "../support/fake_multica.ts";
import type { FakeTask } from "../support/fake_multica_tasks.ts";

/** DROVER_TEST_TASKS sets another number. */
const TASKS = Number(Deno.env.get("DROVER_TEST_TASKS") ?? (isLong() ? 10_000 : 60));
const SHARE = 0.2;
/** Longer than the daemon waits for most answers. */
const LATE_MS = 8_000;
/** So many wait at once: the server looks through all of them for each claim. */
const WAVE = 100;
const LIMIT_MS = 6 * 60 * 60_000 + TASKS * 10_000;

const reset = (when: string) => new TypeError(`Connection reset ${when}`);
const later = (clock: Clock, ms: number) => new Promise<void>((resolve) => void clock.after(ms, resolve));

/**
 * What no proxy may repeat: messages would stand there twice, and the second answer to a start is that of a task which runs
 * elsewhere, so that nobody would run it.
 */
const ONLY_ONCE = /\/(messages|start)$/;

/** Ways in which one call goes wrong; each as likely as the others. */
const FAULTS:
  readonly ((real: () => Promise<Response>, clock: Clock, route: string) => Response | Promise<Response>)[] = [
    () => Promise.reject(reset("before the request")),
    () => Response.json({ error: "database" }, { status: 500 }),
    async (real) => {
      await (await real()).body?.cancel();
      throw reset("after the request");
    },
    async (real) => {
      await (await real()).body?.cancel();
      return new Response("Bad Gateway", { status: 502 });
    },
    // Done, and told when the caller may have given up long ago.
    async (real, clock) => {
      const response = await real();
      await later(clock, LATE_MS);
      return response;
    },
    // A proxy that was not sure: what may be done twice is done twice, and the second answer comes back.
    async (real, _, route) => {
      if (!ONLY_ONCE.test(route)) await (await real()).body?.cancel();
      return await real();
    },
  ];

const RPC_FAULTS = ["lost-answer", "unheard", "doubled-answer"] as const;

function faultsFrom(random: () => number, clock: Clock): FakeFault {
  return ({ route }, real) => {
    if (random() >= SHARE) return undefined;
    return FAULTS[Math.floor(random() * FAULTS.length)]!(real, clock, route);
  };
}

const isOver = ({ status }: FakeTask) => ["completed", "failed", "cancelled"].includes(status);

Deno.test("Daemon ends each task once and runs none twice while every fifth answer fails, is late, cut, lost or doubled", async () => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  await using w = await TeamWorld.started({ found: ["bot", "pup"], daemon: { slots: 6 } });
  const names = ["bot", "pup"] as const;
  const tasks: FakeTask[] = [];
  const enqueue = () => {
    for (let n = 0; n < WAVE && tasks.length < TASKS; n++) {
      tasks.push(w.server.enqueue(w.server.runtimeOf(names[n % 2]!).id));
    }
  };
  enqueue();
  w.server.fault = faultsFrom(random, w.clock);
  const ended = new Set<unknown>();
  const end = w.clock.monotonic() + LIMIT_MS;
  // What is over stays over: of very many tasks only the others are looked at.
  const over = new Set<string>();
  const left = () => {
    const open = [...w.server.tasks.all.values()].filter(({ id }) => !over.has(id));
    for (const task of open) if (isOver(task)) over.add(task.id);
    return open.filter(({ id }) => !over.has(id));
  };
  while (left().length > 0) {
    if (left().length < WAVE / 2) enqueue();
    assert(w.clock.monotonic() < end, `seed ${seed}: never ended ${JSON.stringify(left())}`);
    w.server.hub.rpcFault = random() < SHARE ? RPC_FAULTS[Math.floor(random() * RPC_FAULTS.length)] : undefined;
    if (random() < 0.02) w.server.hub.cut();
    const running = w.agents.started.filter((agent) => agent.task && !ended.has(agent));
    const ids = running.map(({ task }) => task!.id);
    assertEquals(new Set(ids).size, ids.length, `seed ${seed}: two agents work on one task`);
    for (const agent of running) {
      agent.say({ kind: "text", text: "at it" });
      ended.add(agent);
      agent.end();
    }
    await w.clock.advance(2_000);
  }
  w.server.fault = undefined;
  await w.idle();
  // The last of the late answers.
  await w.clock.advance(LATE_MS);
  const all = [...w.server.tasks.all.values()];
  const families = Map.groupBy(all, ({ id, more }) => String(more.parent_task_id ?? id));
  const starts = Map.groupBy(w.agents.started, ({ task }) => task?.id);
  for (const task of tasks) {
    const family = families.get(task.id) ?? [];
    assertEquals(family.filter(({ status }) => status === "completed").length, 1, `seed ${seed}: ${task.id}`);
    const runs = starts.get(task.id)?.length ?? 0;
    assert(runs <= 1 && task.starts <= 1, `seed ${seed}: ${runs} runs of ${task.id}`);
  }
  // What a start's lost answer leads to is asked again and refused; that is the one illegal move that must not hurt.
  const only = w.server.violations.filter((one) => !one.startsWith("start of a task that is running"));
  w.server.violations.length = 0;
  assertEquals(only, [], `seed ${seed}`);
});
