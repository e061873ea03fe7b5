/** The real clock: timers that can be taken back, and sleeps that end with their signal. */
import { assert, assertEquals, assertGreaterOrEqual, assertRejects } from "@std/assert";
import { createClock } from "../../lib/host/clock.ts";

const clock = createClock();

Deno.test("Clock.now() is the wall clock, Clock.monotonic() never goes back", () => {
  assert(Math.abs(clock.now() - Date.now()) < 1_000);
  const first = clock.monotonic();
  assertGreaterOrEqual(clock.monotonic(), first);
});

Deno.test("Clock.after() runs its function once, unless it is disposed of before", async () => {
  let runs = 0;
  using _kept = clock.after(1, () => runs++);
  clock.after(1, () => runs += 100)[Symbol.dispose]();
  await clock.sleep(20);
  assertEquals(runs, 1);
});

Deno.test("Clock.after() does not run at once what is more than 24 days away", async () => {
  let ran = false;
  using _far = clock.after(30 * 24 * 60 * 60_000, () => ran = true);
  await clock.sleep(20);
  assertEquals(ran, false);
});

Deno.test("Clock.sleep() ends with the reason of its signal and takes its listener along", async () => {
  const abort = new AbortController();
  const sleeping = clock.sleep(60_000, { signal: abort.signal });
  abort.abort(new Error("woken"));
  await assertRejects(() => sleeping, Error, "woken");
  await assertRejects(() => clock.sleep(1, { signal: abort.signal }), Error, "woken");
});

Deno.test("Clock.sleep() is not disturbed by an abort that comes after it", async () => {
  const abort = new AbortController();
  await clock.sleep(1, { signal: abort.signal });
  abort.abort(new Error("late"));
});

Deno.test("Clock.after() does not keep a process alive, Clock.sleep() does", async () => {
  const url = new URL("../../lib/host/clock.ts", import.meta.url);
  const source = `
    const { createClock } = await import("${url}");
    createClock().after(60_000, () => {});
    await createClock().sleep(10);
    console.log("slept");`;
  const child = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-lock", source],
    stderr: "null",
    signal: AbortSignal.timeout(30_000),
  }).output();
  assertEquals([child.code, new TextDecoder().decode(child.stdout)], [0, "slept\n"]);
});
