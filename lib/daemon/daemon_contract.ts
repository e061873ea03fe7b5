/** What a daemon is given and what it can be asked: the contract between it and whoever opens it. */
import type { Backend } from "../agents/backend.ts";
import type { Home } from "../core/home.ts";
import type { Permission, Runtime } from "../core/model.ts";
import type { Ending, Phase } from "../core/phase.ts";
import type { Clock, Fetch, Files, Fingerprints, Logger, Processes, Random } from "../core/ports.ts";
import type { Dial } from "../core/socket_port.ts";
import type { ReloadMode } from "../core/reload_gate.ts";
import type { Discover } from "./agent_watch.ts";
import type { ClaimRules, DaemonPauses } from "./claim_gate.ts";
import type { Connection, Wakeups } from "./connection.ts";
import type { FindProfile } from "./profile_runtimes.ts";
import type { Updates } from "./pending_actions.ts";
import type { PermissionAnswer } from "./permissions.ts";
import type { ReloadOptions } from "./reload_runner.ts";
import type { RunningTasks } from "./running_tasks.ts";
import type { DaemonStatus } from "./status.ts";
import type { PausesOptions } from "./runtime_pauses.ts";
import type { Surroundings } from "./surroundings.ts";
import type { Surface } from "./task_files.ts";
import type { Probe } from "./watched_program.ts";

export interface ConnectionConfig {
  readonly name: string;
  readonly baseUrl: string;
  /** Asked for before each call: who logs in again is believed at once. Empty while nobody is logged in. */
  readonly token: () => string;
  readonly fetch: Fetch;
  readonly wakeups: Wakeups;
  /** Somewhere else: it may be out of reach, so nothing waits for it. */
  readonly remote?: boolean;
  /** Absent where all workspaces are the owner's own. */
  readonly consent?: Consent;
  /** Which of this machine's agents the server is told of; absent = all of them. */
  readonly offers?: (runtime: Runtime) => boolean;
  /** Absent where there is no WebSocket to it: everything is found by asking. */
  readonly dial?: Dial;
}

/** What the owner of this machine lets a server do with it; may change at any time. */
export interface Consent {
  /** `undefined`: nothing is registered with it and nothing claimed. `policy`: the most that its tasks may do. */
  watched(workspaceId: string): { readonly policy: Permission } | undefined;
  /** To be told of each list of workspaces that the server gives: what is not watched is shown as available. */
  found(workspaces: readonly { readonly id: string; readonly name: string }[]): void;
  /** Called when the token, or what `watched` says, has changed: it is time to look at the workspaces again. */
  onChange(listener: () => void): Disposable;
}

/** What may change while the daemon runs; a run keeps what it began with. */
export type LiveLimits = Pick<
  DaemonOptions,
  "slots" | "timeLimitMs" | "silenceLimitMs" | "toolLimitMs" | "agentLimits" | "askTimeoutMs"
>;

/** How the agent CLIs are watched for being replaced. */
export interface BinariesOptions {
  readonly mode: ReloadMode;
  /** Between two looks, in ms. */
  readonly intervalMs: number;
  readonly fingerprints: Fingerprints;
  readonly probe: Probe;
}

