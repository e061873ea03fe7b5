/** The pool: N numbered slots, who is in them, and who waits for one to come free. */

export interface Slot extends Disposable {
  /** 0 … N-1; stable for the slot's life, shown to the agent. */
  readonly index: number;
}

export interface Pool {
  readonly size: number;
  readonly running: number;
  /** Free slots promised to claim calls on their way. */
  readonly claiming: number;
  /** Slots that were taken under this label. */
  runningOf(label: string): number;
  /** Promises `count` slots to a claim; disposing it gives back what was not taken. */
  reserve(count: number): Reservation;
  /** Called whenever a slot comes free. */
  onFree(listener: () => void): Disposable;
}

export interface Reservation extends Disposable {
  /** Turns one promised slot into a taken one. `undefined` when the server sent more tasks than were asked for. */
  take(label?: string): Slot | undefined;
}

/** A size that shrinks takes nobody's slot away: there are just no new ones until enough came free. */
export function createPool(size: number | (() => number)): Pool {
  return new SlotPool(typeof size === "number" ? () => size : size);
}

class SlotPool implements Pool {
  readonly #size: () => number;
  readonly #taken = new Map<number, string>();
  readonly #listeners = new Set<() => void>();
  #claiming = 0;

  constructor(size: () => number) {
    this.#size = size;
  }

  get size(): number {
    return this.#size();
  }

  get running(): number {
    return this.#taken.size;
  }

  get claiming(): number {
    return this.#claiming;
  }

  runningOf(label: string): number {
    return [...this.#taken.values()].filter((one) => one === label).length;
  }

  reserve(count: number): Reservation {
    const free = this.size - this.#taken.size - this.#claiming;
    if (count > free) throw new RangeError(`Cannot reserve ${count} slots: ${free} of ${this.size} are free`);
    let left = count;
    this.#claiming += count;
    return {
      take: (label = "") => {
        if (left === 0) return undefined;
        left--;
        this.#claiming--;
        return this.#take(label);
      },
      [Symbol.dispose]: () => {
        this.#claiming -= left;
        left = 0;
      },
    };
  }

  onFree(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #take(label: string): Slot {
    let index = 0;
    while (this.#taken.has(index)) index++;
    this.#taken.set(index, label);
    let held = true;
    return {
      index,
      [Symbol.dispose]: () => {
        // A second time the number may be another's.
        if (!held) return;
        held = false;
        this.#taken.delete(index);
        for (const listener of this.#listeners) listener();
      },
    };
  }
}
