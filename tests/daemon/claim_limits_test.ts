/** A whole daemon with limits of the day, a pause, and a sleep: what it claims, when, and what its status says. */
import { assertEquals } from "@std/assert";
import { type PersonPause, WAKE } from "../../lib/core/claim_hold.ts";
import { type DayBook, type DayLimits, NO_DAY_LIMITS } from "../../lib/core/day_limits.ts";
import type { ClaimRules } from "../../lib/daemon/claim_gate.ts";
import { DaemonWorld } from "./daemon_world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function rules(limits: Partial<DayLimits> = {}): ClaimRules & { day?: DayBook; pause?: PersonPause | undefined } {
  const kept: { day?: DayBook; pause?: PersonPause | undefined } = {};
  return Object.assign(kept, {
    dayLimits: () => ({ ...NO_DAY_LIMITS, ...limits }),
    dayStore: {
      read: () => Promise.resolve(kept.day),
      write: (book: DayBook) => Promise.resolve(void (kept.day = book)),
    },
    pauseStore: {
      read: () => Promise.resolve(kept.pause),
      write: (pause?: PersonPause) => Promise.resolve(void (kept.pause = pause)),
    },
  });
}

function paused(w: DaemonWorld) {
  return w.daemon.status().connections[0]!.runtimes[0]!.paused;
}

Deno.test("Daemon begins as many tasks as the day allows, also after a restart, and goes on the next day", async () => {
  const claims = rules({ tasks: { bot: 2 } });
  await using w = await DaemonWorld.started({ slots: 4, daemon: { claims } });
  const ids = [await w.submit(), await w.submit(), await w.submit()];
  for (const nth of [0, 1]) (await w.agent(nth)).end();
  for (const id of ids.slice(0, 2)) await w.ended(id, "completed");
  await w.idle();
  await w.clock.advance(5 * MINUTE);
  assertEquals([w.agents.started.length, paused(w)?.kind, paused(w)?.why], [2, "limit", "2 of 2 tasks today"]);
  assertEquals([w.daemon.status().holding, w.daemon.pauses.resume("bot")], [null, false]);
  w.daemon.stop();
  await w.left();
  w.daemon = w.newDaemon();
  await w.daemon.start();
  await w.clock.advance(5 * MINUTE);
  assertEquals([w.agents.started.length, w.daemon.status().today[0]?.tasks], [2, 2]);
  w.clock.shiftWall(24 * HOUR);
  await w.clock.advance(MINUTE);
  (await w.agent(2)).end();
  await w.ended(ids[2]!, "completed");
  await w.idle();
  assertEquals([paused(w), w.daemon.status().today[0]?.tasks], [undefined, 1]);
});

Deno.test("Daemon lets a task that reaches the tokens of the day finish, and begins no other", async () => {
  await using w = await DaemonWorld.started({ slots: 1, daemon: { claims: rules({ tokens: { "*": 100 } }) } });
  const first = await w.submit();
  await w.submit();
  const agent = await w.agent();
  const usage = { inputTokens: 90, outputTokens: 20, cacheReadTokens: 0, cacheWriteTokens: 0, costUsdTicks: 0 };
  agent.say({ kind: "usage", usage: [{ model: "m", ...usage }] });
  await w.until("it was counted", () => w.daemon.status().today[0]?.tokens === 110);
  assertEquals(paused(w)?.why, "110 of 100 tokens today");
  agent.end();
  await w.ended(first, "completed");
  await w.idle();
  await w.clock.advance(5 * MINUTE);
  assertEquals(w.agents.started.length, 1);
});

Deno.test("Daemon that is paused claims nothing, says so, lets running tasks go on, and claims at once afterwards", async () => {
  const claims = rules();
  await using w = await DaemonWorld.started({ daemon: { claims } });
  const running = await w.submit();
  const agent = await w.agent();
  await w.daemon.pauses.all.pause({ until: null, reason: "release" });
  const waits = await w.submit();
  await w.clock.advance(5 * MINUTE);
  const { holding, paused: why } = w.daemon.status();
  assertEquals([holding, why?.why, w.daemon.pauses.view("bot")?.kind, paused(w)], [
    "paused-by-person",
    "release",
    "person",
    undefined,
  ]);
  agent.end();
  await w.ended(running, "completed");
  await w.idle();
  w.daemon.stop();
  await w.left();
  w.daemon = w.newDaemon();
  await w.daemon.start();
  await w.clock.advance(MINUTE);
  assertEquals([w.agents.started.length, (await w.show(waits)).status], [1, "queued"]);
  assertEquals(await w.daemon.pauses.all.resume(), true);
  (await w.agent(1)).end();
  await w.ended(waits, "completed");
  await w.idle();
  assertEquals([w.daemon.status().holding, claims.pause], [null, undefined]);
});

Deno.test("Daemon that wakes from a sleep beats first, then asks for its tasks, then claims", async () => {
  await using w = await DaemonWorld.started({ slots: 2, deaf: true });
  await w.submit();
  await w.clock.advance(MINUTE);
  const agent = await w.agent();
  await w.submit();
  const from = w.calls.length;
  w.clock.shiftWall(HOUR);
  await w.clock.advance(30_000);
  const after = w.calls.slice(from);
  const before = after.slice(0, after.indexOf("claim"));
  assertEquals(before.slice(-2), ["heartbeat", "status"], after.join(" "));
  agent.end();
  (await w.agent(1)).end();
  await w.idle();
});

Deno.test("Daemon that wakes from a sleep waits a few seconds for a server that does not answer, and then claims", async () => {
  await using w = await DaemonWorld.started();
  await w.idle();
  w.intercept = (verb, { signal }) => verb === "heartbeat" ? rejectedWhen(signal) : undefined;
  const from = w.calls.length;
  const claims = () => w.calls.slice(from).includes("claim");
  w.clock.shiftWall(HOUR);
  // It is noticed when the first loop comes round.
  while (w.daemon.status().holding === null) await w.clock.advance(1_000);
  await w.clock.advance(WAKE.askMs - 1_000);
  assertEquals([w.daemon.status().holding, claims()], ["woke-up", false]);
  await w.clock.advance(1_000);
  assertEquals([w.daemon.status().holding, claims()], [null, true]);
  w.intercept = undefined;
});

/** As a call over the network ends that its caller gives up. */
function rejectedWhen(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
}
