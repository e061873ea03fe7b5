/** What each agent CLI may do on one day: counts, limits, and where the day ends. */
import { assertEquals } from "@std/assert";
import {
  bookOf,
  counted,
  countOf,
  type DayBook,
  dayEnd,
  type DayLimits,
  dayOf,
  formatPerAgent,
  growth,
  limitView,
  NO_DAY_LIMITS,
  parsePerAgent,
  reachedLimit,
  reachedText,
  tasksLeft,
  todayOf,
  todayText,
  totalOf,
} from "../../lib/core/day_limits.ts";

const LATE = new Date(2026, 0, 15, 23, 59, 59, 999).getTime();
const MIDNIGHT = new Date(2026, 0, 16).getTime();
const NONE = { tasks: 0, tokens: 0, costUsdTicks: 0 };
const usage = (change: Record<string, number | string>) => ({
  model: "m",
  inputTokens: 0,
  outputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  costUsdTicks: 0,
  ...change,
});

Deno.test("bookOf() is the kept one until midnight here, and an empty one from then on", () => {
  const kept = counted(bookOf(undefined, LATE), "a", { tasks: 3 });
  assertEquals(bookOf(kept, LATE), kept);
  assertEquals(bookOf(kept, MIDNIGHT), { day: "2026-01-16", counts: {} });
  assertEquals([dayOf(LATE), dayEnd(LATE), dayEnd(MIDNIGHT)], [
    "2026-01-15",
    MIDNIGHT,
    new Date(2026, 0, 17).getTime(),
  ]);
});

Deno.test("counted() adds to one agent CLI and leaves the others alone", () => {
  const empty: DayBook = { day: "d", counts: { b: { ...NONE, tasks: 9 } } };
  const book = counted(counted(empty, "a", { tasks: 1 }), "a", { tokens: 5, costUsdTicks: 7 });
  assertEquals(book.counts, { a: { tasks: 1, tokens: 5, costUsdTicks: 7 }, b: { ...NONE, tasks: 9 } });
  assertEquals(countOf(book, "constructor"), NONE);
});

Deno.test("totalOf() adds all kinds of tokens of all models, and no cost that is unknown", () => {
  const all = usage({ inputTokens: 1, outputTokens: 2, cacheReadTokens: 3, cacheWriteTokens: 4, costUsdTicks: 5 });
  assertEquals(totalOf([all, usage({ model: "n", outputTokens: 10, costUsdTicks: -1 })]), {
    tokens: 20,
    costUsdTicks: 5,
  });
});

Deno.test("growth() is what came since, and all of it where the totals began anew", () => {
  const [less, more] = [{ tokens: 10, costUsdTicks: 1 }, { tokens: 25, costUsdTicks: 4 }];
  assertEquals(growth(less, more), { tokens: 15, costUsdTicks: 3 });
  assertEquals(growth(more, more), { tokens: 0, costUsdTicks: 0 });
  assertEquals(growth(more, less), less);
});

Deno.test("reachedLimit() takes an agent's own limit before everybody's, and says what is reached", () => {
  const limits: DayLimits = { tasks: { "*": 20, a: 2 }, tokens: { b: 1_000 }, usd: { "*": 0.5 } };
  const rows: [string, Partial<typeof NONE>, string | undefined][] = [
    ["a", { tasks: 1 }, undefined],
    ["a", { tasks: 2 }, "2 of 2 tasks today"],
    ["b", { tasks: 19, tokens: 999 }, undefined],
    ["b", { tasks: 20 }, "20 of 20 tasks today"],
    ["b", { tokens: 1_200 }, "1200 of 1000 tokens today"],
    ["c", { tokens: 1e9 }, undefined],
    ["c", { costUsdTicks: 4_999_999_999 }, undefined],
    ["c", { costUsdTicks: 5_100_000_000 }, "$0.51 of $0.50 today"],
  ];
  for (const [provider, change, text] of rows) {
    const reached = reachedLimit(limits, provider, { ...NONE, ...change });
    assertEquals(reached && reachedText(reached), text, `${provider} ${JSON.stringify(change)}`);
  }
});

