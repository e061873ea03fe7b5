/** Delivery: takes rows out of the outbox to their server, per task in order, until each has arrived or is of no use any more. */
import { scheduledDelay } from "../core/pace.ts";
import type { Clock, Logger } from "../core/ports.ts";
import { isTerminal } from "../core/task_state.ts";
import type { WireClient } from "../wire/client.ts";
import type { CompleteRequest, TaskRow } from "../wire/payloads.ts";
import { type CallFailure, type CallResult, isMendable, isTransient, isUncertain } from "../wire/retry.ts";
import type { Outbox, OutboxRow } from "./outbox.ts";

/** A record that is not an outcome is given up after this many failures when an outcome waits behind it. */
const MAX_ATTEMPTS = 6;
/**
 * What an earlier process left holds up its workspace until the server's refusals in a row come to this: some two minutes
 * of definite ones, a quarter of an hour of errors of its own, which are more often over by then.
 */
const MAX_REFUSAL = 18;
const REFUSAL = { definite: 3, error: 1, none: 0 } as const;

export interface DeliveryOptions {
  readonly connection: string;
  readonly client: WireClient;
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether the server stores a message once per (task, seq), so that a batch may be sent again. */
  readonly deduplicates: () => boolean;
}

export interface DeliveryCounts {
  readonly delivered: number;
  /** Message batches given up because their fate was unknown or the server refused them. */
  readonly dropped: number;
}

export interface Delivery {
  /** Sends what a task has, starting at once unless it is at it already. */
  kick(task: string): void;
  /**
   * Sends everything that is there. Resolves when what the workspace has of it has arrived, but for tasks whose rows the
   * server refuses again and again, which it goes on with; rejects when the signal aborts or the delivery is closed.
   */
  deliverAll(options: { workspace: string; signal: AbortSignal }): Promise<void>;
  /** Resolves true when nothing of the task is left, false after `timeoutMs` or once closed. */
  settled(task: string, options: { timeoutMs: number }): Promise<boolean>;
  counts(): DeliveryCounts;
  /** Set as soon as `close` was called: from then on rows wait for the next process. */
  readonly closed: boolean;
  close(): Promise<void>;
}

export function createDelivery(options: DeliveryOptions): Delivery {
  return new OrderedDelivery(options);
}

/** What to do with the row after a call. */
type Verdict =
  | { readonly kind: "done" }
  | { readonly kind: "drop"; readonly why: string }
  /** Tried often enough: what comes after it in the task has waited for it. */
  | { readonly kind: "give-up"; readonly why: string }
  /** `refusal`: how far the server itself said no, and may say so for ever. */
  | { readonly kind: "again"; readonly why: string; readonly refusal: number }
  | { readonly kind: "fail-instead"; readonly why: string };

class OrderedDelivery implements Delivery {
  readonly #options: DeliveryOptions;
  readonly #workers = new Map<string, Promise<void>>();
  readonly #closing = new AbortController();
  readonly #waiting = new Map<string, Set<() => void>>();
  /** By task: the sum of those in a row. */
  readonly #refusals = new Map<string, number>();
  #delivered = 0;
  #dropped = 0;

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  get closed(): boolean {
    return this.#closing.signal.aborted;
  }

