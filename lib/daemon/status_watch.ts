/** The status watch: asks the server about a running task, in an interval and on every hint, as a cancellation comes no other way. */
import type { StopReason } from "../core/message.ts";
import type { Clock } from "../core/ports.ts";
import { isTerminal } from "../core/task_state.ts";
import type { WireClient } from "../wire/client.ts";
import { createHintedWait } from "./hinted_wait.ts";

/** How often a cancellation is looked for without a hint (wire protocol 0.6). */
const STATUS_POLL_MS = 5_000;

export interface StatusWatch {
  /** Something may have changed: look now. */
  look(): void;
  /** Until the signal aborts. Every error but "task not found" means: go on (wire protocol 3.9). */
  run(signal: AbortSignal): Promise<void>;
}

export function createStatusWatch(
  client: WireClient,
  taskId: string,
  options: { clock: Clock; onStop: (reason: StopReason) => void },
): StatusWatch {
  const { clock, onStop } = options;
  // A hint may come while the status is being asked for: that answer may be older than the change.
  const wait = createHintedWait(clock);
  return {
    look: () => wait.hint(),
    async run(signal) {
      while (!signal.aborted) {
        await wait.pass(STATUS_POLL_MS, signal);
        if (signal.aborted) return;
        const reason = await stopReasonFor(client, taskId, { signal });
        if (reason && !signal.aborted) onStop(reason);
      }
    },
  };
}

/** Why the server wants a task to end, as its status tells; `undefined` while it may go on. */
export async function stopReasonFor(
  client: WireClient,
  taskId: string,
  options: { signal?: AbortSignal } = {},
): Promise<StopReason | undefined> {
  const status = await client.status(taskId, options);
  if (status.kind === "ok") return isTerminal(status.value) ? { kind: "cancelled", by: "server" } : undefined;
  return status.gone === "task" ? { kind: "gone" } : undefined;
}
