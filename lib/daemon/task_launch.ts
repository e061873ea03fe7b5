/** Starting a task's agent: never while its program is being replaced, and once more when the system could not start it. */
import type { Outcome } from "../core/message.ts";
import { type Child, HostError } from "../core/ports.ts";
import type { BinaryWatch } from "./binary_watch.ts";

/** An npm upgrade takes 1 to 5 s; a task that waits for longer is better tried again later. */
export const LAUNCH_WAIT_MS = 60_000;

/** Nothing when the program can be started, or nobody watches it. Retried, as it is probably there again by then. */
export async function waitForProgram(
  provider: string,
  options: { launchable?: BinaryWatch["launchable"]; signal: AbortSignal; distrust: boolean },
): Promise<Outcome | undefined> {
  const { launchable, signal, distrust } = options;
  const verdict = await launchable?.(provider, { limitMs: LAUNCH_WAIT_MS, signal, distrust });
  if (verdict?.kind !== "no") return undefined;
  return { kind: "failed", reason: "runtime_offline", detail: `The agent CLI cannot be started: ${verdict.why}` };
}

/**
 * The process, or why there is none. `wait`: the last look before a start, which comes after the server was told; with
 * `distrust` after a start that failed. Without it nobody watches the program, and what is there is all there will be.
 */
export async function startAgent(
  spawn: () => Child,
  wait?: (distrust: boolean) => Promise<Outcome | undefined>,
): Promise<Child | Outcome> {
  for (let again = false;; again = true) {
    const held = await wait?.(again);
    if (held) return held;
    try {
      return spawn();
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      const unstartable = error.code === "not-found" || error.code === "not-executable";
      if (unstartable && wait && !again) continue;
      const missing = wait ? "runtime_offline" : "agent_error.runtime_missing_executable";
      return {
        kind: "failed",
        reason: unstartable ? missing : "agent_error.process_failure",
        detail: error.message,
      };
    }
  }
}
