/** The tokens of one run of Codex, per model, and until when its quota is used up. */
import type { ModelUsage } from "../core/model.ts";
import { isRecord, type JsonRecord, numberOf, recordOf, textOf } from "./json_fields.ts";

const FIELDS = ["totalTokens", "inputTokens", "cachedInputTokens", "cacheWriteInputTokens", "outputTokens"] as const;

type Counts = Readonly<Record<typeof FIELDS[number], number>>;

/** Counts only what this run used: the totals that Codex tells are of a thread's whole life. */
export class CodexUsage {
  /** What each thread had used when it was last told. */
  readonly #seen = new Map<string, Counts>();
  readonly #models = new Map<string, ModelUsage>();

  get models(): readonly ModelUsage[] {
    return [...this.#models.values()];
  }

  /** Of a turn that was before this run. */
  skip(thread: string, usage: JsonRecord): void {
    this.#seen.set(thread, countsOf(usage.total));
  }

  /** True when it was something new. */
  add(thread: string, model: string, usage: JsonRecord): boolean {
    const [total, last] = [countsOf(usage.total), countsOf(usage.last)];
    const seen = this.#seen.get(thread);
    this.#seen.set(thread, total);
    // Without an earlier total, or when it began anew, only the latest request is known to be ours.
    const used = seen && seen.totalTokens <= total.totalTokens ? difference(total, seen) : last;
    if (used.totalTokens === 0) return false;
    this.#models.set(model, sum(this.#models.get(model) ?? noUsage(model), used));
    return true;
  }
}

function countsOf(value: unknown): Counts {
  const record = recordOf(value);
  return Object.fromEntries(FIELDS.map((field) => [field, numberOf(record[field])])) as Counts;
}

function difference(a: Counts, b: Counts): Counts {
  return Object.fromEntries(FIELDS.map((field) => [field, Math.max(0, a[field] - b[field])])) as Counts;
}

function noUsage(model: string): ModelUsage {
  return { model, inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, costUsdTicks: 0 };
}

/** What was read from and written to the cache is part of the input here, and not in `ModelUsage`. */
function sum(usage: ModelUsage, { inputTokens, cachedInputTokens, cacheWriteInputTokens, outputTokens }: Counts) {
  return {
    ...usage,
    inputTokens: usage.inputTokens + Math.max(0, inputTokens - cachedInputTokens - cacheWriteInputTokens),
    outputTokens: usage.outputTokens + outputTokens,
    cacheReadTokens: usage.cacheReadTokens + cachedInputTokens,
    cacheWriteTokens: usage.cacheWriteTokens + cacheWriteInputTokens,
  };
}

/** The windows of the account's quota, as they were last told. */
export class CodexLimits {
  readonly #windows = new Map<string, JsonRecord>();

  /** Told in parts: what is missing has not changed. */
  accept(limits: JsonRecord): void {
    for (const name of ["primary", "secondary"]) {
      const window = limits[name];
      if (isRecord(window)) this.#windows.set(`${textOf(limits.limitId)} ${name}`, window);
    }
  }

  /** When the last of the windows that are used up begins anew, in ms since 1970; `undefined` when none is known. */
  resetsAt(now: number): number | undefined {
    const times = [...this.#windows.values()]
      .filter(({ usedPercent }) => numberOf(usedPercent) >= 100)
      .map(({ resetsAt }) => numberOf(resetsAt) * 1000)
      .filter((time) => time > now);
    return times.length > 0 ? Math.max(...times) : undefined;
  }
}
