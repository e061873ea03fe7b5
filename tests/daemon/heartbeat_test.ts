/** The heartbeat: regular, spread, and the one that notices a runtime was forgotten. */
import { assertEquals } from "@std/assert";
import { LEASE } from "../../lib/core/lease.ts";
import type { Random } from "../../lib/core/ports.ts";
import { createHeartbeat } from "../../lib/daemon/heartbeat.ts";
import { BeatAnswer } from "../../lib/wire/frames.ts";
import type { CallResult } from "../../lib/wire/retry.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { fakeConnection, LOST, ok, refused, registered } from "./fake_connection.ts";
import { keptLog } from "./kept_log.ts";

function world(answer: (id: string) => CallResult<unknown> | Promise<CallResult<unknown>>, fraction = 0) {
  const clock = new FakeClock();
  const log = keptLog();
  const beats: string[] = [];
  let gone = 0;
  const random: Random = { uuid: () => "u", hex: () => "h", fraction: () => fraction };
  const connection = fakeConnection({
    runtimes: ["a", "b"],
    client: {
      heartbeat: async (id) => {
        beats.push(id);
        const answered = await answer(id);
        return answered.kind === "ok" ? ok(BeatAnswer.parse(answered.value)) : answered;
      },
    },
  });
  const stop = new AbortController();
  const running = createHeartbeat({ connection, clock, random, log, onGone: () => gone++ }).run(stop.signal);
  return {
    clock,
    log,
    connection,
    beats,
    gone: () => gone,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
      assertEquals(clock.waiting, 0);
    },
  };
}

Deno.test("Heartbeat.run() beats for every runtime in each interval, the first time at its share of one", async () => {
  await using w = world(() => ok({ status: "ok" }), 0.4);
  await w.clock.advance(0.4 * LEASE.heartbeatMs - 1);
  assertEquals(w.beats, []);
  await w.clock.advance(1);
  assertEquals(w.beats, ["a", "b"]);
  await w.clock.advance(LEASE.heartbeatMs);
  assertEquals(w.beats, ["a", "b", "a", "b"]);
});

Deno.test("Heartbeat.run() beats for the runtimes there are at that moment", async () => {
  await using w = world(() => ok({}));
  await w.clock.advance(0);
  w.connection.runtimes.clear();
  w.connection.runtimes.set("c", registered("c"));
  await w.clock.advance(LEASE.heartbeatMs);
  assertEquals(w.beats.slice(2), ["c"]);
});

Deno.test("Heartbeat.run() tells once per round that the server forgot runtimes", async () => {
  await using w = world(() => refused(404, "runtime"));
  await w.clock.advance(0);
  assertEquals([w.gone(), w.log.said("warn")], [1, []]);
  await w.clock.advance(LEASE.heartbeatMs);
  assertEquals(w.gone(), 2);
});

Deno.test("Heartbeat.run() goes on after any other failure, and does not take it for a forgotten runtime", async () => {
  for (const failure of [LOST, refused(500), refused(404), refused(404, "task"), refused(401)]) {
    await using w = world((id) => id === "a" ? failure : ok({}));
    await w.clock.advance(LEASE.heartbeatMs);
    assertEquals([w.beats.length, w.gone()], [4, 0]);
    assertEquals(w.log.said("warn"), ["heartbeat failed"]);
  }
});

Deno.test("Heartbeat.run() says that beats fail when that begins, changes and ends, not with each beat", async () => {
  const answers = [LOST, LOST, refused(500), refused(500), ok({}), ok({}), LOST];
  let beat = 0;
  await using w = world((id) => id === "a" ? answers[beat++]! : ok({}));
  await w.clock.advance((answers.length - 1) * LEASE.heartbeatMs);
  assertEquals(beat, answers.length);
  assertEquals(
    w.log.records.filter(({ level }) => level !== "debug").map(({ message, fields }) => [message, fields.why]),
    [
      ["heartbeat failed", "connection reset"],
      ["heartbeat failed", "status 500"],
      ["heartbeats arrive again", undefined],
      ["heartbeat failed", "connection reset"],
    ],
  );
});

Deno.test("Heartbeat.run() beats in time although one runtime's answer is late", async () => {
  await using w = world(async (id) => {
    if (id === "a") await w.clock.sleep(5_000);
    return ok({});
  });
  await w.clock.advance(0);
  assertEquals(w.beats, ["a", "b"]);
  await w.clock.advance(5_000 + LEASE.heartbeatMs);
  assertEquals(w.beats.length, 4);
  await w.clock.advance(5_000);
});
