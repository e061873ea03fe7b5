/** The limits of silence fit together: what renews is quicker than what expires. */
import { assert, assertEquals } from "@std/assert";
import { isFresh, LEASE, listeningSince, mayJudgeSilence } from "../../lib/core/lease.ts";

Deno.test("isFresh() holds up to the limit of silence and not beyond", () => {
  const now = 1_000_000;
  assertEquals([0, LEASE.staleRuntimeMs, LEASE.staleRuntimeMs + 1].map((ms) => isFresh(now - ms, now)), [
    true,
    true,
    false,
  ]);
});

Deno.test("LEASE lets a sign of life be lost without anything being taken away", () => {
  assert(2 * LEASE.renewMs < LEASE.prepareMs);
  assert(2 * LEASE.heartbeatMs < LEASE.staleRuntimeMs);
  assert(LEASE.prepareMs < LEASE.redeliverMs);
  assert(LEASE.redeliverMs < LEASE.dispatchLimitMs);
  assert(LEASE.staleRuntimeMs < LEASE.reconnectGraceMs);
});

Deno.test("listeningSince() starts anew after a round that came late, or before the last one", () => {
  const [since, lastAt] = [1_000_000, 2_000_000];
  const rounds = [LEASE.sweepMs, LEASE.staleRuntimeMs, LEASE.staleRuntimeMs + 1, 0, -1, -3_600_000];
  assertEquals(rounds.map((ms) => listeningSince(since, { lastAt, now: lastAt + ms })), [
    ...[since, since, lastAt + LEASE.staleRuntimeMs + 1, since, lastAt - 1, lastAt - 3_600_000],
  ]);
  const back = lastAt - 3_600_000;
  assert(mayJudgeSilence(listeningSince(lastAt, { lastAt, now: back }), back + LEASE.staleRuntimeMs));
});
