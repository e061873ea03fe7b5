/** The fake clock: tests that rely on it are only as good as its order. */
import { assertEquals, assertRejects } from "@std/assert";
import { FakeClock } from "./fake_clock.ts";

Deno.test("FakeClock.advance() runs due timers in the order of their time, then of their making", async () => {
  const clock = new FakeClock(1_000);
  const seen: string[] = [];
  clock.after(20, () => seen.push(`b at ${clock.now()}`));
  clock.after(10, () => seen.push(`a at ${clock.now()}`));
  clock.after(20, () => seen.push(`c at ${clock.now()}`));
  clock.after(31, () => seen.push("too late"));
  await clock.advance(30);
  assertEquals(seen, ["a at 1010", "b at 1020", "c at 1020"]);
  assertEquals([clock.now(), clock.monotonic(), clock.waiting], [1_030, 30, 1]);
});

Deno.test("FakeClock.advance() serves a loop that sleeps anew as often as its turn comes", async () => {
  const clock = new FakeClock(0);
  const beats: number[] = [];
  const stop = new AbortController();
  const loop = (async () => {
    while (true) {
      await clock.sleep(15, { signal: stop.signal });
      beats.push(clock.now());
    }
  })();
  await clock.advance(50);
  assertEquals(beats, [15, 30, 45]);
  stop.abort(new Error("done"));
  await assertRejects(() => loop, Error, "done");
  assertEquals(clock.waiting, 0);
});

Deno.test("FakeClock.after() never runs a timer that was disposed", async () => {
  const clock = new FakeClock();
  let runs = 0;
  {
    using _timer = clock.after(5, () => runs++);
  }
  await clock.advance(10);
  assertEquals(runs, 0);
});

Deno.test("FakeClock.sleep() rejects with the reason of a signal that has aborted already", async () => {
  const clock = new FakeClock();
  await assertRejects(() => clock.sleep(5, { signal: AbortSignal.abort(new Error("too late")) }), Error, "too late");
  assertEquals(clock.waiting, 0);
});

Deno.test("FakeClock.shiftWall() moves the time of day and no timer", async () => {
  const clock = new FakeClock(0);
  let runs = 0;
  clock.after(100, () => runs++);
  clock.shiftWall(3_600_000);
  await clock.advance(99);
  assertEquals([clock.now(), clock.monotonic(), runs], [3_600_099, 99, 0]);
  await clock.advance(1);
  assertEquals(runs, 1);
});
