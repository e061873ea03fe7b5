/** The wait between two looks, which a hint cuts short; one that comes during a look is kept for the wait after it. */
import type { Clock } from "../core/ports.ts";

export interface HintedWait {
  /** Several before the next look are one. */
  hint(): void;
  /** Until the time is over, a hint has come, or the signal aborts. Never rejects. */
  pass(ms: number, signal: AbortSignal): Promise<void>;
}

export function createHintedWait(clock: Clock): HintedWait {
  let hinted = false;
  let wake = () => {};
  const pause = (ms: number, signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      const done = () => {
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", done);
        wake = () => {};
        resolve();
      };
      const timer = clock.after(ms, done);
      signal.addEventListener("abort", done, { once: true });
      wake = done;
    });
  return {
    hint() {
      hinted = true;
      wake();
    },
    async pass(ms, signal) {
      if (!hinted && !signal.aborted) await pause(ms, signal);
      hinted = false;
    },
  };
}
