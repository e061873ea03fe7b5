/** The latest progress line of tasks in flight. Worth nothing after a restart, so it is not stored. */
import type { Tell } from "./notices.ts";

/** Far more than tasks in flight; the end of a task that another process did not tell must not cost memory for ever. */
const LIMIT = 10_000;

export class Progress {
  readonly #lines = new Map<string, string>();
  readonly #tell: Tell;

  constructor(tell: Tell = () => {}) {
    this.#tell = tell;
  }

  get(taskId: string): string | undefined {
    return this.#lines.get(taskId);
  }

  set(taskId: string, line: string): void {
    this.hear(taskId, line);
    this.#tell({ progress: taskId, line });
  }

  delete(taskId: string): void {
    this.hear(taskId, null);
    this.#tell({ progress: taskId, line: null });
  }

  /** What another process was told; `null` when the task is over. */
  hear(taskId: string, line: string | null): void {
    this.#lines.delete(taskId);
    if (line === null) return;
    this.#lines.set(taskId, line);
    const [oldest] = this.#lines.keys();
    if (this.#lines.size > LIMIT && oldest !== undefined) this.#lines.delete(oldest);
  }
}
