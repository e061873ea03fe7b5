/** May a daemon that its service manager has started begin its work: not against a stop, beside another one, or after too many failures. */
import type { BreakerVerdict } from "./breaker.ts";

export interface SupervisedLook {
  /** Somebody stopped it on purpose, and nobody has started it since. */
  readonly stopped: { readonly by: string; readonly at: string } | undefined;
  /** Who holds the home; `unknown` is starting, leaving, or a command's short look. */
  readonly holder: { readonly kind: "none" | "unknown" } | { readonly kind: "daemon" | "run"; readonly pid: number };
}

export type Admission =
  | { readonly kind: "start" }
  /** Look again after so many ms. */
  | { readonly kind: "wait"; readonly ms: number; readonly why: string }
  /** End in a way that the manager leaves it at. */
  | { readonly kind: "stand-down"; readonly why: string; readonly hint: string };

/** How often somebody who holds the home only for a while is looked at. */
const LOOK_MS = 2_000;
/** A breaker that closes sooner is waited for; ending would bring the manager's own delay on top. */
const PATIENCE_MS = 60_000;

export function admit({ stopped, holder }: SupervisedLook): Admission {
  if (stopped) {
    const why = `it was stopped on purpose (drover ${stopped.by}, ${stopped.at})`;
    return { kind: "stand-down", why, hint: "drover start takes that back" };
  }
  switch (holder.kind) {
    case "none":
      return { kind: "start" };
    case "daemon":
      return {
        kind: "stand-down",
        why: `a daemon that the service did not start (pid ${holder.pid}) runs already`,
        hint: "drover restart hands it over to the service",
      };
    case "run":
      return { kind: "wait", ms: LOOK_MS, why: `a drover run (pid ${holder.pid}) holds the home until its task ends` };
    case "unknown":
      return { kind: "wait", ms: LOOK_MS, why: "another process holds the home" };
  }
}

/** What the breaker says to a start that is otherwise admitted: for managers that would try for ever. */
export function admitByBreaker(verdict: BreakerVerdict, now: number): Admission {
  if (verdict.kind !== "hold") return { kind: "start" };
  const ms = verdict.until - now;
  if (ms <= PATIENCE_MS) return { kind: "wait", ms, why: "its last starts failed" };
  return {
    kind: "stand-down",
    why: "its starts failed too often",
    hint: "drover logs tells why; drover start --force tries again",
  };
}
