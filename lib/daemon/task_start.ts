/** Reporting `start`: spawn only after a definite yes; an ambiguous answer is settled by reading the task's status. */
import { LEASE } from "../core/lease.ts";
import { backoffDelay } from "../core/pace.ts";
import type { Clock, Random } from "../core/ports.ts";
import { isTerminal } from "../core/task_state.ts";
import type { WireClient } from "../wire/client.ts";
import { isMendable, isTransient, isUncertain } from "../wire/retry.ts";

export type StartVerdict =
  | { readonly kind: "go" }
  /** Somebody else runs it, it ended, or it will be offered again: no process, no report. */
  | { readonly kind: "drop"; readonly why: string }
  /** It may be running in the server's eyes, which nobody else will ever end: no process, but a report. */
  | { readonly kind: "unknown"; readonly why: string }
  | { readonly kind: "refused"; readonly why: string };

/** Where certainly nothing happened: the server offers the task again. */
const MAX_TRIES = 4;
const BACKOFF = { firstMs: 250, maxMs: 4_000 } as const;
/** Where something may have happened, a server that was restarted or cut off is waited for. */
const DOUBT_LIMIT_MS = LEASE.prepareLimitMs;

/**
 * `start` is not idempotent and its 400 is ambiguous (wire protocol, trap 3): failing a task that runs elsewhere would
 * kill a good run. An answer that was lost may mean that it worked, so `running` after that is ours.
 */
export async function reportStart(
  client: WireClient,
  taskId: string,
  options: { clock: Clock; random: Random; signal: AbortSignal },
): Promise<StartVerdict> {
  const { clock, random, signal } = options;
  const since = clock.monotonic();
  let mayHaveWorked = false;
  let why = "";
  for (let tries = 1;; tries++) {
    const started = await client.start(taskId, { signal });
    if (started.kind === "ok") return { kind: "go" };
    why = started.detail;
    if (started.gone === "task") return { kind: "drop", why };
    if (started.code === "aborted") return { kind: "drop", why };
    if (isUncertain(started)) mayHaveWorked = true;
    // A credential that ran out must not cost the task: it is offered again once the server lets us in.
    else if (!isTransient(started) && !isMendable(started) && started.status !== 400) return { kind: "refused", why };

    const status = await client.status(taskId, { signal });
    if (status.kind === "ok") {
      if (status.value === "running") {
        return mayHaveWorked ? { kind: "go" } : { kind: "drop", why: "it runs elsewhere" };
      }
      if (isTerminal(status.value)) return { kind: "drop", why: `it is ${status.value}` };
      if (started.status === 400) return { kind: "refused", why };
    } else if (status.gone === "task") return { kind: "drop", why: status.detail };
    // A status that says "not started" clears the doubt.
    const inDoubt = mayHaveWorked && status.kind !== "ok";
    if (inDoubt ? clock.monotonic() - since >= DOUBT_LIMIT_MS : tries >= MAX_TRIES) {
      return { kind: inDoubt ? "unknown" : "drop", why: `no definite answer in ${tries} tries: ${why}` };
    }
    await clock.sleep(backoffDelay(tries, BACKOFF, random.fraction()), { signal }).catch(() => {});
    if (signal.aborted) return { kind: "drop", why };
  }
}
