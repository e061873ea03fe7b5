/** What each agent CLI may do on one day: what was counted, which limit is reached, and when the day is over. */
import type { ModelUsage } from "./model.ts";
import type { PauseView } from "./runtime_pause.ts";

/** By the name of the agent CLI; `*` is for each of the others. */
export type PerAgent = Readonly<Record<string, number>>;

export interface DayLimits {
  readonly tasks: PerAgent;
  /** Read from a cache and written to it included. */
  readonly tokens: PerAgent;
  readonly usd: PerAgent;
}

export interface DayCount {
  /** Whose agent was started. */
  readonly tasks: number;
  readonly tokens: number;
  /** In 1e-10 USD, as far as the agent CLI tells its costs. */
  readonly costUsdTicks: number;
}

export interface DayBook {
  /** Of this machine's time zone, such as `2026-01-31`. */
  readonly day: string;
  readonly counts: Readonly<Record<string, DayCount>>;
}

export interface ReachedLimit {
  readonly what: keyof DayLimits;
  readonly limit: number;
  readonly count: number;
}

export const NO_DAY_LIMITS: DayLimits = { tasks: {}, tokens: {}, usd: {} };
const NOTHING: DayCount = { tasks: 0, tokens: 0, costUsdTicks: 0 };
const TICKS_PER_USD = 1e10;

/** The book of today: an empty one when the kept one is of another day. */
export function bookOf(kept: DayBook | undefined, now: number): DayBook {
  const day = dayOf(now);
  return kept?.day === day ? kept : { day, counts: {} };
}

export function dayOf(now: number): string {
  const date = new Date(now);
  const two = (value: number) => String(value).padStart(2, "0");
  return [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
}

/** The next midnight here, in ms since 1970; days with 23 or 25 hours included. */
export function dayEnd(now: number): number {
  const date = new Date(now);
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + 1).getTime();
}

export function countOf({ counts }: DayBook, provider: string): DayCount {
  return Object.hasOwn(counts, provider) ? counts[provider]! : NOTHING;
}

export function counted(book: DayBook, provider: string, more: Partial<DayCount>): DayBook {
  const { tasks, tokens, costUsdTicks } = countOf(book, provider);
  const count = {
    tasks: tasks + (more.tasks ?? 0),
    tokens: tokens + (more.tokens ?? 0),
    costUsdTicks: costUsdTicks + (more.costUsdTicks ?? 0),
  };
  return { ...book, counts: { ...book.counts, [provider]: count } };
}

export type UsageTotal = Pick<DayCount, "tokens" | "costUsdTicks">;

export function totalOf(usage: readonly ModelUsage[]): UsageTotal {
  const sum = (of: (one: ModelUsage) => number) => usage.reduce((all, one) => all + Math.max(0, of(one)), 0);
  return {
    tokens: sum((one) => one.inputTokens + one.outputTokens + one.cacheReadTokens + one.cacheWriteTokens),
    costUsdTicks: sum((one) => one.costUsdTicks),
  };
}

/** What came since the totals before. A smaller total is one that began anew, with a session of its own. */
export function growth(before: UsageTotal, after: UsageTotal): UsageTotal {
  const of = (name: keyof UsageTotal) => after[name] >= before[name] ? after[name] - before[name] : after[name];
  return { tokens: of("tokens"), costUsdTicks: of("costUsdTicks") };
}

/** The first limit that today's count has reached. */
export function reachedLimit(limits: DayLimits, provider: string, count: DayCount): ReachedLimit | undefined {
  const counts = { tasks: count.tasks, tokens: count.tokens, usd: count.costUsdTicks / TICKS_PER_USD };
  return (["tasks", "tokens", "usd"] as const).map((what) => ({
    what,
    limit: limitFor(limits[what], provider),
    count: counts[what],
  })).find(({ limit, count }) => count >= limit);
}

/** For whom the day is over; `since`: when that was seen, if anybody did. */
export function limitView(
  book: DayBook,
  limits: DayLimits,
  { provider, now, since = now }: { provider: string; now: number; since?: number },
): PauseView | undefined {
  const reached = reachedLimit(limits, provider, countOf(book, provider));
  if (!reached) return undefined;
  const how = `drover config set limits.${reached.what}_per_day NUMBER`;
  return { kind: "limit", since, until: dayEnd(now), why: reachedText(reached), how };
}

/** How many more tasks may begin today; `promised`: claimed, and their agents not started yet. */
export function tasksLeft(limits: DayLimits, provider: string, has: { count: DayCount; promised: number }): number {
  if (reachedLimit(limits, provider, has.count)) return 0;
  return Math.max(0, limitFor(limits.tasks, provider) - has.count.tasks - has.promised);
}

