/** The day's ledger: counted as it happens, whatever becomes of a task, and kept from daemon to daemon. */
import { assertEquals } from "@std/assert";
import { type DayBook, type DayLimits, NO_DAY_LIMITS } from "../../lib/core/day_limits.ts";
import { DayLedger } from "../../lib/daemon/day_ledger.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { keptLog } from "./kept_log.ts";

const DAY = 24 * 60 * 60_000;

function world(limits: Partial<DayLimits> = {}, kept?: DayBook) {
  const state = { kept, writes: 0, failing: false };
  const clock = new FakeClock(new Date(2026, 0, 15, 12).getTime());
  const log = keptLog();
  const ledger = new DayLedger({
    clock,
    log,
    limits: () => ({ ...NO_DAY_LIMITS, ...limits }),
    store: {
      read: () => Promise.resolve(state.kept),
      write(book) {
        state.writes++;
        if (state.failing) return Promise.reject(new Error("disk full"));
        state.kept = book;
        return Promise.resolve();
      },
    },
  });
  return { state, clock, log, ledger };
}

function tokens(count: number, costUsdTicks = 0) {
  return [{
    model: "m",
    inputTokens: count,
    outputTokens: 0,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    costUsdTicks,
  }];
}

Deno.test("DayLedger counts a task when its agent begins, and gives back the place of one that never did", () => {
  const { ledger } = world({ tasks: { bot: 2 } });
  const left = () => ledger.tasksLeft("bot");
  ledger.claimed("one", "bot");
  ledger.claimed("two", "bot");
  assertEquals([left(), ledger.view("bot")], [0, undefined], "promised is not done");
  ledger.left("two");
  assertEquals(left(), 1);
  ledger.began("one");
  ledger.began("one");
  ledger.began("nobody");
  ledger.left("one");
  assertEquals([left(), ledger.today()[0]?.tasks], [1, 1]);
  ledger.claimed("three", "bot");
  ledger.began("three");
  assertEquals([left(), ledger.view("bot")?.why, ledger.tasksLeft("other")], [0, "2 of 2 tasks today", Infinity]);
});

Deno.test("DayLedger counts tokens and costs while a run goes on, and once", () => {
  const { ledger, log } = world({ tokens: { "*": 100 } });
  ledger.claimed("one", "bot");
  ledger.used("one", tokens(60, 5e9));
  ledger.used("one", tokens(60, 5e9));
  ledger.used("nobody", tokens(1_000));
  assertEquals([ledger.today()[0]?.tokens, ledger.today()[0]?.usd, ledger.tasksLeft("bot")], [60, 0.5, Infinity]);
  ledger.used("one", tokens(100, 6e9));
  assertEquals([ledger.tasksLeft("bot"), ledger.view("bot")?.why, log.said("warn").length], [
    0,
    "100 of 100 tokens today",
    1,
  ]);
  ledger.used("one", tokens(30));
  assertEquals(ledger.today()[0]?.tokens, 130, "a session that began anew");
});

Deno.test("DayLedger begins each day with nothing, and counts a run of the night for both days", () => {
  const { ledger, clock } = world({ tasks: { bot: 1 } });
  ledger.claimed("one", "bot");
  ledger.began("one");
  ledger.used("one", tokens(10));
  const view = ledger.view("bot")!;
  assertEquals([view.since, view.until], [clock.now(), new Date(2026, 0, 16).getTime()]);
  clock.shiftWall(DAY / 2);
  assertEquals([ledger.view("bot"), ledger.tasksLeft("bot")], [undefined, 1]);
  ledger.used("one", tokens(15));
  assertEquals(ledger.today().map(({ tasks, tokens }) => [tasks, tokens]), [[0, 5]]);
});

Deno.test("DayLedger goes on with what the daemon before has counted today", async () => {
  const first = world({ tasks: { bot: 2 } });
  first.ledger.claimed("one", "bot");
  first.ledger.began("one");
  await first.ledger.settled();
  const next = world({ tasks: { bot: 2 } }, first.state.kept);
  await next.ledger.begin();
  assertEquals([next.ledger.tasksLeft("bot"), next.ledger.today()[0]?.tasks], [1, 1]);
});

Deno.test("DayLedger writes the latest, one write at a time, and counts on where that fails", async () => {
  const { ledger, state, log } = world();
  ledger.claimed("one", "bot");
  for (let count = 1; count <= 100; count++) ledger.used("one", tokens(count));
  await ledger.settled();
  assertEquals([state.kept?.counts.bot?.tokens, state.writes], [100, 2]);
  state.failing = true;
  ledger.used("one", tokens(101));
  await ledger.settled();
  assertEquals([ledger.today()[0]?.tokens, log.said("warn").length], [101, 1]);
});
