/** The runs of a daemon: each claimed task from its slot to its end, found by its id, and counted for the day. */
import type { StopReason } from "../core/message.ts";
import type { Logger } from "../core/ports.ts";
import type { ClaimedTask } from "../wire/payloads.ts";
import type { Connection } from "./connection.ts";
import type { DayLedger } from "./day_ledger.ts";
import type { Slot } from "./pool.ts";
import { type RunnerContext, runTask, type RunView, type TaskRun } from "./task_runner.ts";

export interface RunsOptions {
  readonly context: RunnerContext;
  readonly log: Logger;
  readonly day: Pick<DayLedger, "claimed" | "left">;
  /** A run is over and its slot free. */
  readonly onEnded: () => void;
}

export class Runs {
  readonly #options: RunsOptions;
  readonly #runs = new Map<string, TaskRun>();
  /** Task to runtime. */
  readonly #runtimes = new Map<string, string>();
  /** For those that a claim on its way still brings. */
  #stopLater: StopReason | undefined;

  constructor(options: RunsOptions) {
    this.#options = options;
  }

  start(task: ClaimedTask, connection: Connection, slot: Slot): void {
    const { context, log, day, onEnded } = this.#options;
    log.info("task claimed", { task: task.id, agent: task.agent?.name, slot: slot.index });
    day.claimed(task.id, connection.runtimes.get(task.runtime_id)?.runtime.provider ?? "");
    const run = runTask({ ...context, ...context.liveLimits?.() }, { task, connection, slot });
    this.#runs.set(task.id, run);
    this.#runtimes.set(task.id, task.runtime_id);
    if (this.#stopLater) run.stop(this.#stopLater);
    void run.done.catch((error) =>
      log.critical("a run left its task unsettled", { task: task.id, error: String(error) })
    )
      .then(() => {
        this.#runs.delete(task.id);
        this.#runtimes.delete(task.id);
        day.left(task.id);
        onEnded();
      });
  }

  get size(): number {
    return this.#runs.size;
  }

  has(task: string): boolean {
    return this.#runs.has(task);
  }

  /** A task is in hand that was claimed for this runtime. */
  usesRuntime(id: string): boolean {
    return [...this.#runtimes.values()].includes(id);
  }

  get(task: string): TaskRun | undefined {
    return this.#runs.get(task);
  }

  views(): RunView[] {
    return [...this.#runs.values()].map((run) => run.view());
  }

  /** `later`: also what comes from now on, until `goOn`. */
  stop(reason: StopReason, { later }: { later: boolean }): void {
    if (later) this.#stopLater = reason;
    for (const run of this.#runs.values()) run.stop(reason);
  }

  goOn(): void {
    this.#stopLater = undefined;
  }

  /** Something may have changed on a server while nobody listened: all look now. */
  checkStatus(): void {
    for (const run of this.#runs.values()) run.checkStatus();
  }

  /** Resolves when those that are there now are over. */
  async settled(): Promise<void> {
    await Promise.all([...this.#runs.values()].map((run) => run.done.catch(() => {})));
  }
}
