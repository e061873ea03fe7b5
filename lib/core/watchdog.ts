/** How long a run may go on and how long it may be silent: time counts only while we are there to see it pass. */
import type { AgentMessage, StopReason } from "./message.ts";

/** All in milliseconds. */
export interface WatchdogLimits {
  /** The whole run. */
  readonly timeMs: number;
  /** Nothing said, with no tool at work. */
  readonly silenceMs: number;
  /** Nothing said, since a tool began that has not answered yet. */
  readonly toolMs: number;
}

interface Tool {
  readonly callId: string;
  readonly name: string;
  /** Counted time at which it began. */
  readonly at: number;
}

/** Times in it are counted time: ms of the run that went by before our eyes. */
export interface Watchdog {
  readonly limits: WatchdogLimits;
  /** The clock's time of the latest tick. */
  readonly clock: number;
  readonly passed: number;
  /** The same without what the run waited for a person. */
  readonly worked: number;
  /** `worked` at the tick after something was last said. */
  readonly heardAt: number;
  /** Something was said since the latest tick. */
  readonly heard: boolean;
  readonly tools: readonly Tool[];
  /** What was said last of each kind that says nothing new when it is repeated. */
  readonly repeated: Readonly<Partial<Record<AgentMessage["kind"], string>>>;
}

export type WatchdogEvent =
  | { readonly kind: "said"; readonly message: AgentMessage }
  /** `waiting`: a person is asked, whose time is not the agent's. */
  | { readonly kind: "tick"; readonly waiting: boolean };

export interface WatchdogStep {
  readonly watchdog: Watchdog;
  /** The next tick is due after so many ms. */
  readonly nextMs: number;
  readonly stop?: Extract<StopReason, { kind: "time-limit" | "silence-limit" | "tool-limit" }>;
}

const TICK_MS = { min: 20, max: 5_000 } as const;

/** `now` is of a clock that never goes back; whether it stops while the machine sleeps makes no difference. */
export function startWatchdog(limits: WatchdogLimits, now: number): WatchdogStep {
  const watchdog = { limits, clock: now, passed: 0, worked: 0, heardAt: 0, heard: false, tools: [], repeated: {} };
  return { watchdog, nextMs: nextTick(watchdog) };
}

export function stepWatchdog(before: Watchdog, event: WatchdogEvent, now: number): WatchdogStep {
  if (event.kind === "said") {
    // Time is counted by the ticks alone; what is said between two belongs to the next.
    const watchdog = hear(before, event.message);
    return { watchdog, nextMs: nextTick(watchdog) };
  }
  const passed = seen(before, now - before.clock);
  const worked = before.worked + (event.waiting ? 0 : passed);
  const watchdog = {
    ...before,
    clock: now,
    passed: before.passed + passed,
    worked,
    heardAt: before.heard ? worked : before.heardAt,
    heard: false,
  };
  const stop = overdue(watchdog);
  return { watchdog, nextMs: nextTick(watchdog), ...(stop ? { stop } : {}) };
}

/** A tick that comes late by far was slept through, by the machine or by us: of that no more than a tick is counted. */
function seen({ limits }: Watchdog, ms: number): number {
  const tick = tickMs(limits);
  return ms > 3 * tick + 1_000 ? tick : Math.max(0, ms);
}

function tickMs({ timeMs, silenceMs, toolMs }: WatchdogLimits): number {
  return Math.min(TICK_MS.max, Math.max(TICK_MS.min, Math.min(timeMs, silenceMs, toolMs) / 20));
}

/** Regularly, and right when the time is up. */
function nextTick({ limits, passed }: Watchdog): number {
  return Math.max(1, Math.min(tickMs(limits), limits.timeMs - passed));
}

function hear(before: Watchdog, message: AgentMessage): Watchdog {
  const { worked, tools, repeated } = before;
  const mark = repeatable(message);
  if (mark !== undefined && repeated[message.kind] === mark) return before;
  const heard = { ...before, heard: true };
  if (mark !== undefined) return { ...heard, repeated: { ...repeated, [message.kind]: mark } };
  if (message.kind === "tool-use") {
    return { ...heard, tools: [...tools, { callId: message.callId, name: message.tool, at: worked }] };
  }
  if (message.kind === "tool-result" && tools.length > 0) {
    return { ...heard, tools: tools.filter(({ callId }) => callId !== message.callId) };
  }
  return heard;
}

/** Said again word for word these are signs of life of the program, not of its work. */
function repeatable(message: AgentMessage): string | undefined {
  switch (message.kind) {
    case "session":
      return message.sessionId;
    case "error":
      return message.text;
    case "usage":
      return JSON.stringify(message.usage);
    case "text":
    case "thinking":
      return message.text === "" ? "" : undefined;
    default:
      return undefined;
  }
}

/** A tool makes silence good for as long as a tool may take, and one whose answer got lost for no longer. */
function overdue({ limits, passed, worked, heardAt, tools }: Watchdog): WatchdogStep["stop"] {
  const { timeMs, silenceMs, toolMs } = limits;
  if (passed >= timeMs) return { kind: "time-limit", limitMs: timeMs };
  const quiet = worked - heardAt;
  const latest = tools.at(-1);
  if (!latest) return quiet >= silenceMs ? { kind: "silence-limit", limitMs: silenceMs } : undefined;
  if (worked - latest.at < toolMs || quiet < Math.min(silenceMs, toolMs)) return undefined;
  return { kind: "tool-limit", limitMs: toolMs, tool: latest.name };
}
