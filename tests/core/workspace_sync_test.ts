/** When workspaces are looked at again, what has become of them, and how often a forgotten one is registered. */
import { assertEquals } from "@std/assert";
import { BeatFreshness, mayHeal } from "../../lib/core/beat_freshness.ts";
import { isSpent, pingVerdict } from "../../lib/core/ping_budget.ts";
import { syncDelay, type SyncState, workspaceChange } from "../../lib/core/workspace_sync.ts";

const FINE: SyncState = { failures: 0, hasRuntimes: true, oldServer: false };

Deno.test("syncDelay() is long where hints come, shorter at an old server, shortest without a runtime, and doubles in trouble", () => {
  const cases: readonly (readonly [Partial<SyncState>, number])[] = [
    [{}, 1_800_000],
    [{ oldServer: true }, 300_000],
    [{ hasRuntimes: false }, 30_000],
    [{ hasRuntimes: false, oldServer: true }, 30_000],
    [{ failures: 1 }, 30_000],
    [{ failures: 3 }, 120_000],
    [{ failures: 20 }, 1_800_000],
    [{ failures: 20, hasRuntimes: false }, 300_000],
  ];
  for (const [change, ms] of cases) assertEquals(syncDelay({ ...FINE, ...change }, 0.5), ms, JSON.stringify(change));
  assertEquals([syncDelay(FINE, 0), syncDelay(FINE, 1)], [1_440_000, 2_160_000]);
});

Deno.test("workspaceChange() registers what is new or has no runtime, and forgets what is not there", () => {
  const change = workspaceChange({
    tracked: ["kept", "bare", "lost"],
    registered: new Set(["kept", "lost", "ghost"]),
    wanted: ["kept", "bare", "new", "ghost"],
  });
  assertEquals(change, { due: ["bare", "new", "ghost"], lost: ["lost"], kept: ["kept"] });
});

Deno.test("BeatFreshness counts an answer for two intervals, and forgets all with the connection", () => {
  const fresh = new BeatFreshness();
  fresh.acked("a", 1_000);
  assertEquals([fresh.isFresh("a", 30_999), fresh.isFresh("a", 31_000), fresh.isFresh("b", 1_000)], [
    true,
    false,
    false,
  ]);
  fresh.forget();
  assertEquals(fresh.isFresh("a", 1_001), false);
});

Deno.test("mayHeal() allows one registration in 30 s, and none for 60 s after one that failed", () => {
  const cases: readonly (readonly [Parameters<typeof mayHeal>[0], number, boolean])[] = [
    [undefined, 0, true],
    [{ at: 0, worked: true }, 29_999, false],
    [{ at: 0, worked: true }, 30_000, true],
    [{ at: 0, worked: false }, 59_999, false],
    [{ at: 0, worked: false }, 60_000, true],
  ];
  for (const [last, now, may] of cases) assertEquals(mayHeal(last, now), may, `${JSON.stringify(last)} at ${now}`);
});

Deno.test("pingVerdict() runs the model only where tasks are allowed, and once in 10 minutes per runtime", () => {
  const times = new Map([["a", 0]]);
  assertEquals([isSpent(times, "a", 599_999), isSpent(times, "a", 600_000), isSpent(times, "b", 1)], [
    true,
    false,
    false,
  ]);
  const free = { allowed: true, spent: false, able: true };
  assertEquals(pingVerdict(free), undefined);
  const refusals = [{ allowed: false }, { spent: true }, { able: false }].map((no) => pingVerdict({ ...free, ...no }));
  assertEquals(new Set(refusals).size, 3);
  assertEquals(refusals.includes(undefined), false);
});
