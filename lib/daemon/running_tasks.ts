/** The tasks that have a place on this machine right now: whose token asks, and which directories nobody may remove. */
import type { ClaimedTask } from "../wire/payloads.ts";
import type { Connection } from "./connection.ts";

export interface RunningTask {
  readonly task: ClaimedTask;
  readonly connection: Connection;
  /** Where its agent works; empty while that is being prepared. */
  workdir: string;
}

export class RunningTasks {
  readonly #tasks = new Map<RunningTask, readonly string[]>();
  readonly #removals = new Map<string, Promise<void>>();

  /** The task until it is disposed; waits until none of its directories is being removed. */
  async enter(task: RunningTask, roots: readonly string[]): Promise<Disposable> {
    this.#tasks.set(task, roots);
    for (const root of roots) await this.#removals.get(root);
    return { [Symbol.dispose]: () => void this.#tasks.delete(task) };
  }

  /** By the token that its agent was given. */
  byToken(token: string): RunningTask | undefined {
    if (token === "") return undefined;
    return [...this.#tasks.keys()].find(({ task, workdir }) => task.auth_token === token && workdir !== "");
  }

  uses(root: string): boolean {
    return [...this.#tasks.values()].some((roots) => roots.includes(root));
  }

  /** Does `remove` unless a task uses the directory; one that comes meanwhile waits for its end. */
  async removing(root: string, remove: () => Promise<void>): Promise<boolean> {
    while (this.#removals.has(root)) await this.#removals.get(root);
    if (this.uses(root)) return false;
    const done = remove();
    const settled = done.then(() => {}, () => {});
    this.#removals.set(root, settled);
    try {
      await done;
      return true;
    } finally {
      if (this.#removals.get(root) === settled) this.#removals.delete(root);
    }
  }
}
