/** When a heartbeat over the WebSocket spares the one over HTTP, and when a forgotten runtime is registered again. */
import { LEASE } from "./lease.ts";

/** An answer younger than this is a beat that arrived (wire protocol 2.4). */
const FRESH_MS = 2 * LEASE.heartbeatMs;

/** Answers over the connection that is open; all of them are forgotten with it. */
export class BeatFreshness {
  readonly #acks = new Map<string, number>();

  acked(runtime: string, now: number): void {
    this.#acks.set(runtime, now);
  }

  isFresh(runtime: string, now: number): boolean {
    const at = this.#acks.get(runtime);
    return at !== undefined && now - at < FRESH_MS;
  }

  forget(): void {
    this.#acks.clear();
  }
}

/** Many runtimes of a workspace are forgotten together, and each beat of each tells so: one registration is for all. */
export const HEAL = { waveMs: 30_000, afterFailureMs: 60_000 } as const;

/** Whether the workspace may be registered again now; `last` is the latest such registration. */
export function mayHeal(last: { readonly at: number; readonly worked: boolean } | undefined, now: number): boolean {
  if (!last) return true;
  return now - last.at >= (last.worked ? HEAL.waveMs : HEAL.afterFailureMs);
}
