/** The WebSocket of a connection: how often it is opened again. */
import { assertEquals } from "@std/assert";
import { createChannelLoop } from "../../lib/daemon/channel_loop.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { fakeConnection } from "./fake_connection.ts";
import { keptLog } from "./kept_log.ts";

Deno.test("ChannelLoop waits longer and longer for a server that takes the connection and then says nothing", async () => {
  const clock = new FakeClock();
  const dials: number[] = [];
  const loop = createChannelLoop({
    connection: fakeConnection(),
    dial: (_url, { signal }) => {
      dials.push(clock.monotonic());
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
    baseUrl: "http://server.test",
    headers: () => ({}),
    routes: { connected() {}, disconnected() {} },
    clock,
    random: { uuid: () => "u", hex: () => "h", fraction: () => 0.5 },
    log: keptLog(),
    onHint() {},
    onConnected() {},
  });
  const end = new AbortController();
  const run = loop.run(end.signal);
  for (let s = 0; s < 120; s++) await clock.advance(1_000);
  const waits = dials.slice(1).map((at, i) => at - dials[i]!);
  // Each attempt takes the same time; what grows is the pause.
  const pauses = waits.map((wait) => wait - waits[0]!);
  assertEquals(pauses.slice(0, 4), [0, 1_000, 3_000, 7_000]);
  end.abort();
  await clock.advance(1);
  await run;
});
