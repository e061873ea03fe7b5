/** The descendants of a child, kept from samples of the process table: for where a mark in the environment cannot be read. */
import type { Clock } from "../core/ports.ts";
import type { ProcessRow } from "./process_rows.ts";

/** A process by its pid and its start: a pid alone may be a stranger's by now. */
export type Known = ReadonlyMap<number, number>;

/**
 * Everything known that still runs, and what descends from it: children of it, and members of a process group that one of
 * it leads or is in outside ours. What was orphaned between two samples before it was seen is not found.
 */
export function descendants(rows: readonly ProcessRow[], known: Known): Map<number, number> {
  const living = rows.filter(({ zombie }) => !zombie);
  const found = new Map(
    living.filter(({ pid, start }) => start !== 0 && known.get(pid) === start).map(({ pid, start }) => [pid, start]),
  );
  const groups = new Set(living.filter(({ pid }) => found.has(pid)).map(({ group }) => group));
  for (let grown = true; grown;) {
    grown = false;
    for (const { pid, parent, group, start } of living) {
      if (found.has(pid) || !(found.has(parent) || groups.has(group))) continue;
      found.set(pid, start);
      groups.add(group);
      grown = true;
    }
  }
  return found;
}

/** Samples as long as anybody watches: one look at the table serves all. */
export class Lineages {
  readonly #watched = new Map<symbol, Map<number, number>>();
  readonly #look: () => Promise<readonly ProcessRow[]>;
  readonly #clock: Clock;
  readonly #everyMs: number;
  #next: Disposable | undefined;

  constructor(options: { look: () => Promise<readonly ProcessRow[]>; clock: Clock; everyMs: number }) {
    this.#look = options.look;
    this.#clock = options.clock;
    this.#everyMs = options.everyMs;
  }

  /** From now until it is disposed of. */
  watch(root: { pid: number; start: number }): Lineage {
    const key = Symbol();
    this.#watched.set(key, new Map([[root.pid, root.start]]));
    this.#arm();
    return {
      among: (rows) => {
        const known = this.#known(key, rows);
        return rows.filter(({ pid, start }) => pid !== root.pid && known.get(pid) === start);
      },
      [Symbol.dispose]: () => {
        this.#watched.delete(key);
        if (this.#watched.size > 0) return;
        this.#next?.[Symbol.dispose]();
        this.#next = undefined;
      },
    };
  }

  #known(key: symbol, rows: readonly ProcessRow[]): Map<number, number> {
    const known = descendants(rows, this.#watched.get(key) ?? new Map());
    this.#watched.set(key, known);
    return known;
  }

  #arm(): void {
    this.#next ??= this.#clock.after(this.#everyMs, () => void this.#sample());
  }

  async #sample(): Promise<void> {
    // One that could not be taken is taken again in a moment.
    const rows = await this.#look().catch(() => undefined);
    if (rows) { for (const key of [...this.#watched.keys()]) this.#known(key, rows); }
    this.#next = undefined;
    if (this.#watched.size > 0) this.#arm();
  }
}

export interface Lineage extends Disposable {
  /** Those of the rows that descend from the child, which is left out itself. */
  among(rows: readonly ProcessRow[]): readonly ProcessRow[];
}
