/** What keeps a daemon from claiming anything, and when a gap in time was a sleep. */
import { assertEquals } from "@std/assert";
import { claimHold, hasPassed, sleptThrough, WAKE } from "../../lib/core/claim_hold.ts";

const PAUSE = { since: 1, until: null, reason: "" };

Deno.test("claimHold() says the reason that lasts longest", () => {
  const all = { pause: PAUSE, onBattery: true, asking: true };
  assertEquals([
    claimHold(all),
    claimHold({ ...all, pause: undefined }),
    claimHold({ ...all, pause: undefined, onBattery: false }),
    claimHold({ pause: undefined, onBattery: false, asking: false }),
  ], ["paused-by-person", "on-battery", "woke-up", undefined]);
});

Deno.test("hasPassed() is never so for a pause without an end", () => {
  assertEquals([hasPassed(PAUSE, 1e15), hasPassed({ ...PAUSE, until: 5 }, 4), hasPassed({ ...PAUSE, until: 5 }, 5)], [
    false,
    false,
    true,
  ]);
});

Deno.test("sleptThrough() needs a gap that no waiting loop leaves, and no clock set back is one", () => {
  assertEquals([0, 30_000, WAKE.gapMs, WAKE.gapMs + 1, -1e9].map((gap) => sleptThrough(1e12, 1e12 + gap)), [
    false,
    false,
    false,
    true,
    false,
  ]);
});