export interface DaemonOptions {
  readonly home: Home;
  /** Stable for the home; the server keys runtimes by it. */
  readonly daemonId: string;
  /** Ids that this home had before; what servers keep under them becomes ours. */
  readonly legacyDaemonIds?: readonly string[];
  /** Replacing this program when a server asks for it; absent where that is never done. */
  readonly updates?: Updates;
  /** New for each process. */
  readonly instance: string;
  readonly version: string;
  readonly deviceName: string;
  readonly os: string;
  /** Where agents are looked for, and what they inherit. */
  readonly surroundings: Surroundings;
  readonly slots: number;
  readonly timeLimitMs: number;
  /** How long an agent may say nothing, and while a tool is at work, in ms; for ever when absent. */
  readonly silenceLimitMs?: number;
  readonly toolLimitMs?: number;
  /** How many tasks of an agent CLI there may be at once, where it has a limit of its own. */
  readonly agentLimits?: Readonly<Record<string, number>>;
  /** Asked each time, in place of the limits above; absent = those do not change. */
  readonly liveLimits?: () => LiveLimits;
  /** What is known of spent quotas and logins; when absent it ends with this daemon. */
  readonly pauses?: Pick<PausesOptions, "store" | "howToLogIn" | "look" | "eager">;
  /** What keeps the daemon from claiming: a person, the battery, the limits of a day; absent = nothing does. */
  readonly claims?: ClaimRules;
  /** Agent CLIs that were there a moment ago: used at once, and looked at again beside the work. */
  readonly known?: readonly Runtime[];
  /** How long an agent's question waits for a person, in ms; absent = 10 minutes. */
  readonly askTimeoutMs?: number;
  /** Of 127.0.0.1, where this daemon tells its health; absent where it does not. */
  readonly port?: number;
  /** Which inherited secrets the agents of a provider may see; absent = none. */
  readonly secretsFor?: (provider: string) => readonly string[];
  readonly connections: readonly ConnectionConfig[];
  /** Only tasks submitted through this instance (the in-process `run`). */
  readonly submittedTo?: string;
  readonly discover: Discover;
  /** What a runtime profile is on this machine; absent where custom runtimes are not served. */
  readonly findProfile?: FindProfile;
  /** Absent where what was found is used as it is, and for a short time only. */
  readonly binaries?: BinariesOptions;
  /** Absent where this process is not to be replaced by another. */
  readonly reload?: ReloadOptions;
  /** Of a provider of the table. */
  readonly backendFor: (provider: string) => Backend;
  /** Where the CLI of a provider looks for what a task brings; absent where that is not known. */
  readonly surfaceOf?: (provider: string) => Surface | undefined;
  readonly sessionVariables: readonly string[];
  /** What goes on beside the tasks, until the signal aborts. */
  readonly upkeep?: (connections: readonly Connection[], signal: AbortSignal) => Promise<void>;
  /** Kept up to date for those who have to know what runs. */
  readonly running?: RunningTasks;
  readonly clock: Clock;
  readonly random: Random;
  readonly files: Files;
  readonly processes: Processes;
  readonly getLogger: (name: string) => Logger;
}

export interface Daemon {
  /**
   * Resolves when the daemon is running: registered with what is not remote, the past recovered, claiming. Neither an
   * agent nor a remote server has to be there. Rejects when it cannot run.
   */
  start(): Promise<void>;
  /** Stops claiming, lets running tasks finish, then ends. Idempotent. */
  stop(): void;
  /** Claims again after a `stop`, or for a restart, that has not come to its end; false when there is none. */
  cancelDrain(): boolean;
  /** After `ended` with a restart: the successor did not make it. */
  handOffFailed(): Promise<void>;
  /** Ends running tasks now, in a drain also those still to come; each is reported as interrupted. */
  cancelTasks(): void;
  /** Ends tasks and closes everything without waiting for deliveries; for unwinding after a failure. Idempotent. */
  close(): Promise<void>;
  /** Resolves when everything is closed. */
  readonly ended: Promise<Ending>;
  readonly phase: Phase;
  /** For how long, in ms, the slowest of the loops that claim and beat has not come round. */
  stalledMs(): number;
  status(): DaemonStatus;
  /** A person's word on what the agent of a task asks; false when that is not asked any more. */
  answerPermission(task: string, requestId: string, answer: PermissionAnswer): boolean;
  /** Which agent CLIs get no tasks for a while, or none of them. */
  readonly pauses: DaemonPauses;
  /** Limits have changed: there may be room for a claim. */
  nudge(): void;
  /** What is there now, for a daemon that follows in this process. */
  readonly runtimes: readonly Runtime[];
  /** Gives up records in the outbox from before `before` (ms since 1970); how many. */
  purgeOutbox(before: number): number;
}
