/** Adds up the tokens of single messages, per model, where a CLI gives no totals itself. */
import type { ModelUsage } from "../core/model.ts";

export class UsageSum {
  readonly #perModel = new Map<string, ModelUsage>();

  get totals(): ModelUsage[] {
    return [...this.#perModel.values()];
  }

  /** Whether there was anything to add. */
  add(usage: ModelUsage): boolean {
    if (usage.inputTokens + usage.outputTokens + usage.cacheReadTokens + usage.cacheWriteTokens === 0) return false;
    const sum = this.#perModel.get(usage.model);
    this.#perModel.set(
      usage.model,
      sum
        ? {
          model: usage.model,
          inputTokens: sum.inputTokens + usage.inputTokens,
          outputTokens: sum.outputTokens + usage.outputTokens,
          cacheReadTokens: sum.cacheReadTokens + usage.cacheReadTokens,
          cacheWriteTokens: sum.cacheWriteTokens + usage.cacheWriteTokens,
          costUsdTicks: sum.costUsdTicks + usage.costUsdTicks,
        }
        : usage,
    );
    return true;
  }
}
