/** The day's ledger: what each agent CLI has done today, counted as it happens and kept from daemon to daemon. */
import {
  bookOf,
  counted,
  countOf,
  type DayBook,
  type DayCount,
  type DayLimits,
  growth,
  limitView,
  reachedLimit,
  reachedText,
  tasksLeft,
  todayOf,
  type TodayView,
  totalOf,
  type UsageTotal,
} from "../core/day_limits.ts";
import type { ModelUsage } from "../core/model.ts";
import type { Clock, Logger } from "../core/ports.ts";
import type { PauseView } from "../core/runtime_pause.ts";

export interface DayStore {
  read(): Promise<DayBook | undefined>;
  write(book: DayBook): Promise<void>;
}

export interface DayLedgerOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Asked each time: they may change while a daemon runs. */
  readonly limits: () => DayLimits;
  /** Absent where nothing is kept. */
  readonly store?: DayStore;
}

interface Claimed {
  readonly provider: string;
  began: boolean;
  total: UsageTotal;
}

export class DayLedger {
  readonly #options: DayLedgerOptions;
  #kept: DayBook | undefined;
  readonly #claimed = new Map<string, Claimed>();
  /** When a limit was seen to be reached, by agent CLI. */
  readonly #reachedAt = new Map<string, number>();
  #saving: Promise<void> | undefined;
  #unsaved = false;

  constructor(options: DayLedgerOptions) {
    this.#options = options;
  }

  /** What the daemons before have counted today. */
  async begin(): Promise<void> {
    this.#kept = await this.#options.store?.read();
  }

  /** Ours from now on: until its agent is started it takes the place of a task that may begin. */
  claimed(task: string, provider: string): void {
    this.#claimed.set(task, { provider, began: false, total: { tokens: 0, costUsdTicks: 0 } });
  }

  /** Its agent is started: it counts, once, whatever becomes of it. */
  began(task: string): void {
    const one = this.#claimed.get(task);
    if (!one || one.began) return;
    one.began = true;
    this.#count(one.provider, { tasks: 1 });
  }

  /** Totals of the run so far. */
  used(task: string, usage: readonly ModelUsage[]): void {
    const one = this.#claimed.get(task);
    if (!one) return;
    const total = totalOf(usage);
    const more = growth(one.total, total);
    one.total = total;
    if (more.tokens > 0 || more.costUsdTicks > 0) this.#count(one.provider, more);
  }

  left(task: string): void {
    this.#claimed.delete(task);
  }

  /** How many more of its tasks may be claimed; Infinity without a limit. */
  tasksLeft(provider: string): number {
    const promised = [...this.#claimed.values()].filter((one) => one.provider === provider && !one.began).length;
    return tasksLeft(this.#options.limits(), provider, { count: countOf(this.#book, provider), promised });
  }

  view(provider: string): PauseView | undefined {
    const now = this.#options.clock.now();
    const since = this.#reachedAt.get(provider) ?? now;
    return limitView(this.#book, this.#options.limits(), { provider, now, since });
  }

  today(): readonly TodayView[] {
    return todayOf(this.#book, this.#options.limits());
  }

  /** Resolves when all that was counted is on disk. */
  async settled(): Promise<void> {
    while (this.#saving) await this.#saving;
  }

  get #book(): DayBook {
    return bookOf(this.#kept, this.#options.clock.now());
  }

  #count(provider: string, more: Partial<DayCount>): void {
    const { clock, limits, log } = this.#options;
    const before = this.#book;
    this.#kept = counted(before, provider, more);
    const reached = reachedLimit(limits(), provider, countOf(this.#kept, provider));
    if (reached && !reachedLimit(limits(), provider, countOf(before, provider))) {
      this.#reachedAt.set(provider, clock.now());
      log.warn("agent CLI has reached its limit of the day", { provider, why: reachedText(reached) });
    }
    this.#unsaved = true;
    this.#saving ??= this.#save();
  }

  /** One write at a time, of what is latest by then. */
  async #save(): Promise<void> {
    const { store, log } = this.#options;
    while (this.#unsaved) {
      this.#unsaved = false;
      await store?.write(this.#kept!).catch((error) =>
        log.warn("writing down what was done today failed, a restart forgets it", { error: String(error) })
      );
    }
    this.#saving = undefined;
  }
}