  kick(task: string): void {
    if (this.#workers.has(task) || this.closed) return;
    const worker = this.#work(task)
      .catch((error) => this.#pause(task, error))
      .then(() => {
        this.#workers.delete(task);
        this.#refusals.delete(task);
        // A row put after the worker's last look and before it left.
        if (!this.closed && this.#hasRows(task)) return this.kick(task);
        for (const wake of this.#waiting.get(task) ?? []) wake();
      });
    this.#workers.set(task, worker);
  }

  async deliverAll({ workspace, signal }: { workspace: string; signal: AbortSignal }): Promise<void> {
    const { outbox, connection, log } = this.#options;
    const tasks = outbox.tasks(connection, workspace);
    // What was refused before counts no more: a membership may have come back.
    for (const task of tasks) this.#refusals.delete(task);
    for (const task of outbox.tasks(connection)) this.kick(task);
    for (const task of tasks) {
      while (!(await this.settled(task, { timeoutMs: 1_000 }))) {
        signal.throwIfAborted();
        if (this.closed) throw new Error(`Cannot deliver what is left of task ${task}: the delivery was closed`);
        if ((this.#refusals.get(task) ?? 0) < MAX_REFUSAL) continue;
        log.warn("what is left of a task is refused, its workspace waits no longer", { task, workspace });
        break;
      }
    }
  }

  settled(task: string, { timeoutMs }: { timeoutMs: number }): Promise<boolean> {
    const { clock } = this.#options;
    if (!this.#workers.has(task) && !this.#hasRows(task)) return Promise.resolve(true);
    if (this.closed) return Promise.resolve(false);
    return new Promise((resolve) => {
      const wakes = this.#waiting.get(task) ?? new Set();
      this.#waiting.set(task, wakes);
      const finish = () => {
        timer[Symbol.dispose]();
        wakes.delete(finish);
        if (wakes.size === 0) this.#waiting.delete(task);
        resolve(!this.#hasRows(task));
      };
      const timer = clock.after(timeoutMs, finish);
      wakes.add(finish);
      this.kick(task);
    });
  }

  counts(): DeliveryCounts {
    return { delivered: this.#delivered, dropped: this.#dropped };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#workers.values());
    for (const wakes of [...this.#waiting.values()]) for (const wake of [...wakes]) wake();
  }

  /** The outbox may be unreadable for a while (a disk in trouble, a copy being made): that must not end the process. */
  #hasRows(task: string): boolean {
    try {
      return this.#options.outbox.head(task) !== undefined;
    } catch {
      return true;
    }
  }

  async #pause(task: string, error: unknown): Promise<void> {
    const { clock, log } = this.#options;
    log.error("delivery failed unexpectedly, trying again", { task, error: String(error) });
    await clock.sleep(scheduledDelay(1), { signal: this.#closing.signal }).catch(() => {});
  }

  async #work(task: string): Promise<void> {
    const { outbox, clock, log } = this.#options;
    let patience = MAX_ATTEMPTS;
    for (let row = outbox.head(task); row && !this.#closing.signal.aborted; row = outbox.head(task)) {
      const verdict = await this.#deliver(row, patience);
      if (this.#closing.signal.aborted && verdict.kind !== "done") return;
      if (verdict.kind === "done") {
        patience = MAX_ATTEMPTS;
        this.#refusals.delete(task);
        this.#delivered++;
        outbox.remove(row);
      } else if (verdict.kind === "drop" || verdict.kind === "give-up") {
        // Waiting as long again for each of the next ones would hold up the outcome of a talkative agent for hours.
        if (verdict.kind === "give-up") patience = 1;
        this.#dropped++;
        log.warn("outbox record given up", { task, record: row.kind, why: verdict.why, dropped: this.#dropped });
        outbox.remove(row);
      } else if (verdict.kind === "fail-instead") {
        log.error("server refused the completion, reporting a failure instead", { task, why: verdict.why });
        outbox.update(row, { kind: "fail", payload: failureFrom(row, verdict.why), attempts: 0 });
      } else {
        const attempts = row.attempts + 1;
        outbox.update(row, { attempts, state: "pending" });
        this.#refusals.set(task, verdict.refusal > 0 ? (this.#refusals.get(task) ?? 0) + verdict.refusal : 0);
        if (attempts === 1 || attempts % 10 === 0) {
          log.warn("delivery failed, trying again", { task, record: row.kind, attempts, why: verdict.why });
        }
        await clock.sleep(scheduledDelay(attempts), { signal: this.#closing.signal }).catch(() => {});
      }
    }
  }

  async #deliver(row: OutboxRow, patience: number): Promise<Verdict> {
    const { client, outbox, deduplicates } = this.#options;
    const signal = this.#closing.signal;
    const body = JSON.parse(row.payload);
    if (row.kind === "messages") {
      const safe = deduplicates();
      if (row.state === "sending" && !safe) {
        return { kind: "drop", why: "a crash left it unknown whether it had arrived" };
      }
      if (!safe) outbox.update(row, { state: "sending" });
      const sent = await client.messages(row.task, body.messages, { signal });
      return recordVerdict(row, sent, { outbox, patience, repeatable: safe });
    }
    if (row.kind === "usage") {
      return recordVerdict(row, await client.usage(row.task, body.usage, { signal }), { outbox, patience });
    }
    if (row.kind === "session") {
      return recordVerdict(row, await client.session(row.task, body, { signal }), { outbox, patience });
    }
    if (row.kind === "complete") {
      return outcomeVerdict(await client.complete(row.task, body, { signal }), "fail-instead");
    }
    if (row.kind === "fail") return outcomeVerdict(await client.fail(row.task, body, { signal }), "drop");
    return outcomeVerdict(
      await client.cancelAck(row.task, body, { signal }) as CallResult<TaskRow | undefined>,
      "drop",
    );
  }
}

function again(failure: CallFailure): Verdict {
  return { kind: "again", why: failure.detail, refusal: REFUSAL[answerOf(failure)] };
}

/** A server that is busy, or not up yet, has not looked at it. */
function answerOf(failure: CallFailure): keyof typeof REFUSAL {
  if (failure.code !== "status") return "none";
  if (failure.status === 500) return "error";
  return isTransient(failure) ? "none" : "definite";
}

/** Messages, usage and session: worth retrying, but never worth holding up an outcome for good. */
function recordVerdict(
  row: OutboxRow,
  result: CallResult<unknown>,
  { outbox, patience, repeatable = true }: { outbox: Outbox; patience: number; repeatable?: boolean },
): Verdict {
  if (result.kind === "ok") return { kind: "done" };
  if (result.code === "aborted") return again(result);
  if (isUncertain(result) && !repeatable) {
    return { kind: "drop", why: `unknown whether it had arrived: ${result.detail}` };
  }
  if (!isTransient(result) && !isMendable(result)) return { kind: "drop", why: result.detail };
  if (row.attempts + 1 >= patience && outbox.hasOutcome(row.task)) return { kind: "give-up", why: result.detail };
  return again(result);
}

/** Outcomes are sent until the server has given a definite answer; 200 with an unchanged row is one (wire protocol, trap 4). */
function outcomeVerdict(result: CallResult<TaskRow | undefined>, refused: "drop" | "fail-instead"): Verdict {
  if (result.kind === "ok") {
    const status = result.value?.status;
    return status === undefined || status === "" || isTerminal(status)
      ? { kind: "done" }
      : { kind: "drop", why: `the server left the task ${status}` };
  }
  if (result.gone === "task") return { kind: "drop", why: "the server does not know the task any more" };
  if (result.code === "aborted" || keepTrying(result)) return again(result);
  return { kind: refused, why: result.detail };
}

/** What a person can mend ends no result, and neither does a route that is missing: every server has this one. */
function keepTrying(failure: CallFailure): boolean {
  return isTransient(failure) || isMendable(failure) || failure.gone === "route";
}

function failureFrom(row: OutboxRow, why: string): string {
  const completed = JSON.parse(row.payload) as Partial<CompleteRequest>;
  return JSON.stringify({
    error: `The server refused the completed result: ${why}`,
    failure_reason: "agent_error.unknown",
    session_id: completed.session_id ?? "",
    work_dir: completed.work_dir ?? "",
    branch_name: completed.branch_name ?? "",
  });
}
