/** How a watched agent CLI is shown to people: what state it is in, what waits for it, and why. */
import type { SkippedProvider } from "../core/model.ts";
import { confirmedChange, type WatchState } from "../core/reload.ts";
import type { Deed } from "../core/reload_gate.ts";
import type { ReloadPending, RuntimeBinary } from "./status.ts";
import type { WatchedProgram } from "./watched_program.ts";

/** What a believed change waits for, by what the settings say about it. */
export const WAITS_FOR: { readonly [D in Deed]: string } = {
  ignore: "reload.binaries is off",
  tell: "reload.binaries is notify: drover restart registers it",
  refresh: "a server does not know it yet",
  restart: "the daemon restarts for it when its tasks are done",
};

export const WAITS_FOR_TASKS = "its tasks are not done yet";

const STATES: { readonly [K in WatchState["kind"]]: string } = {
  unchanged: "is as it was",
  reverted: "is as it was",
  replacing: "is being replaced",
  changed: "was replaced, and its new version does not answer --version",
  missing: "is missing",
  "not-executable": "is not executable",
  unreadable: "cannot be read",
  absent: "is gone",
};

/** In the watch's own time. */
interface Waits extends Omit<ReloadPending, "blockedBy" | "deadline"> {
  readonly why: string;
}

/** `offered`: servers know it. */
export function pendingOf(
  { path, provider, watch, refusal }: WatchedProgram,
  { offered, deed }: { offered: boolean; deed: Deed },
): Waits | undefined {
  const { state, registered, pending } = watch;
  const base = { provider, binary: path, oldDigest: registered?.digest ?? "" };
  if (pending) {
    const why = confirmedChange(watch) ? WAITS_FOR[deed] : "its new version is not known yet";
    return { ...base, since: pending.since, reason: "agent_binary_changed", newDigest: pending.digest, why };
  }
  if (state.kind !== "absent" || !offered) return undefined;
  const why = refusal && state.why === "rejected" ? `${refusal.detail}; ${WAITS_FOR_TASKS}` : WAITS_FOR_TASKS;
  return { ...base, since: state.since, reason: "agent_binary_gone", newDigest: state.digest ?? "", why };
}

/** `wall` turns the watch's time into ms since 1970. */
export function binaryOf(
  { watch: { state, registered } }: WatchedProgram,
  registeredAt: number,
  wall: (at: number) => number,
): RuntimeBinary {
  const digest = shortDigest(registered?.digest);
  if (state.kind === "unchanged") return { digest, since: registeredAt };
  return { digest, since: wall(state.since), state: state.kind };
}

/** Enough to tell one program from another by eye. */
export function shortDigest(digest = ""): string {
  return digest.slice(0, 12);
}

/** One line about a program that cannot be used right now. */
export function reasonOf({ path, watch, refusal }: WatchedProgram, { waitedMs = 0 } = {}): string {
  const { state } = watch;
  if (state.kind === "absent" && state.why === "rejected" && refusal) return refusal.detail;
  const waited = state.kind === "absent" || waitedMs === 0 ? "" : `, and still was after ${waitedMs / 1000} s`;
  return `${path} ${STATES[state.kind]}${waited}`;
}

export function goneFrom(program: WatchedProgram): SkippedProvider {
  const detail = `${reasonOf(program)}; install it again, and it registers by itself`;
  return { provider: program.provider, why: "not-found", detail };
}
