/** The poller: slots before claims, fair between runtimes and servers, and no wake-up lost. */
import { assert, assertEquals } from "@std/assert";
import type { Connection } from "../../lib/daemon/connection.ts";
import type { Consent } from "../../lib/daemon/daemon_contract.ts";
import { createPoller, type Poller, type PollerOptions } from "../../lib/daemon/poller.ts";
import { createPool, type Pool, type Slot } from "../../lib/daemon/pool.ts";
import type { ClaimedTask } from "../../lib/wire/payloads.ts";
import type { CallResult } from "../../lib/wire/retry.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { claimed, fakeConnection, LOST, ok, refused } from "./fake_connection.ts";
import { type KeptLog, keptLog } from "./kept_log.ts";

interface Asked {
  readonly connection: string;
  readonly runtimeIds: readonly string[];
  readonly maxTasks: number;
}

type Claims = (
  asked: Asked,
  nth: number,
) => CallResult<readonly ClaimedTask[]> | Promise<CallResult<readonly ClaimedTask[]>>;

interface World extends AsyncDisposable {
  readonly clock: FakeClock;
  readonly pool: Pool;
  readonly poller: Poller;
  readonly log: KeptLog;
  readonly asked: Asked[];
  readonly started: { task: string; connection: string; slot: Slot }[];
  /** Ends the run of a task, which frees its slot. */
  finish(task: string): void;
}

function consentTo(watched: (workspace: string) => boolean): Consent {
  return {
    watched: (id) => watched(id) ? { policy: "ask" } : undefined,
    found() {},
    onChange: () => ({ [Symbol.dispose]() {} }),
  };
}

function world(
  claims: Claims,
  options: Partial<PollerOptions> & {
    slots?: number;
    runtimes?: string[];
    names?: string[];
    watched?: (workspace: string) => boolean;
  } = {},
): World {
  const clock = new FakeClock();
  const pool = createPool(options.slots ?? 2);
  const log = keptLog();
  const asked: Asked[] = [];
  const started: World["started"] = [];
  const connections: Connection[] = (options.names ?? ["one"]).map((name) =>
    fakeConnection({
      name,
      runtimes: options.runtimes ?? ["r"],
      ...(options.watched ? { consent: consentTo(options.watched) } : {}),
      client: {
        async claim(body, waiting) {
          asked.push({ connection: name, runtimeIds: body.runtimeIds, maxTasks: body.maxTasks });
          const aborted = new Promise<CallResult<readonly ClaimedTask[]>>((resolve) =>
            waiting?.signal?.addEventListener("abort", () => resolve({ ...LOST, code: "aborted" }))
          );
          return await Promise.race([claims(asked.at(-1)!, asked.length), aborted]);
        },
      },
    })
  );
  const active = new Set<string>();
  const poller = createPoller({
    connections,
    pool,
    clock,
    log,
    daemonId: "d",
    claimsOpen: () => true,
    outboxDegraded: () => false,
    isActive: (task) => active.has(task),
    run: (task, connection, slot) => {
      active.add(task.id);
      started.push({ task: task.id, connection: connection.name, slot });
    },
    ...options,
  });
  const stop = new AbortController();
  const running = poller.run(stop.signal);
  return {
    clock,
    pool,
    poller,
    log,
    asked,
    started,
    finish(task) {
      active.delete(task);
      started.find((one) => one.task === task)!.slot[Symbol.dispose]();
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
      assertEquals([clock.waiting, pool.claiming], [0, 0], "the poller left something behind");
    },
  };
}

/** A queue of tasks per runtime, one task per runtime and call, as the protocol hands them out. */
function queues(lengths: Record<string, number>): Claims {
  const left = new Map(Object.entries(lengths));
  let n = 0;
  return ({ runtimeIds, maxTasks }) => {
    const tasks: ClaimedTask[] = [];
    for (const id of runtimeIds) {
      if (tasks.length >= maxTasks || !left.get(id)) continue;
      left.set(id, left.get(id)! - 1);
      tasks.push(claimed(`${id}${++n}`, { runtime_id: id }));
    }
    return ok(tasks);
  };
}

