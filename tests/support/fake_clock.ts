/** A clock that stands still until a test advances it: for everything that takes the `Clock` port. */
import type { Clock } from "../../lib/core/ports.ts";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

/** Noon on an ordinary day: whole seconds, far from any border. */
const START = Date.UTC(2026, 0, 15, 12);

export class FakeClock implements Clock {
  #now: number;
  #monotonic = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();

  /** `start` in ms since 1970. */
  constructor(start = START) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  after(ms: number, fn: () => void): Disposable {
    const timer: Timer = { at: this.#monotonic + Math.max(0, ms), order: this.#order++, fire: fn };
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }

  sleep(ms: number, options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const abort = () => {
        timer[Symbol.dispose]();
        reject(signal?.reason);
      };
      const timer = this.after(ms, () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      });
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  /** How many timers and sleeps are waiting. */
  get waiting(): number {
    return this.#timers.size;
  }

  /** In how many ms the next of them falls due; Infinity without any. */
  get nextIn(): number {
    return (this.#next(Infinity)?.at ?? Infinity) - this.#monotonic;
  }

  /**
   * Lets `ms` pass: every timer that falls due runs at its own time, in order, and before and after each one whatever it
   * woke runs until it waits again, so that a loop that sleeps anew is served as often as its turn comes.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#monotonic + ms;
    await this.settle();
    for (let timer = this.#next(end); timer; timer = this.#next(end)) {
      this.#timers.delete(timer);
      this.#pass(timer.at);
      timer.fire();
      await this.settle();
    }
    this.#pass(end);
  }

  /** Moves the wall clock alone, as a correction of the system's time or a daylight change of a bad clock would. */
  shiftWall(ms: number): void {
    this.#now += ms;
  }

  /** Runs what is ready to run, without letting time pass: one turn of the event loop, all microtasks included. */
  settle(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, 0));
  }

  #next(end: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.at > end) continue;
      if (!next || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer;
    }
    return next;
  }

  #pass(to: number): void {
    this.#now += to - this.#monotonic;
    this.#monotonic = to;
  }
}
