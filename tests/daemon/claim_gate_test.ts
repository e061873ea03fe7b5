/** The gate before every claim: a person's pause, the battery, and a sleep, each told and lifted in time. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { PersonPause } from "../../lib/core/claim_hold.ts";
import { ClaimGate, type ClaimGateOptions } from "../../lib/daemon/claim_gate.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { type KeptLog, keptLog } from "./kept_log.ts";

const MINUTE = 60_000;

interface World extends AsyncDisposable {
  readonly clock: FakeClock;
  readonly log: KeptLog;
  readonly gate: ClaimGate;
  readonly stop: AbortController;
  kept: PersonPause | undefined;
  /** How often it was told that claims may be made again. */
  claimable: number;
}

async function world(options: Partial<ClaimGateOptions> = {}, kept?: PersonPause): Promise<World> {
  const clock = new FakeClock();
  const log = keptLog();
  const stop = new AbortController();
  const w = { clock, log, stop, kept, claimable: 0 } as World & { gate: ClaimGate };
  w.gate = new ClaimGate({
    clock,
    log,
    onClaimable: () => void w.claimable++,
    askServers: () => Promise.resolve(),
    pauseStore: { read: () => Promise.resolve(w.kept), write: (pause) => Promise.resolve(void (w.kept = pause)) },
    ...options,
  });
  await w.gate.begin(stop.signal);
  return Object.assign(w, {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await clock.settle();
      assertEquals(clock.waiting, 0, "the gate left a timer behind");
    },
  });
}

Deno.test("ClaimGate holds for a person until they take it back, and in the next daemon", async () => {
  await using w = await world();
  assertEquals([w.gate.holds(), w.gate.view(), await w.gate.resume()], [undefined, undefined, false]);
  await w.gate.pause({ until: null, reason: "release" });
  assertEquals(w.gate.holds(), "paused-by-person");
  const view = { kind: "person", since: w.clock.now(), until: null, why: "release", how: "drover resume" } as const;
  assertEquals(w.gate.view(), view);
  await using next = await world({}, w.kept);
  assertEquals(next.gate.view(), view);
  assertEquals([await next.gate.resume(), await next.gate.resume()], [true, false]);
  assertEquals([next.gate.holds(), next.kept, next.claimable], [undefined, undefined, 1]);
});

Deno.test("ClaimGate lifts a pause when its time is over, also where the wall clock jumped", async () => {
  await using w = await world();
  await w.gate.pause({ until: w.clock.now() + 90 * MINUTE, reason: "" });
  await w.clock.advance(89 * MINUTE);
  assertEquals([w.gate.holds(), w.claimable], ["paused-by-person", 0]);
  await w.clock.advance(MINUTE);
  assertEquals([w.gate.holds(), w.claimable, w.kept], [undefined, 1, undefined]);
  await w.gate.pause({ until: w.clock.now() + 90 * MINUTE, reason: "" });
  w.clock.shiftWall(2 * 60 * MINUTE);
  assertEquals(w.gate.holds(), undefined);
  await w.clock.advance(MINUTE);
  assertEquals([w.claimable, w.kept], [2, undefined]);
});

Deno.test("ClaimGate replaces a pause by a later one", async () => {
  await using w = await world();
  await w.gate.pause({ until: w.clock.now() + MINUTE, reason: "" });
  await w.gate.pause({ until: null, reason: "longer" });
  await w.clock.advance(2 * MINUTE);
  assertEquals([w.gate.view()?.why, w.claimable], ["longer", 0]);
});

Deno.test("ClaimGate holds although a pause cannot be written down, and says so", async () => {
  const broken = { read: () => Promise.resolve(undefined), write: () => Promise.reject(new Error("disk full")) };
  await using w = await world({ pauseStore: broken });
  await assertRejects(() => w.gate.pause({ until: null, reason: "" }), Error, "disk full");
  assertEquals(w.gate.holds(), "paused-by-person");
});

Deno.test("ClaimGate asks for the battery once a minute, and only where that matters", async () => {
  let asked = 0;
  let on: boolean | undefined = true;
  let allowed = false;
  const onBattery = () => Promise.resolve((asked++, on));
  await using w = await world({ onBattery, claimOnBattery: () => allowed });
  const { signal } = w.stop;
  const turn = async (ms: number) => (await w.clock.advance(ms), await w.gate.ready(signal), w.gate.holds());
  assertEquals([await turn(0), await turn(30_000), asked], ["on-battery", "on-battery", 1]);
  assertEquals([w.gate.view()?.kind, w.gate.view()?.since], ["battery", w.clock.now() - 30_000]);
  on = false;
  assertEquals([await turn(29_000), await turn(1_000), asked], ["on-battery", undefined, 2]);
  on = undefined;
  assertEquals([await turn(MINUTE), asked], [undefined, 3]);
  on = true;
  assertEquals(await turn(MINUTE), "on-battery");
  allowed = true;
  assertEquals([w.gate.holds(), await turn(MINUTE), asked], [undefined, undefined, 4]);
});

Deno.test("ClaimGate lets claims pass where asking for the battery fails", async () => {
  await using w = await world({ onBattery: () => Promise.reject(new Error("no")), claimOnBattery: () => false });
  await w.gate.ready(w.stop.signal);
  assertEquals([w.gate.holds(), w.log.said("warn").length], [undefined, 1]);
});

Deno.test("ClaimGate has the servers asked after a sleep, before any claim, and only then", async () => {
  const answers: (() => void)[] = [];
  const askServers = () => new Promise<void>((resolve) => answers.push(resolve));
  await using w = await world({ askServers });
  await w.gate.ready(w.stop.signal);
  for (let turns = 0; turns < 10; turns++) {
    await w.clock.advance(30_000);
    await w.gate.ready(w.stop.signal);
  }
  assertEquals([answers.length, w.gate.holds()], [0, undefined], "a slow loop is no sleep");
  w.clock.shiftWall(8 * 60 * MINUTE);
  let ready = false;
  const waiting = w.gate.ready(w.stop.signal)!.then(() => ready = true);
  w.gate.turn();
  await w.clock.settle();
  assertEquals([answers.length, w.gate.holds(), ready, w.claimable], [1, "woke-up", false, 0]);
  answers[0]!();
  await waiting;
  assertEquals([w.gate.holds(), w.claimable], [undefined, 1]);
  w.clock.shiftWall(-60 * MINUTE);
  await w.gate.ready(w.stop.signal);
  assertEquals(answers.length, 1, "a clock set back is no sleep");
});

Deno.test("ClaimGate waits for no server longer than a few seconds", async () => {
  const gaveUp: unknown[] = [];
  const askServers = (signal: AbortSignal) =>
    new Promise<void>((resolve) => signal.addEventListener("abort", () => (gaveUp.push(1), resolve())));
  await using w = await world({ askServers });
  w.gate.turn();
  w.clock.shiftWall(60 * MINUTE);
  const waiting = w.gate.ready(w.stop.signal);
  await w.clock.advance(5_000);
  await waiting;
  assertEquals([gaveUp.length, w.gate.holds()], [1, undefined]);
  w.clock.shiftWall(60 * MINUTE);
  const ended = w.gate.ready(w.stop.signal);
  w.stop.abort();
  await ended;
  assert(gaveUp.length === 2);
});
