/** Telling servers the tokens of each day, per runtime: what has changed since, as totals, and nothing to a server without the route. */
import type { Logger } from "../core/ports.ts";
import { type DailyUsage, reportDailyUsage } from "../wire/upkeep.ts";
import type { Connection } from "./connection.ts";
import type { DayUsage } from "./usage_store.ts";

/** Far below what a server takes at once. */
const AT_ONCE = 500;

export class UsageReporter {
  readonly #log: Logger;
  /** By connection, runtime and row: what the server has. */
  readonly #known = new Map<string, string>();
  readonly #without = new Set<string>();
  /** Runtimes that the server did not find the last time, for one line in the log. */
  readonly #notFound = new Set<string>();

  constructor({ log }: { log: Logger }) {
    this.#log = log;
  }

  /** What could not be told is told the next time. */
  async report(connection: Connection, days: readonly DayUsage[], signal: AbortSignal): Promise<void> {
    if (this.#without.has(connection.name)) return;
    for (const { id, runtime } of [...connection.runtimes.values()]) {
      // A custom runtime writes into the logs of the CLI that it is like: they are counted there.
      if (runtime.profile) continue;
      const rows = days.filter(({ provider }) => provider === runtime.provider).map(wireRow);
      const key = (row: DailyUsage) => `${connection.name} ${id} ${row.date} ${row.model}`;
      const changed = rows.filter((row) => this.#known.get(key(row)) !== JSON.stringify(row));
      for (let at = 0; at < changed.length; at += AT_ONCE) {
        const entries = changed.slice(at, at + AT_ONCE);
        const answer = await reportDailyUsage(connection.client, id, { entries, signal });
        if (signal.aborted) return;
        if (answer.kind === "ok") {
          for (const row of entries) this.#known.set(key(row), JSON.stringify(row));
          this.#notFound.delete(id);
        } else if (answer.gone === "route") {
          this.#without.add(connection.name);
          return this.#log.info("the server takes no counts of tokens", { connection: connection.name });
        } else {
          const known = answer.status === 404 && this.#notFound.has(id);
          if (!known) this.#log.warn("counts of tokens were not delivered", { why: answer.detail });
          if (answer.status !== 404) return;
          // Only of this runtime: a membership may have ended.
          this.#notFound.add(id);
          break;
        }
      }
    }
  }
}

function wireRow(usage: DayUsage): DailyUsage {
  return {
    date: usage.date,
    provider: usage.provider,
    model: usage.model,
    input_tokens: usage.inputTokens,
    output_tokens: usage.outputTokens,
    cache_read_tokens: usage.cacheReadTokens,
    cache_write_tokens: usage.cacheWriteTokens,
  };
}