Deno.test("Poller asks for as many tasks as there are free slots and starts each in a slot of its own", async () => {
  await using w = world((_, nth) => ok(nth === 1 ? [claimed("t1"), claimed("t2")] : []), { slots: 3 });
  await w.clock.settle();
  assertEquals(w.started.map(({ task, slot }) => [task, slot.index]), [["t1", 0], ["t2", 1]]);
  assertEquals(w.asked.map(({ maxTasks }) => maxTasks), [3, 1]);
  assertEquals(w.poller.lastClaimAt, w.clock.now());
});

Deno.test("Poller promises its slots before it asks", async () => {
  const answer = Promise.withResolvers<CallResult<readonly ClaimedTask[]>>();
  await using w = world((_, nth) => nth === 1 ? answer.promise : ok([]), { slots: 2 });
  await w.clock.settle();
  assertEquals([w.pool.claiming, w.poller.holding()], [2, undefined]);
  answer.resolve(ok([]));
  await w.clock.settle();
  assertEquals([w.pool.claiming, w.poller.holding()], [0, undefined]);
});

Deno.test("Poller asks nothing without a free slot, and at once when one comes free", async () => {
  await using w = world(queues({ r: 3 }), { slots: 1 });
  await w.clock.advance(120_000);
  assertEquals([w.asked.length, w.started.length, w.poller.holding()], [1, 1, "no-free-slot"]);
  w.finish("r1");
  await w.clock.settle();
  assertEquals(w.started.map(({ task }) => task), ["r1", "r2"]);
});

Deno.test("Poller asks again at once after an answer with tasks, and then each interval", async () => {
  await using w = world(queues({ r: 2 }), { slots: 4 });
  await w.clock.settle();
  assertEquals([w.started.length, w.asked.length], [2, 3]);
  await w.clock.advance(29_999);
  assertEquals(w.asked.length, 3);
  await w.clock.advance(1);
  assertEquals(w.asked.length, 4);
});

Deno.test("Poller.nudge() looks at once", async () => {
  await using w = world(() => ok([]));
  await w.clock.settle();
  w.poller.nudge();
  await w.clock.settle();
  assertEquals(w.asked.length, 2);
});

Deno.test("Poller.nudge() is not lost when it comes during a call", async () => {
  const answer = Promise.withResolvers<CallResult<readonly ClaimedTask[]>>();
  await using w = world((_, nth) => nth === 1 ? answer.promise : ok([]));
  await w.clock.settle();
  w.poller.nudge();
  answer.resolve(ok([]));
  await w.clock.settle();
  assertEquals(w.asked.length, 2);
});

Deno.test("Poller tries again soon after a claim that failed", async () => {
  for (const failure of [LOST, refused(500), refused(404)]) {
    await using w = world((_, nth) => nth === 1 ? failure : ok([]));
    await w.clock.advance(4_999);
    assertEquals(w.asked.length, 1);
    await w.clock.advance(1);
    assertEquals(w.asked.length, 2);
    assertEquals(w.log.said("warn"), ["claim failed"]);
    assertEquals(w.pool.claiming, 0);
  }
});

Deno.test("Poller says once that claims fail, and once that they work again", async () => {
  await using w = world((_, nth) => nth <= 4 ? LOST : ok([]));
  await w.clock.advance(30_000);
  assertEquals([w.log.said("warn"), w.log.said("info")], [["claim failed"], ["claims work again"]]);
});

