/** The time limits of one run: who watches the clock while an agent works, and what stops it. */
import type { AgentMessage, StopReason } from "../core/message.ts";
import type { Clock } from "../core/ports.ts";

export interface RunLimits extends Disposable {
  /** Each thing the agent said, in order. */
  saw(message: AgentMessage): void;
}

export interface RunLimitsOptions {
  readonly clock: Clock;
  /** Of the whole run, in ms. */
  readonly timeLimitMs: number;
  readonly stop: (reason: StopReason) => void;
}

/** Watches from now on, until it is disposed of. */
export function createRunLimits({ clock, timeLimitMs, stop }: RunLimitsOptions): RunLimits {
  const limit = clock.after(timeLimitMs, () => stop({ kind: "time-limit", limitMs: timeLimitMs }));
  return {
    saw() {},
    [Symbol.dispose]: () => limit[Symbol.dispose](),
  };
}
