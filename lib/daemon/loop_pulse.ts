/** The pulse of the work loops: each beats when it comes round, and the one that has not for longest tells whether work moves. */
import type { Clock } from "../core/ports.ts";

export interface LoopPulse {
  beat(loop: string): void;
  /** How long ago the loop beat that has been silent for longest; 0 before the first beat. */
  stalledMs(): number;
}

export function createLoopPulse(clock: Clock): LoopPulse {
  const last = new Map<string, number>();
  return {
    beat: (loop) => void last.set(loop, clock.monotonic()),
    stalledMs: () => last.size === 0 ? 0 : clock.monotonic() - Math.min(...last.values()),
  };
}
