/** The time limits of one run: who watches the clock while an agent works, and what stops it. */
import type { AgentMessage, StopReason } from "../core/message.ts";
import type { Clock } from "../core/ports.ts";
import { startWatchdog, stepWatchdog, type WatchdogEvent } from "../core/watchdog.ts";

export interface RunLimits extends Disposable {
  /** Each thing the agent said, in order. */
  saw(message: AgentMessage): void;
}

/** All in ms. */
export interface RunLimitSettings {
  /** Wall-clock limit of a run, unless the task brings its own. */
  readonly timeLimitMs: number;
  /** How long an agent may say nothing; for ever when absent. */
  readonly silenceLimitMs?: number;
  /** The same while one of its tools is at work. */
  readonly toolLimitMs?: number;
}

export interface RunLimitsOptions extends RunLimitSettings {
  readonly clock: Clock;
  /** Whether a person is asked at this moment. */
  readonly waiting: () => boolean;
  /** Called once at most. */
  readonly stop: (reason: StopReason) => void;
}

/** Watches from now on, until it is disposed of. */
export function createRunLimits(options: RunLimitsOptions): RunLimits {
  const { clock, waiting, stop, timeLimitMs, silenceLimitMs = Infinity, toolLimitMs = Infinity } = options;
  const limits = { timeMs: timeLimitMs, silenceMs: silenceLimitMs, toolMs: toolLimitMs };
  let { watchdog, nextMs } = startWatchdog(limits, clock.monotonic());
  let timer: Disposable | undefined;
  const step = (event: WatchdogEvent) => {
    const next = stepWatchdog(watchdog, event, clock.monotonic());
    ({ watchdog, nextMs } = next);
    return next.stop;
  };
  const arm = () => {
    timer = clock.after(nextMs, () => {
      const reason = step({ kind: "tick", waiting: waiting() });
      if (reason) stop(reason);
      else arm();
    });
  };
  arm();
  return {
    saw: (message) => void step({ kind: "said", message }),
    [Symbol.dispose]: () => timer?.[Symbol.dispose](),
  };
}
