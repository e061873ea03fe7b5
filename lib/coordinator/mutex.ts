/** Turns for a connection that can only do one thing at a time, in the order in which they were asked for. */

export class Mutex {
  #busy = false;
  readonly #waiting: (() => void)[] = [];

  /** Has the turn when it resolves, and at once (with no promise) when nobody else has it. Each is given back by `release`. */
  acquire(): Promise<void> | undefined {
    if (this.#busy) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#busy = true;
    return undefined;
  }

  release(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#busy = false;
  }
}
