/** The limits of silence fit together: what renews is quicker than what expires. */
import { assert, assertEquals } from "@std/assert";
import { isFresh, LEASE } from "../../lib/core/lease.ts";

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