Deno.test("Poller lets two agents with long queues take turns", async () => {
  await using w = world(queues({ a: 50, b: 50 }), { slots: 1, runtimes: ["a", "b"] });
  await w.clock.settle();
  for (let n = 0; n < 20; n++) {
    w.finish(w.started.at(-1)!.task);
    await w.clock.settle();
  }
  const turns = w.started.map(({ task }) => task[0]).join("");
  const counts = [...turns].reduce((sum, who) => ({ ...sum, [who]: sum[who as "a" | "b"] + 1 }), { a: 0, b: 0 });
  assert(Math.abs(counts.a - counts.b) <= 1, turns);
  assert(!/aaa|bbb/.test(turns), turns);
});

Deno.test("Poller lets two servers with long queues take turns", async () => {
  let n = 0;
  await using w = world(({ connection }) => ok([claimed(`${connection}-${++n}`)]), { slots: 1, names: ["x", "y"] });
  await w.clock.settle();
  for (let round = 0; round < 20; round++) {
    w.finish(w.started.at(-1)!.task);
    await w.clock.settle();
  }
  const turns = w.started.map(({ connection }) => connection).join("");
  assert(!/xxx|yyy/.test(turns) && turns.includes("x") && turns.includes("y"), turns);
});

Deno.test("Poller lets every agent of two servers have its turn", async () => {
  let n = 0;
  const first = ({ connection, runtimeIds }: Asked) => ok([claimed(`${connection}${runtimeIds[0]}-${++n}`)]);
  await using w = world(first, { slots: 1, names: ["x", "y"], runtimes: ["a", "b"] });
  await w.clock.settle();
  for (let round = 0; round < 7; round++) {
    w.finish(w.started.at(-1)!.task);
    await w.clock.settle();
  }
  const served = w.started.map(({ task }) => task.split("-")[0]);
  for (const who of ["xa", "xb", "ya", "yb"]) {
    assertEquals(served.filter((one) => one === who).length, 2, served.join(" "));
  }
});

Deno.test("Poller does not let one server's failure keep it from another", async () => {
  await using w = world(({ connection }, nth) => connection === "x" ? LOST : ok(nth < 3 ? [claimed("t1")] : []), {
    names: ["x", "y"],
  });
  await w.clock.settle();
  assertEquals(w.started.map(({ connection }) => connection), ["y"]);
});

Deno.test("Poller ignores a task that it has already", async () => {
  await using w = world(() => ok([claimed("t1")]), { slots: 3 });
  await w.clock.settle();
  assertEquals([w.started.length, w.pool.running, w.pool.claiming], [1, 1, 0]);
  assertEquals(w.log.said("warn"), ["a task came twice, the second delivery is ignored"]);
});

Deno.test("Poller starts no more tasks than it asked for", async () => {
  await using w = world((_, nth) => ok(nth === 1 ? ["t1", "t2", "t3"].map((id) => claimed(id)) : []), { slots: 2 });
  await w.clock.settle();
  assertEquals(w.started.map(({ task }) => task), ["t1", "t2"]);
  assertEquals(w.log.said("warn"), ["server sent more tasks than were asked for, it will offer this one again"]);
});

Deno.test("Poller asks nothing while claims are closed or results could be lost, and says which", async () => {
  let open = false;
  let degraded = false;
  await using w = world(() => ok([]), { claimsOpen: () => open, outboxDegraded: () => degraded });
  await w.clock.advance(60_000);
  assertEquals([w.asked.length, w.poller.holding()], [0, "paused"]);
  open = true;
  degraded = true;
  await w.clock.advance(60_000);
  assertEquals([w.asked.length, w.poller.holding()], [0, "outbox-unwritable"]);
  degraded = false;
  w.poller.nudge();
  await w.clock.settle();
  assertEquals([w.asked.length, w.poller.holding()], [1, undefined]);
});

Deno.test("Poller asks nothing of a server that knows no runtime of ours", async () => {
  await using w = world(() => ok([]), { runtimes: [] });
  await w.clock.advance(120_000);
  assertEquals(w.asked, []);
});