/** One line for people, such as `20 of 20 tasks today`. */
export function reachedText({ what, limit, count }: ReachedLimit): string {
  if (what === "usd") return `${dollars(count)} of ${dollars(limit)} today`;
  return `${formatCount(count)} of ${formatCount(limit)} ${what} today`;
}

/** Today's work of one agent CLI, for people and programs. */
export interface TodayView {
  readonly provider: string;
  readonly tasks: number;
  readonly tokens: number;
  /** Null where the agent CLI does not tell its costs. */
  readonly usd: number | null;
  /** Null where there is none. */
  readonly limits: { readonly tasks: number | null; readonly tokens: number | null; readonly usd: number | null };
}

export function todayOf(book: DayBook, limits: DayLimits): readonly TodayView[] {
  const named = Object.values(limits).flatMap((limit) => Object.keys(limit)).filter((name) => name !== "*");
  const providers = [...new Set([...Object.keys(book.counts), ...named])].sort();
  return providers.map((provider) => {
    const { tasks, tokens, costUsdTicks } = countOf(book, provider);
    const limit = (what: keyof DayLimits) => {
      const value = limitFor(limits[what], provider);
      return value === Infinity ? null : value;
    };
    return {
      provider,
      tasks,
      tokens,
      usd: costUsdTicks > 0 ? Math.round(costUsdTicks / 1e6) / 1e4 : null,
      limits: { tasks: limit("tasks"), tokens: limit("tokens"), usd: limit("usd") },
    };
  });
}

/** One line for people, such as `12 of 20 tasks, 1.2M tokens, $3.40`. */
export function todayText({ tasks, tokens, usd, limits }: Omit<TodayView, "provider">): string {
  const of = (limit: number | null, text: (value: number) => string) => limit === null ? "" : ` of ${text(limit)}`;
  const cost = usd ?? (limits.usd === null ? undefined : 0);
  return [
    `${tasks}${of(limits.tasks, String)} ${tasks === 1 && limits.tasks === null ? "task" : "tasks"}`,
    ...(tokens > 0 || limits.tokens !== null ? [`${formatCount(tokens)}${of(limits.tokens, formatCount)} tokens`] : []),
    ...(cost === undefined ? [] : [`${dollars(cost)}${of(limits.usd, dollars)}`]),
  ].join(", ");
}

function limitFor(limits: PerAgent, provider: string): number {
  return [provider, "*"].filter((name) => Object.hasOwn(limits, name)).map((name) => limits[name]!)[0] ?? Infinity;
}

function dollars(value: number): string {
  return `$${value.toFixed(2)}`;
}

const SIZES: Readonly<Record<string, number>> = { G: 1e9, M: 1e6, k: 1e3 };

/** In three digits or so, rounded down: what is not reached must not look as if it were. */
function formatCount(count: number): string {
  const [unit, size] = Object.entries(SIZES).find(([, size]) => count >= size && count >= 10_000) ?? ["", 1];
  const digits = count / size < 10 ? 100 : count / size < 100 ? 10 : 1;
  return unit === "" ? String(count) : `${Math.floor(count / size * digits) / digits}${unit}`;
}

/**
 * `20` for each agent CLI, `claude=20,codex=5` for some, `20,claude=5` for each and one of its own, or an object with
 * these names and `*`; `none` for no limit. Numbers may end in k, M or G. `undefined` for anything else.
 */
export function parsePerAgent(value: unknown, { whole }: { whole: boolean }): PerAgent | undefined {
  const entries = typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.entries(value).map(([name, limit]) => [name, numberOf(limit)] as const)
    : value === "none"
    ? []
    : pairsOf(value);
  const good = (limit: number | undefined) => limit !== undefined && limit > 0 && (!whole || Number.isInteger(limit));
  const names = entries.map(([name]) => name);
  const fine = entries.every(([name, limit]) => /^(\*|[a-z][\w.-]*)$/.test(name) && good(limit));
  return fine && new Set(names).size === names.length ? Object.fromEntries(entries) as PerAgent : undefined;
}

/** What `parsePerAgent` reads. */
export function formatPerAgent(limits: PerAgent): string {
  const parts = Object.entries(limits).map(([name, limit]) => name === "*" ? String(limit) : `${name}=${limit}`);
  return parts.join(",") || "none";
}

function pairsOf(value: unknown): (readonly [string, number | undefined])[] {
  if (typeof value !== "string" && typeof value !== "number") return [["", undefined]];
  return String(value).split(",").map((part) => {
    const [name, limit] = part.includes("=") ? part.split("=", 2) as [string, string] : ["*", part];
    return [name.trim(), numberOf(limit.trim())] as const;
  });
}

function numberOf(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  const [, number, unit = ""] = (typeof value === "string" && /^(\d+(?:\.\d+)?)([kMG]?)$/.exec(value)) || [];
  return number === undefined ? undefined : Number(number) * (SIZES[unit] ?? 1);
}
