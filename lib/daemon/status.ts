/** What a daemon says about itself: one object for `status`, logs and tests, made from snapshots. */
import type { Budget } from "../core/claim_budget.ts";
import type { TodayView } from "../core/day_limits.ts";
import { type Runtime, runtimeKey, type SkippedProvider } from "../core/model.ts";
import type { Phase } from "../core/phase.ts";
import type { WatchState } from "../core/reload.ts";
import type { PauseView } from "../core/runtime_pause.ts";
import type { BinaryWatch } from "./binary_watch.ts";
import type { DaemonPauses } from "./claim_gate.ts";
import type { Connection } from "./connection.ts";
import type { RunView } from "./task_runner.ts";

/** The program behind a runtime, where it is watched. */
export interface RuntimeBinary {
  /** Of what is registered: the first 12 hex digits, empty until it was read. */
  readonly digest: string;
  /** Since when it is so, in ms since 1970. */
  readonly since: number;
  /** Absent while nothing is going on. */
  readonly state?: Exclude<WatchState["kind"], "unchanged">;
}

/** A change that is certain and not acted upon yet. */
export interface ReloadPending {
  /** ms since 1970. */
  readonly since: number;
  readonly reason: "agent_binary_changed" | "agent_binary_gone" | "new_binary";
  /** Name of the agent CLI, or `drover`. */
  readonly provider: string;
  /** Path of the program. */
  readonly binary: string;
  /** SHA-256 in hex, empty where there is none. */
  readonly oldDigest: string;
  readonly newDigest: string;
  /** Tasks and claims in hand, and in words what it waits for. */
  readonly blockedBy: { readonly active: number; readonly claims: number; readonly why: string };
  /** When it stops waiting for tasks, in ms since 1970; null = never. */
  readonly deadline: number | null;
}

export interface ConnectionStatus {
  readonly name: string;
  readonly state: "connecting" | "connected" | "refused";
  readonly why: string;
  readonly runtimes: readonly (
    & { id: string; provider: string; version: string; workspace: string; profile?: string; paused?: PauseView }
    & Partial<RuntimeBinary>
  )[];
  /** Message batches given up since this process started. */
  readonly droppedBatches: number;
}

export function connectionStatus(
  { name, state, why, runtimes, delivery }: Connection,
  { binaries, pauses }: { binaries: Pick<BinaryWatch, "view"> | undefined; pauses: Pick<DaemonPauses, "ofAgent"> },
): ConnectionStatus {
  const seen = (runtime: Runtime) => {
    const paused = pauses.ofAgent(runtime.provider);
    return { ...binaries?.view(runtimeKey(runtime)), ...(paused ? { paused } : {}) };
  };
  return {
    name,
    state,
    why,
    runtimes: [...runtimes.values()].map(({ id, runtime, workspace }) => ({
      id,
      provider: runtime.provider,
      version: runtime.version,
      ...(runtime.profile ? { profile: runtime.profile.name } : {}),
      workspace,
      ...seen(runtime),
    })),
    droppedBatches: delivery.counts().dropped,
  };
}

/** Something that is not there yet; the daemon goes on by itself when it comes, and does without it what it can. */
export interface Waiting {
  readonly what: "agent-cli" | "server";
  /** One line for people: what is missing and what helps. */
  readonly text: string;
}

/** `agent`: what no agent CLI is there for, if none is. */
export function waitingFor(
  agent: string | undefined,
  connections: readonly Pick<ConnectionStatus, "name" | "state" | "why">[],
): Waiting[] {
  const servers = connections.filter(({ state }) => state !== "connected").map(({ name, state, why }) => {
    if (state === "connecting" && why === "") return `the server ${name} is being asked for the first time`;
    return `the server ${name} ${state === "refused" ? "refuses us" : "does not answer"}${
      why && ` (${why})`
    }: tried again`;
  });
  return [
    ...(agent === undefined ? [] : [{ what: "agent-cli", text: agent } as const]),
    ...servers.map((text) => ({ what: "server", text }) as const),
  ];
}

export interface DaemonStatus {
  readonly phase: Phase["kind"];
  /** Why nothing is claimed at this moment; null while work is taken. */
  readonly holding: Extract<Budget, { kind: "hold" }>["why"] | null;
  /** What keeps all of its agents from getting tasks for a while; null while nothing does. */
  readonly paused: PauseView | null;
  /** What each agent CLI did today. */
  readonly today: readonly TodayView[];
  readonly slots: { readonly total: number; readonly running: number };
  readonly tasks: readonly RunView[];
  readonly connections: readonly ConnectionStatus[];
  readonly skipped: readonly SkippedProvider[];
  /** Empty when nothing is missing. */
  readonly waitingFor: readonly Waiting[];
  readonly reloadPending: ReloadPending | null;
  /** Records that wait for delivery. */
  readonly outbox: { readonly waiting: number; readonly degraded: boolean };
  readonly startedAt: number;
}
