/** One claim by several ways: what each answer of a server leads to. */
import { assertEquals } from "@std/assert";
import type { RpcOutcome } from "../../lib/core/claim_rpc.ts";
import { createClaimRoutes } from "../../lib/daemon/claim_routes.ts";
import type { WireClient } from "../../lib/wire/client.ts";
import type { Channel } from "../../lib/wire/channel.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { claimed, fakeClient, LOST, ok, refused } from "./fake_connection.ts";
import { keptLog } from "./kept_log.ts";

function world(calls: Partial<WireClient>) {
  const clock = new FakeClock();
  const log = keptLog();
  let ready = 0;
  const routes = createClaimRoutes({ client: fakeClient(calls), clock, log, onReady: () => ready++ });
  const claim = (maxTasks = 5) => routes.claim({ daemonId: "d", runtimeIds: ["a", "b", "c"], maxTasks });
  return { clock, log, routes, claim, ready: () => ready };
}

function channel(outcome: RpcOutcome): Channel {
  return {
    runtimes: [],
    rpc: true,
    claim: () => Promise.resolve(outcome),
    closed: new Promise(() => {}),
    close() {},
  };
}

const ids = (answer: Awaited<ReturnType<WireClient["claim"]>>) =>
  answer.kind === "ok" ? answer.value.map(({ id }) => id) : answer.detail;

Deno.test("ClaimRoutes.claim() asks runtime by runtime where the batch is missing, until its slots are full", async () => {
  const asked: string[] = [];
  let batches = 0;
  const queue: Record<string, string[]> = { a: ["1", "2"], b: [], c: ["3", "4"] };
  const w = world({
    claim: () => (batches++, Promise.resolve(refused(404))),
    claimOne: (id) => {
      asked.push(id);
      const next = queue[id]!.shift();
      return Promise.resolve(ok(next ? claimed(next) : null));
    },
  });
  assertEquals(ids(await w.claim(3)), ["1", "2", "3"]);
  assertEquals(ids(await w.claim(3)), ["4"]);
  assertEquals([asked.join(""), batches], ["aaabcabcc", 1]);
});

Deno.test("ClaimRoutes.claim() goes on with the other runtimes when the server has settled a task of one", async () => {
  for (const failure of [refused(402), refused(409), refused(422), refused(404, "runtime")]) {
    const w = world({
      claim: () => Promise.resolve(refused(404)),
      claimOne: (id) => Promise.resolve(id === "a" ? failure : ok(null)),
    });
    assertEquals(ids(await w.claim()), []);
  }
});

Deno.test("ClaimRoutes.claim() says what failed when no call brought anything, and believes no 404 of everything", async () => {
  const w = world({ claim: () => Promise.resolve(refused(404)), claimOne: () => Promise.resolve(LOST) });
  assertEquals(ids(await w.claim()), "status 404");
});

Deno.test("ClaimRoutes.claim() holds after a doubt, wakes whom it kept waiting, and asks by HTTP first", async () => {
  let http = 0;
  const w = world({ claim: () => (http++, Promise.resolve(ok([claimed("later")]))) });
  w.routes.connected(channel({ kind: "uncertain", why: "lost" }));
  assertEquals([ids(await w.claim()), http], [[], 0]);
  await w.clock.advance(6_999);
  assertEquals([ids(await w.claim()), http, w.ready()], [[], 0, 0]);
  await w.clock.advance(1);
  assertEquals(w.ready(), 1);
  assertEquals([ids(await w.claim()), http], [["later"], 1]);
});

Deno.test("ClaimRoutes.claim() holds when the answer over the socket cannot be read: tasks may have been in it", async () => {
  let http = 0;
  const w = world({ claim: () => (http++, Promise.resolve(ok([]))) });
  w.routes.connected(channel({ kind: "answered", status: 200, body: { tasks: "none" } }));
  assertEquals([ids(await w.claim()), http], [[], 0]);
  await w.clock.advance(7_000);
});

Deno.test("ClaimRoutes.claim() leaves no timer behind when the daemon ends in a doubt", async () => {
  const w = world({});
  const stop = new AbortController();
  w.routes.connected({
    ...channel({ kind: "uncertain", why: "" }),
    claim: () => (stop.abort(), Promise.resolve({ kind: "uncertain", why: "the daemon ends" })),
  });
  await w.routes.claim({ daemonId: "d", runtimeIds: ["a"], maxTasks: 1 }, { signal: stop.signal });
  assertEquals(w.clock.waiting, 0);
});

Deno.test("ClaimRoutes.claim() asks for the tasks of an instance in one call only, as nobody else knows them", async () => {
  let single = 0;
  const w = world({
    claim: () => Promise.resolve(refused(404)),
    claimOne: () => (single++, Promise.resolve(ok(null))),
  });
  await w.routes.claim({ daemonId: "d", runtimeIds: ["a"], maxTasks: 1, submittedTo: "i" });
  assertEquals(single, 0);
});
