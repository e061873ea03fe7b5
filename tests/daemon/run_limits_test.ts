/** The limits of a run on a clock: one stop at most, none while a person is asked, and no timer left behind. */
import { assertEquals } from "@std/assert";
import type { StopReason } from "../../lib/core/message.ts";
import { createRunLimits, type RunLimitSettings } from "../../lib/daemon/run_limits.ts";
import { FakeClock } from "../support/fake_clock.ts";

const MINUTE = 60_000;

function limited(settings: Partial<RunLimitSettings>) {
  const clock = new FakeClock();
  const stops: [StopReason["kind"], number][] = [];
  const state = { waiting: false };
  const limits = createRunLimits({
    timeLimitMs: 60 * MINUTE,
    ...settings,
    clock,
    waiting: () => state.waiting,
    stop: ({ kind }) => stops.push([kind, clock.monotonic()]),
  });
  return { clock, stops, state, limits };
}

Deno.test("createRunLimits() stops a run once, right when its time is up", async () => {
  const { clock, stops } = limited({ timeLimitMs: 700 });
  await clock.advance(5_000);
  assertEquals([stops, clock.waiting], [[["time-limit", 700]], 0]);
});

Deno.test("createRunLimits() does not hold a person's silence against an agent", async () => {
  const { clock, stops, state, limits } = limited({ silenceLimitMs: 10 * MINUTE });
  await clock.advance(5 * MINUTE);
  state.waiting = true;
  await clock.advance(30 * MINUTE);
  assertEquals(stops, []);
  state.waiting = false;
  await clock.advance(6 * MINUTE);
  assertEquals(stops.map(([kind]) => kind), ["silence-limit"]);
  limits[Symbol.dispose]();
});

Deno.test("createRunLimits() has no limit but time unless told, and watches no longer than it is wanted", async () => {
  const { clock, stops, limits } = limited({});
  await clock.advance(59 * MINUTE);
  limits[Symbol.dispose]();
  await clock.advance(5 * MINUTE);
  assertEquals([stops, clock.waiting], [[], 0]);
});
