/** The heart of the simulated machine: every effect of every process is one step, and a seed decides which step is next. */

/** A process of the simulated machine. What it does is a promise chain; killing it means that its steps never come. */
export interface SimProcess {
  readonly pid: number;
  readonly startTicks: string;
  readonly name: string;
  alive: boolean;
  /** How many times slower than the others it is: a machine under load serves some and forgets one. */
  readonly slowness: number;
  /** Nothing it does happens before this time, as after SIGSTOP or while its event loop is stuck. */
  frozenUntil: number;
}

interface Step {
  at: number;
  readonly process: SimProcess;
  readonly label: string;
  /** Woken early when this happens. */
  readonly event: string | undefined;
  readonly run: () => void;
}

export interface Pace {
  /** How long an effect takes at most, ms. */
  readonly latencyMs: number;
  /** How much longer than asked a sleep takes at most, ms. */
  readonly oversleepMs: number;
}

/** More turns of the microtask queue than any chain between two effects needs. */
const MAX_TURNS = 60;
/** After a process has asked for its next effect: what else was woken by the same step. */
const EXTRA_TURNS = 4;

export class Scheduler {
  /** Ms since the simulation began; no process sees it but through the clock port. */
  time = 0;
  steps = 0;
  /** Only filled when somebody asked for it. */
  readonly trace: string[] | undefined;
  readonly random: () => number;
  readonly pace: Pace;
  /** Called before each step: faults and invariants. */
  onStep: () => void = () => {};
  #pending: Step[] = [];
  #activity = 0;
  readonly #told = new Map<string, readonly string[]>();

  constructor(options: { random: () => number; pace: Pace; trace: boolean }) {
    this.random = options.random;
    this.pace = options.pace;
    this.trace = options.trace ? [] : undefined;
  }

  /** Integer in [0, count). */
  below(count: number): number {
    return Math.floor(this.random() * count);
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  note(who: SimProcess | undefined, text: string): void {
    if (!this.trace || this.#isPoll(who?.name ?? "", text)) return;
    this.trace.push(`${(this.time / 1000).toFixed(3).padStart(9)} s  ${(who?.name ?? "machine").padEnd(14)} ${text}`);
  }

  /** What a process does again and again while it waits is told once. */
  #isPoll(name: string, text: string): boolean {
    const lately = this.#told.get(name) ?? [];
    this.#told.set(name, [...lately, text].slice(-6));
    return lately.includes(text);
  }

  /** One effect: it happens as a whole, some time from now, or never when its process is dead by then. */
  step<T>(process: SimProcess, label: string, effect: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#add(process, {
        label,
        at: this.time + this.random() * this.pace.latencyMs * process.slowness,
        run() {
          try {
            resolve(effect());
          } catch (error) {
            reject(error);
          }
        },
      });
    });
  }

  /** Wakes after `ms`, or soon after `event` is announced. */
  sleep(process: SimProcess, ms: number, options: { event?: string } = {}): Promise<void> {
    const at = this.time + ms + this.random() * this.pace.oversleepMs;
    return new Promise((resolve) => this.#add(process, { label: "", at, event: options.event, run: resolve }));
  }

  /** Runs `fn` once after `ms`. */
  after(process: SimProcess, ms: number, fn: () => void): Disposable {
    const step = this.#add(process, { label: "", at: this.time + ms, run: fn });
    return { [Symbol.dispose]: () => void (this.#pending = this.#pending.filter((other) => other !== step)) };
  }

  /** Whoever sleeps for it looks again within `spreadMs`, as a poll would. */
  announce(event: string, spreadMs: number): void {
    for (const step of this.#pending) {
      if (step.event === event) step.at = Math.min(step.at, this.time + this.random() * spreadMs);
    }
  }

  forget(process: SimProcess): void {
    this.#pending = this.#pending.filter((step) => step.process !== process);
    this.#activity++;
  }

  /** Takes steps until `done`, or there is none left. False when `maxSteps` was not enough. */
  async run(done: () => boolean, maxSteps: number): Promise<boolean> {
    await this.#settle(this.#activity);
    for (const end = this.steps + maxSteps; !done();) {
      if (this.steps >= end) return false;
      const seen = this.#activity;
      this.onStep();
      // A fault may have woken somebody.
      if (this.#activity !== seen) await this.#settle(this.#activity - 1);
      const step = this.#next();
      if (!step) return true;
      this.steps++;
      if (step.label) this.note(step.process, step.label);
      const before = this.#activity;
      step.run();
      await this.#settle(before);
    }
    return true;
  }

  #add(process: SimProcess, step: Omit<Step, "process" | "event"> & { event?: string }): Step {
    const whole: Step = { ...step, process, event: step.event };
    // What a dead process still asks for never happens.
    if (process.alive) this.#pending.push(whole);
    this.#activity++;
    return whole;
  }

  /** One of the steps that are due; when none is, time passes until one is. */
  #next(): Step | undefined {
    if (this.#pending.length === 0) return undefined;
    this.time += this.random();
    let due = 0;
    let earliest = Infinity;
    for (const step of this.#pending) {
      const at = Math.max(step.at, step.process.frozenUntil);
      if (at <= this.time) due++;
      else if (at < earliest) earliest = at;
    }
    if (due === 0) {
      if (earliest === Infinity) return undefined;
      this.time = earliest;
      due = this.#pending.filter((step) => Math.max(step.at, step.process.frozenUntil) <= this.time).length;
    }
    let chosen = this.below(due);
    const index = this.#pending.findIndex((step) =>
      Math.max(step.at, step.process.frozenUntil) <= this.time && chosen-- === 0
    );
    return this.#pending.splice(index, 1)[0];
  }

  /** Lets what the step woke run until it waits again. Counted turns, as a turn of the event loop costs 50 times more. */
  async #settle(before: number): Promise<void> {
    let turns = 0;
    while (this.#activity === before && turns++ < MAX_TURNS) await Promise.resolve();
    for (let i = 0; i < EXTRA_TURNS; i++) await Promise.resolve();
  }
}
