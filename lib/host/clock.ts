/** The real clock: the only place that reads time and sets timers. */
import type { Clock } from "../core/ports.ts";

/** The runtime counts a timer's milliseconds in 32 bits and lets a longer one fire at once; those go in several legs. */
const LONGEST_LEG_MS = 2 ** 31 - 1;

export function createClock(): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    after: (ms, fn) => startTimer(ms, fn, { holdsProcess: false }),
    sleep(ms, options = {}) {
      const { signal } = options;
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const abort = () => {
          timer[Symbol.dispose]();
          reject(signal?.reason);
        };
        const timer = startTimer(ms, () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        }, { holdsProcess: true });
        signal?.addEventListener("abort", abort, { once: true });
      });
    },
  };
}

function startTimer(ms: number, fn: () => void, { holdsProcess }: { holdsProcess: boolean }): Disposable {
  let timer: ReturnType<typeof setTimeout>;
  const start = (left: number) => {
    const leg = Math.min(left, LONGEST_LEG_MS);
    timer = setTimeout(() => left > leg ? start(left - leg) : fn(), leg);
    if (!holdsProcess) unref(timer);
  };
  start(ms);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/** Timers are numbers up to Deno 2.7 and objects after it; both can be told not to hold the process. */
function unref(timer: ReturnType<typeof setTimeout>): void {
  Deno.unrefTimer(timer as unknown as number);
}
