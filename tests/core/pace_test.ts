/** Waiting between tries: the protocol's schedule, and back-off that spreads. */
import { assertEquals } from "@std/assert";
import { backoffDelay, jitter, REPORT_SCHEDULE_MS, scheduledDelay } from "../../lib/core/pace.ts";

Deno.test("scheduledDelay() follows the protocol's schedule and repeats its last wait", () => {
  assertEquals([1, 2, 3, 4, 5, 6, 100].map((n) => scheduledDelay(n)), [...REPORT_SCHEDULE_MS, 64_000, 64_000]);
  assertEquals(REPORT_SCHEDULE_MS, [4_000, 8_000, 16_000, 32_000, 64_000]);
});

Deno.test("scheduledDelay() takes no failure as the first and an empty schedule as no wait", () => {
  assertEquals([scheduledDelay(0), scheduledDelay(-3), scheduledDelay(2, [])], [4_000, 4_000, 0]);
});

Deno.test("backoffDelay() doubles from the first wait up to the greatest", () => {
  const middle = (failures: number) => backoffDelay(failures, { firstMs: 1_000, maxMs: 60_000 }, 0.5);
  assertEquals([0, 1, 2, 3, 6, 7, 8, 1_000].map(middle), [1_000, 1_000, 2_000, 4_000, 32_000, 60_000, 60_000, 60_000]);
});

Deno.test("jitter() spreads by a fifth to both sides", () => {
  assertEquals([jitter(1_000, 0), jitter(1_000, 0.5), jitter(1_000, 0.999_999)], [800, 1_000, 1_200]);
});