Deno.test("tasksLeft() counts what was promised, and is nothing once any limit is reached", () => {
  const limits: DayLimits = { tasks: { a: 5 }, tokens: { "*": 100 }, usd: {} };
  const left = (provider: string, change: Partial<typeof NONE>, promised = 0) =>
    tasksLeft(limits, provider, { count: { ...NONE, ...change }, promised });
  assertEquals([left("a", {}), left("a", { tasks: 3 }, 1), left("a", { tasks: 3 }, 4)], [5, 1, 0]);
  assertEquals([left("a", { tasks: 1, tokens: 100 }), left("b", { tokens: 100 })], [0, 0]);
  assertEquals([left("b", { tokens: 99 }, 50), tasksLeft(NO_DAY_LIMITS, "a", { count: NONE, promised: 9 })], [
    Infinity,
    Infinity,
  ]);
});

Deno.test("limitView() lasts until midnight and names the setting that helps", () => {
  const book = counted(bookOf(undefined, LATE), "a", { tasks: 2 });
  const limits = { ...NO_DAY_LIMITS, tasks: { a: 2 } };
  assertEquals(limitView(book, limits, { provider: "a", now: LATE, since: 7 }), {
    kind: "limit",
    since: 7,
    until: MIDNIGHT,
    why: "2 of 2 tasks today",
    how: "drover config set limits.tasks_per_day NUMBER",
  });
  assertEquals(limitView(book, NO_DAY_LIMITS, { provider: "a", now: LATE }), undefined);
});

Deno.test("todayOf() shows who did something and who has a limit of its own", () => {
  const book = counted(bookOf(undefined, LATE), "b", { tasks: 12, tokens: 1_234_567, costUsdTicks: 34_049_000_000 });
  const views = todayOf(book, { tasks: { "*": 20, a: 1 }, tokens: { a: 5_000 }, usd: {} });
  assertEquals(views.map(({ provider }) => provider), ["a", "b"]);
  assertEquals(views.map(todayText), ["0 of 1 tasks, 0 of 5000 tokens", "12 of 20 tasks, 1.23M tokens, $3.40"]);
  assertEquals(views[1], {
    provider: "b",
    tasks: 12,
    tokens: 1_234_567,
    usd: 3.4049,
    limits: { tasks: 20, tokens: null, usd: null },
  });
});

Deno.test("todayText() rounds no count up to its limit", () => {
  const of = (tokens: number) =>
    todayText({ tasks: 1, tokens, usd: null, limits: { tasks: null, tokens: 2_000_000, usd: 5 } });
  assertEquals(of(1_999_999), "1 task, 1.99M of 2M tokens, $0.00 of $5.00");
  assertEquals(of(52_345), "1 task, 52.3k of 2M tokens, $0.00 of $5.00");
});

Deno.test("parsePerAgent() reads a number, a list and an object, and what formatPerAgent() writes", () => {
  const whole = (value: unknown) => parsePerAgent(value, { whole: true });
  assertEquals([whole("20"), whole(20), whole("20k"), whole("1.5M")], [
    { "*": 20 },
    { "*": 20 },
    { "*": 20_000 },
    { "*": 1_500_000 },
  ]);
  const mixed = { "*": 20, claude: 5, "kiro-cli": 1_000 };
  assertEquals([whole("20, claude = 5,kiro-cli=1k"), whole(mixed), whole(formatPerAgent(mixed))], [
    mixed,
    mixed,
    mixed,
  ]);
  assertEquals([whole("none"), whole({}), whole(formatPerAgent({})), whole("claude=2.5")], [{}, {}, {}, undefined]);
  assertEquals(parsePerAgent("2.5", { whole: false }), { "*": 2.5 });
});
