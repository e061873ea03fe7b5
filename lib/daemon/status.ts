/** What a daemon says about itself: one object for `status`, logs and tests, made from snapshots. */
import type { SkippedProvider } from "../core/model.ts";
import type { Phase } from "../core/phase.ts";
import type { RunView } from "./task_runner.ts";

export interface ConnectionStatus {
  readonly name: string;
  readonly state: "connecting" | "connected" | "refused";
  readonly why: string;
  readonly runtimes: readonly { id: string; provider: string; version: string; workspace: string }[];
  /** Message batches given up since this process started. */
  readonly droppedBatches: number;
}

/** Something that is not there yet; the daemon goes on by itself when it comes, and does without it what it can. */
export interface Waiting {
  readonly what: "agent-cli" | "server";
  /** One line for people: what is missing and what helps. */
  readonly text: string;
}

export interface DaemonStatus {
  readonly phase: Phase["kind"];
  /** Why nothing is claimed at this moment; null while work is taken. */
  readonly holding: "paused" | "no-free-slot" | "outbox-unwritable" | null;
  readonly slots: { readonly total: number; readonly running: number };
  readonly tasks: readonly RunView[];
  readonly connections: readonly ConnectionStatus[];
  readonly skipped: readonly SkippedProvider[];
  /** Empty when nothing is missing. */
  readonly waitingFor: readonly Waiting[];
  /** Records that wait for delivery. */
  readonly outbox: { readonly waiting: number; readonly degraded: boolean };
  readonly startedAt: number;
}
