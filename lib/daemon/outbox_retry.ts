/** An outbox that could not be written is tried again, only while records are in memory alone: an idle daemon has no timer for it. */
import type { Clock, Logger } from "../core/ports.ts";
import type { Outbox } from "./outbox.ts";

const PERSIST_RETRY_MS = 5_000;

export class OutboxRetry implements Disposable {
  readonly #options: { clock: Clock; log: Logger; outbox: () => Outbox; onWritten: () => void };
  #timer: Disposable | undefined;
  #disposed = false;

  constructor(options: { clock: Clock; log: Logger; outbox: () => Outbox; onWritten: () => void }) {
    this.#options = options;
  }

  later(): void {
    const { clock, log, outbox, onWritten } = this.#options;
    if (this.#disposed) return;
    this.#timer ??= clock.after(PERSIST_RETRY_MS, () => {
      this.#timer = undefined;
      if (!outbox().persist()) return this.later();
      log.info("outbox can be written again");
      onWritten();
    });
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#timer?.[Symbol.dispose]();
  }
}
