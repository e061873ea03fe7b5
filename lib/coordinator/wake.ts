/** Wake-ups: hints to daemons that there may be work, and to followers that a task has changed; other processes are told, too. */
import type { Clock, Logger } from "../core/ports.ts";
import type { Wakeup } from "./coordinator.ts";
import type { Tell } from "./notices.ts";

/** A subscriber that does not read keeps at most this many hints; further ones add nothing, as it has to look anyway. */
const BACKLOG = 1_000;

interface Subscriber {
  readonly backlog: Wakeup[];
  /** Resolves the read that waits, if one does. */
  awake: (() => void) | undefined;
}

/** Hints to daemons. Losing one costs latency and never work. */
export class Wakeups {
  readonly #clock: Clock;
  readonly #subscribers = new Set<Subscriber>();
  readonly #listeners = new Set<(wakeup: Wakeup) => void>();
  readonly #timers = new Set<Disposable>();
  readonly #closed = new AbortController();
  readonly #tell: Tell;

  constructor(clock: Clock, tell: Tell = () => {}) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** Hears everything from this call on, read or not, until the signal aborts or the coordinator closes: then it ends. */
  subscribe(signal: AbortSignal): AsyncIterable<Wakeup> {
    const subscriber: Subscriber = { backlog: [], awake: undefined };
    const ended = () => signal.aborted || this.#closed.signal.aborted;
    const wake = () => subscriber.awake?.();
    const leave = () => {
      this.#subscribers.delete(subscriber);
      signal.removeEventListener("abort", leave);
      wake();
    };
    if (!ended()) {
      this.#subscribers.add(subscriber);
      signal.addEventListener("abort", leave, { once: true });
    }
    const next = async (): Promise<IteratorResult<Wakeup, undefined>> => {
      while (!ended()) {
        const wakeup = subscriber.backlog.shift();
        if (wakeup) return { done: false, value: wakeup };
        await new Promise<void>((resolve) => subscriber.awake = resolve);
      }
      leave();
      return { done: true, value: undefined };
    };
    const stop = (): Promise<IteratorResult<Wakeup, undefined>> => {
      leave();
      return Promise.resolve({ done: true, value: undefined });
    };
    return { [Symbol.asyncIterator]: () => ({ next, return: stop }) };
  }

  /** Called with each hint in the turn in which it comes, for who passes all of them on at once. Must not throw. */
  listen(heard: (wakeup: Wakeup) => void): Disposable {
    this.#listeners.add(heard);
    return { [Symbol.dispose]: () => void this.#listeners.delete(heard) };
  }

  publish(wakeup: Wakeup): void {
    this.hear(wakeup);
    this.#tell({ wakeup });
  }

  /** What another process has published. */
  hear(wakeup: Wakeup): void {
    for (const heard of this.#listeners) heard(wakeup);
    for (const { backlog, awake } of this.#subscribers) {
      if (backlog.length < BACKLOG && !backlog.some((waiting) => sameHint(waiting, wakeup))) backlog.push(wakeup);
      awake?.();
    }
  }

  /** For work that becomes due by itself. Forgotten at the end of the process: the next poll finds the work anyway. */
  publishLater(wakeup: Wakeup, options: { afterMs: number }): void {
    const timer = this.#clock.after(options.afterMs, () => {
      this.#timers.delete(timer);
      this.publish(wakeup);
    });
    this.#timers.add(timer);
  }

  get size(): number {
    return this.#subscribers.size;
  }

  close(): void {
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.#timers.clear();
    this.#closed.abort();
    for (const subscriber of this.#subscribers) subscriber.awake?.();
    this.#subscribers.clear();
  }
}

function sameHint(a: Wakeup, b: Wakeup): boolean {
  return a.kind === b.kind && a.workspaceId === b.workspaceId && a.userId === b.userId &&
    a.runtimeId === b.runtimeId && a.taskId === b.taskId;
}

export interface Follower {
  /** The task or its messages changed. Called right after the commit, in the same turn. */
  changed(): void;
  /** Nothing more will come. */
  closed(): void;
}

/** Who follows which task. */
export class Topics {
  readonly #log: Logger;
  readonly #followers = new Map<string, Set<Follower>>();
  readonly #tell: Tell;

  constructor(log: Logger, tell: Tell = () => {}) {
    this.#log = log;
    this.#tell = tell;
  }

  follow(taskId: string, follower: Follower): Disposable {
    const followers = this.#followers.get(taskId) ?? new Set();
    this.#followers.set(taskId, followers.add(follower));
    return {
      [Symbol.dispose]: () => {
        followers.delete(follower);
        if (followers.size === 0 && this.#followers.get(taskId) === followers) this.#followers.delete(taskId);
      },
    };
  }

  notify(taskId: string): void {
    this.hear(taskId);
    this.#tell({ task: taskId });
  }

  /** What another process has noticed. */
  hear(taskId: string): void {
    for (const follower of [...this.#followers.get(taskId) ?? []]) {
      try {
        follower.changed();
      } catch (error) {
        // The change is committed: a follower in trouble must not make its sender believe otherwise.
        this.#log.error("A follower of a task could not be served", { task: taskId, error });
      }
    }
  }

  /** How many tasks are being followed. */
  get size(): number {
    return this.#followers.size;
  }

  close(): void {
    for (const followers of [...this.#followers.values()]) for (const follower of [...followers]) follower.closed();
    this.#followers.clear();
  }
}
