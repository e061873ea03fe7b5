/** What the loops share about one connection: its client, its registered runtimes, its wake-ups, its delivery. */
import type { Runtime } from "../core/model.ts";
import type { WireClient } from "../wire/client.ts";
import type { Consent } from "./daemon_contract.ts";
import type { Delivery } from "./delivery.ts";

/** A hint that something is worth looking at; losing all of them costs latency and never work. */
export interface Wakeup {
  readonly kind: "task-available" | "task-changed" | "profiles-changed" | "workspaces-changed" | "pending-work";
  readonly runtimeId?: string;
  readonly taskId?: string;
}

export interface Wakeups {
  subscribe(signal: AbortSignal): AsyncIterable<Wakeup>;
}

/** One (workspace, runtime) as the server knows it. */
export interface RegisteredRuntime {
  readonly id: string;
  readonly workspace: string;
  readonly name: string;
  readonly runtime: Runtime;
}

export interface Connection {
  readonly name: string;
  /** Somewhere else: it may be out of reach, so nothing waits for it. */
  readonly remote: boolean;
  /** As agents reach it. */
  readonly serverUrl: string;
  readonly client: WireClient;
  /** Absent where all workspaces are the owner's own. */
  readonly consent?: Consent;
  /** Which of this machine's agents the server is told of; absent = all of them. */
  readonly offers?: (runtime: Runtime) => boolean;
  readonly wakeups: Wakeups;
  readonly delivery: Delivery;
  /** By the server's id. */
  readonly runtimes: Map<string, RegisteredRuntime>;
  /** What the server said it can do beyond the protocol. */
  serverCapabilities: readonly string[];
  /** `refused`: the last registration failed with a definite answer; `why` says how. */
  state: "connecting" | "connected" | "refused";
  why: string;
}

/** Its runtimes that were made from profiles. */
export function customOf({ runtimes }: Connection): Runtime[] {
  return [...runtimes.values()].flatMap(({ runtime }) => runtime.profile ? [runtime] : []);
}
