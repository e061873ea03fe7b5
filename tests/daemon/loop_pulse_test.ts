/** The pulse: as old as the beat of the slowest loop, however often the others come round. */
import { assertEquals } from "@std/assert";
import { createLoopPulse } from "../../lib/daemon/loop_pulse.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { DaemonWorld } from "./daemon_world.ts";

Deno.test("one loop that hangs is not hidden by the others", async () => {
  const clock = new FakeClock();
  const pulse = createLoopPulse(clock);
  await clock.advance(1_000);
  assertEquals(pulse.stalledMs(), 0, "nothing has begun");
  pulse.beat("poller");
  pulse.beat("heartbeat");
  for (let i = 0; i < 4; i++) {
    await clock.advance(30_000);
    pulse.beat("poller");
  }
  assertEquals(pulse.stalledMs(), 120_000);
  pulse.beat("heartbeat");
  assertEquals(pulse.stalledMs(), 0);
});

Deno.test("a daemon's poller and heartbeats both count", async () => {
  await using w = await DaemonWorld.started();
  await w.clock.advance(29_000);
  assertEquals(w.daemon.stalledMs(), 29_000, "the poller, which comes round every 30 s");
  await w.submit();
  (await w.agent()).end();
  assertEquals(w.daemon.stalledMs(), 6_500, "the heartbeat, since the hint has the poller look at once");
  await w.clock.advance(300_000);
  assertEquals(w.daemon.stalledMs() <= 31_000, true);
});