Deno.test("Poller asks nothing for a workspace from the moment that its owner does not want that any more", async () => {
  let watched = true;
  await using w = world(() => ok([]), { watched: () => watched });
  await w.clock.settle();
  assertEquals(w.asked.length, 1);
  watched = false;
  await w.clock.advance(120_000);
  assertEquals(w.asked.length, 1);
  watched = true;
  w.poller.nudge();
  await w.clock.settle();
  assertEquals(w.asked.length, 2);
});

Deno.test("Poller.run() ends with its signal, in a call or between two", async () => {
  for (const claims of [() => new Promise<never>(() => {}), () => ok([])]) {
    await using w = world(claims);
    await w.clock.settle();
    assertEquals(w.asked.length, 1);
  }
});

Deno.test("Poller asks for no task of an agent CLI that cannot be started, and of all again when it is told to look", async () => {
  let held = ["a"];
  await using w = world(() => ok([]), { runtimes: ["a", "b"], mayClaim: ({ provider }) => !held.includes(provider) });
  await w.clock.settle();
  assertEquals(w.asked.map(({ runtimeIds }) => runtimeIds), [["b"]]);
  held = ["a", "b"];
  w.poller.nudge();
  await w.clock.settle();
  assertEquals(w.asked.length, 1);
  held = [];
  w.poller.nudge();
  await w.clock.settle();
  assertEquals(w.asked.at(-1)!.runtimeIds.toSorted(), ["a", "b"]);
});

Deno.test("Poller asks for no more tasks of an agent CLI than its limit leaves room for, and for all others as before", async () => {
  const limits = () => ({ a: 1 });
  await using w = world(queues({ a: 3, b: 3, c: 3 }), { slots: 8, runtimes: ["a", "b", "c"], limits });
  await w.clock.settle();
  assertEquals(w.started.map(({ task }) => task[0]).toSorted().join(""), "abbbccc");
  assert(w.asked.every(({ runtimeIds, maxTasks }) => !runtimeIds.includes("a") || maxTasks === 1), "asked for more");
  w.finish(w.started.find(({ task }) => task.startsWith("a"))!.task);
  await w.clock.settle();
  assertEquals(w.started.filter(({ task }) => task.startsWith("a")).length, 2);
});

Deno.test("Poller asks for an agent CLI's tasks as long as the day allows some, and makes no call for none", async () => {
  const left: Record<string, number> = { x: 1, y: Infinity };
  const gate = { ready: () => Promise.resolve(), holds: () => undefined, tasksLeft: (name: string) => left[name]! };
  await using w = world(
    ({ runtimeIds }) => {
      // While the others' call is on its way, x reaches its limit.
      if (!runtimeIds.includes("x")) left.x = 0;
      return ok([]);
    },
    { gate, runtimes: ["y", "x"] },
  );
  await w.clock.advance(0);
  assertEquals(w.asked.map(({ runtimeIds }) => runtimeIds), [["y"]]);
  left.x = 1;
  w.poller.nudge();
  await w.clock.advance(0);
  assertEquals(w.asked.slice(1).map(({ runtimeIds, maxTasks }) => [runtimeIds, maxTasks]), [[["x"], 1], [["y"], 2]]);
});

Deno.test("Poller claims nothing before its gate has looked, nor while that holds, and says why", async () => {
  let hold: "on-battery" | undefined = "on-battery";
  let looked = () => {};
  const ready = () => new Promise<void>((resolve) => looked = resolve);
  const gate = { ready, holds: () => hold, tasksLeft: () => Infinity };
  await using w = world(() => ok([]), { gate });
  await w.clock.advance(0);
  assertEquals([w.asked.length, w.poller.holding()], [0, "on-battery"]);
  looked();
  await w.clock.advance(0);
  assertEquals(w.asked.length, 0);
  hold = undefined;
  w.poller.nudge();
  await w.clock.settle();
  assertEquals(w.asked.length, 0);
  looked();
  await w.clock.settle();
  assertEquals([w.asked.length, w.poller.holding()], [1, undefined]);
});
