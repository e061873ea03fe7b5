/** What an agent says while it runs (`AgentMessage`) and how a run ends (`Outcome`): no variant belongs to one CLI. */
import type { FailureReason } from "./failure.ts";
import type { ModelUsage } from "./model.ts";

export type AgentMessage =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "thinking"; readonly text: string }
  | {
    readonly kind: "tool-use";
    readonly tool: string;
    readonly callId: string;
    readonly input: Readonly<Record<string, unknown>>;
  }
  | {
    readonly kind: "tool-result";
    readonly tool: string;
    readonly callId: string;
    readonly output: string;
    readonly isError: boolean;
  }
  /** The provider's session id, sent as soon as it is known so that a crash can resume. */
  | { readonly kind: "session"; readonly sessionId: string }
  /** Totals so far, replacing any earlier ones. */
  | { readonly kind: "usage"; readonly usage: readonly ModelUsage[] }
  | { readonly kind: "error"; readonly text: string }
  /** The agent waits for a person; the runner says it, never an adapter. Answered by one with the same `requestId`. */
  | ({ readonly kind: "permission-request"; readonly requestId: string } & PermissionRequest)
  | {
    readonly kind: "permission-answer";
    readonly requestId: string;
    readonly callId: string;
    readonly allow: boolean;
    /** Who or what decided, for people. */
    readonly why: string;
  };

/** What an agent asks to be allowed. */
export interface PermissionRequest {
  readonly tool: string;
  /** Of the tool use it is about; empty where the agent does not say. */
  readonly callId: string;
  /** One line for people: what would be done. */
  readonly title: string;
  readonly input: Readonly<Record<string, unknown>>;
}

export interface PermissionDecision {
  readonly allow: boolean;
  readonly why: string;
}

export type MessageKind = AgentMessage["kind"];

/** A run has exactly one. */
export type Outcome =
  | { readonly kind: "completed"; readonly output: string; readonly sessionId?: string }
  | {
    readonly kind: "failed";
    readonly reason: FailureReason;
    /** For people: what happened, the current value, the end of stderr. */
    readonly detail: string;
    readonly sessionId?: string;
    /** The session that was to be continued is not there or not ours: a fresh one may do. */
    readonly resumeRejected?: true;
    /** The provider said when it will serve again, in ms since 1970. */
    readonly retryAt?: number;
  };

/** Why a run was told to end before its agent was done; the typed `reason` of the run's AbortSignal. */
export type StopReason =
  | { readonly kind: "cancelled"; readonly by: "server" | "user" }
  | { readonly kind: "time-limit"; readonly limitMs: number }
  /** Nothing was said for so long. */
  | { readonly kind: "silence-limit"; readonly limitMs: number }
  /** This tool did not answer, and nothing else was said. */
  | { readonly kind: "tool-limit"; readonly limitMs: number; readonly tool: string }
  | { readonly kind: "gone" }
  | { readonly kind: "shutdown" };

/** The abort reason itself: an Error, because it travels through promises as a rejection. */
export class StopError extends Error {
  override readonly name = "StopError";
  constructor(readonly stop: StopReason) {
    super(`The run was stopped: ${stop.kind}`);
  }
}

/** The stop reason an aborted signal carries; anything else that aborted it counts as a shutdown. */
export function stopReasonOf(signal: AbortSignal): StopReason {
  return signal.reason instanceof StopError ? signal.reason.stop : { kind: "shutdown" };
}
