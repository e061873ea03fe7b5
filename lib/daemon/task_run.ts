/** A run as the rest of the daemon sees it: what all runs share, what one shows, and what it can be told. */
import type { Backend } from "../agents/backend.ts";
import type { Home } from "../core/home.ts";
import type { Outcome, StopReason } from "../core/message.ts";
import type { Clock, Env, Files, Logger, Processes, Random } from "../core/ports.ts";
import type { BinaryWatch } from "./binary_watch.ts";
import type { DaemonOptions } from "./daemon_contract.ts";
import type { DayLedger } from "./day_ledger.ts";
import type { Outbox } from "./outbox.ts";
import type { PendingPermission, PermissionAnswer } from "./permissions.ts";
import type { RunLimitSettings } from "./run_limits.ts";
import type { PlaceOptions } from "./task_place.ts";

/** What all runs of a daemon share. */
export interface RunnerContext
  extends
    Pick<DaemonOptions, "daemonId" | "liveLimits" | "port">,
    RunLimitSettings,
    Pick<PlaceOptions, "locks" | "running" | "surfaceOf"> {
  readonly home: Home;
  readonly clock: Clock;
  readonly random: Random;
  readonly files: Files;
  readonly processes: Processes;
  readonly log: Logger;
  readonly outbox: Outbox;
  /** Of a provider of the table. */
  readonly backendFor: (provider: string) => Backend;
  /** Environment that agents inherit. */
  readonly env: () => Env;
  readonly sessionVariables: readonly string[];
  /** Whether an agent CLI can be started; absent where nobody watches them. */
  readonly launchable?: BinaryWatch["launchable"];
  /** Beginning of the mark of every process this instance starts; the task id follows. */
  readonly markPrefix: string;
  /** How a run of a CLI as it was found ended, before anybody is told; `began`: in ms, on the clock that never goes back. */
  readonly onOutcome?: (run: { provider: string; outcome: Outcome; began: number }) => void;
  readonly day?: Pick<DayLedger, "began" | "used">;
  /** How long an agent's question waits for a person, in ms. */
  readonly askTimeoutMs?: number;
  /** Which inherited secrets the agents of a provider may see. */
  readonly secretsFor?: (provider: string) => readonly string[];
}

export type RunStage = "preparing" | "waiting" | "starting" | "running" | "reporting";

export interface RunView {
  readonly task: string;
  readonly agent: string;
  readonly provider: string;
  /** Which of the machine's runtimes, see `runtimeKey`. */
  readonly runtime: string;
  readonly stage: RunStage;
  readonly slot: number;
  readonly since: number;
  readonly pid: number | null;
  readonly messages: number;
  readonly workdir: string;
  /** What the agent waits for a person with. */
  readonly asks: readonly PendingPermission[];
}

export interface TaskRun {
  /** Resolves when the report is durable and delivered (or given up waiting for), and every process is gone. */
  readonly done: Promise<void>;
  /** Something about the task may have changed on the server: look now. */
  checkStatus(): void;
  stop(reason: StopReason): void;
  /** A person's word on a question of the agent's; false when there is no such question any more. */
  answer(requestId: string, answer: PermissionAnswer): boolean;
  view(): RunView;
}
