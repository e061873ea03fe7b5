/** The tokens of a run over the Agent Client Protocol, from whichever of the places an agent puts them. */
import type { ModelUsage } from "../core/model.ts";
import { type JsonRecord, listOf, numberOf, recordOf, textOf } from "./json_fields.ts";

const TICKS_PER_USD = 1e10;

interface Counts {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
}

export class AcpUsage {
  readonly #inputIncludesCached: boolean;
  /** Of the model calls that the agent told one by one. */
  #sum: Counts | undefined;
  #costUsd = 0;

  constructor(inputIncludesCached: boolean) {
    this.#inputIncludesCached = inputIncludesCached;
  }

  /** Whether the sum has changed. */
  update(update: JsonRecord): boolean {
    const cost = recordOf(update.cost);
    if (cost.currency === "USD") this.#costUsd = numberOf(cost.amount);
    const usage = recordOf(recordOf(update._meta).usage);
    if (Object.keys(usage).length === 0) return false;
    const call = this.#counts(usage);
    const sum = this.#sum ?? { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 };
    this.#sum = {
      input: sum.input + call.input,
      output: sum.output + call.output,
      cacheRead: sum.cacheRead + call.cacheRead,
      cacheWrite: sum.cacheWrite + call.cacheWrite,
    };
    return true;
  }

  /** So far, as far as it is known before the turn's end. */
  soFar(model: string): ModelUsage[] {
    return this.#sum ? [this.#usage(model, this.#sum, 0)] : [];
  }

  /**
   * From the answer that ends the turn: per model, else in all, else the sum of what came with the updates. The cost is
   * the session's, so it is the run's only where the run began the session.
   */
  ofTurn(answer: JsonRecord, model: string, freshSession: boolean): ModelUsage[] {
    const costUsd = freshSession ? this.#costUsd : 0;
    const perModel = listOf(recordOf(recordOf(answer._meta).quota).model_usage).map(recordOf);
    const usage = recordOf(answer.usage);
    const told: [string, Counts][] = perModel.length > 0
      ? perModel.map((each) => [textOf(each.model) || model, this.#counts(recordOf(each.token_count))])
      : Object.keys(usage).length > 0
      ? [[model, this.#counts(usage)]]
      : this.#sum
      ? [[model, this.#sum]]
      : [];
    return told.map(([name, counts]) => this.#usage(name, counts, told.length === 1 ? costUsd : 0))
      .filter(({ inputTokens, outputTokens, cacheReadTokens }) => inputTokens + outputTokens + cacheReadTokens > 0);
  }

  #counts(usage: JsonRecord): Counts {
    const cacheRead = numberOf(usage.cachedReadTokens) || numberOf(usage.cachedInputTokens);
    const input = numberOf(usage.inputTokens);
    return {
      input: this.#inputIncludesCached ? Math.max(0, input - cacheRead) : input,
      output: numberOf(usage.outputTokens),
      cacheRead,
      cacheWrite: numberOf(usage.cachedWriteTokens),
    };
  }

  #usage(model: string, { input, output, cacheRead, cacheWrite }: Counts, costUsd: number): ModelUsage {
    return {
      model,
      inputTokens: input,
      outputTokens: output,
      cacheReadTokens: cacheRead,
      cacheWriteTokens: cacheWrite,
      costUsdTicks: Math.round(costUsd * TICKS_PER_USD),
    };
  }
}
