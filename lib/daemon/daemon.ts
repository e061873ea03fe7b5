/** The daemon: opens and closes everything, runs the loops, and lets the phase machine decide when it claims and ends. */
import type { Backend } from "../agents/backend.ts";
import type { Home } from "../core/home.ts";
import type { Family, Runtime, SkippedProvider } from "../core/model.ts";
import {
  claimsOpen,
  type Ending,
  type Phase,
  type PhaseCommand,
  type PhaseEvent,
  type PhaseLimits,
  step,
} from "../core/phase.ts";
import type { Clock, Env, Fetch, Files, Logger, Processes, Random } from "../core/ports.ts";
import { createClient } from "../wire/client.ts";
import { type ClaimedTask, MESSAGE_DEDUP } from "../wire/payloads.ts";
import type { Connection, Wakeups } from "./connection.ts";
import { createDelivery } from "./delivery.ts";
import { runHeartbeat } from "./heartbeat.ts";
import { openOutbox, type Outbox } from "./outbox.ts";
import { createPool, type Pool, type Slot } from "./pool.ts";
import { createPoller, type Poller } from "./poller.ts";
import { createRegistration, type Registration } from "./registration.ts";
import type { DaemonStatus } from "./status.ts";
import { type RunnerContext, runTask, type TaskRun } from "./task_runner.ts";

export interface ConnectionConfig {
  readonly name: string;
  readonly baseUrl: string;
  readonly token: string;
  readonly fetch: Fetch;
  readonly wakeups: Wakeups;
}

export interface DaemonOptions {
  readonly home: Home;
  /** Stable for the home; the server keys runtimes by it. */
  readonly daemonId: string;
  /** New for each process. */
  readonly instance: string;
  readonly version: string;
  readonly deviceName: string;
  readonly os: string;
  /** Environment that agents inherit. */
  readonly env: Env;
  readonly slots: number;
  readonly timeLimitMs: number;
  readonly connections: readonly ConnectionConfig[];
  /** Only tasks submitted through this instance (the in-process `run`). */
  readonly submittedTo?: string;
  readonly discover: (
    signal: AbortSignal,
  ) => Promise<{ found: readonly Runtime[]; skipped: readonly SkippedProvider[] }>;
  readonly backendFor: (family: Family) => Backend;
  readonly sessionVariables: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly files: Files;
  readonly processes: Processes;
  readonly getLogger: (name: string) => Logger;
}

export interface Daemon {
  /** Resolves when the daemon is running: registered, the past recovered, claiming. Rejects when it cannot be. */
  start(): Promise<void>;
  /** Stops claiming, lets running tasks finish, then ends. Idempotent. */
  stop(): void;
  /** Claims again after a `stop` that has not come to its end; false when there is none. */
  cancelDrain(): boolean;
  /** Ends running tasks now; each is reported as interrupted. */
  cancelTasks(): void;
  /** Ends tasks and closes everything without waiting for deliveries; for unwinding after a failure. Idempotent. */
  close(): Promise<void>;
  /** Resolves when everything is closed. */
  readonly ended: Promise<Ending>;
  readonly phase: Phase;
  readonly skipped: readonly SkippedProvider[];
  status(): DaemonStatus;
  /** Gives up records in the outbox from before `before` (ms since 1970); how many. */
  purgeOutbox(before: number): number;
}

const LIMITS: PhaseLimits = { patienceMs: 0, graceMs: 60_000, cancelAfterGrace: false };
const DEREGISTER_MS = 5_000;
const PERSIST_RETRY_MS = 5_000;
/** A drain also ends by what no run reports: a claim call that came back empty, an outbox that can be written again. */
const DRAIN_TICK_MS = 1_000;

/** Throws `OutboxError` when the outbox cannot be opened. */
export function createDaemon(options: DaemonOptions): Daemon {
  return new LoopDaemon(options);
}

class LoopDaemon implements Daemon {
  readonly ended: Promise<Ending>;
  phase: Phase = { kind: "starting" };
  skipped: readonly SkippedProvider[] = [];
  readonly #options: DaemonOptions;
  readonly #log: Logger;
  readonly #outbox: Outbox;
  readonly #pool: Pool;
  readonly #poller: Poller;
  readonly #connections: readonly Connection[];
  readonly #registrations = new Map<string, Registration>();
  readonly #runs = new Map<string, TaskRun>();
  readonly #context: RunnerContext;
  /** The loops end with it; tasks do not hear it. */
  readonly #loops = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  #nextTick: Disposable | undefined;
  #nextPersist: Disposable | undefined;
  #closed: Promise<void> | undefined;
  #resolveEnded!: (ending: Ending) => void;
  readonly #startedAt: number;

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.#log = options.getLogger("daemon");
    this.#startedAt = options.clock.now();
    this.ended = new Promise((resolve) => this.#resolveEnded = resolve);
    this.#outbox = openOutbox(options.home.outboxDb, options.getLogger("outbox"), {
      onDegraded: () => this.#writeOutboxLater(),
    });
    this.#pool = createPool(options.slots);
    this.#connections = options.connections.map((config) => this.#connect(config));
    this.#context = {
      ...options,
      log: options.getLogger("task"),
      outbox: this.#outbox,
      markPrefix: `${options.daemonId}:${options.instance}:`,
    };
    this.#poller = createPoller({
      connections: this.#connections,
      pool: this.#pool,
      clock: options.clock,
      log: options.getLogger("poller"),
      daemonId: options.daemonId,
      submittedTo: options.submittedTo,
      claimsOpen: () => claimsOpen(this.phase),
      outboxDegraded: () => this.#outbox.degraded,
      isActive: (id) => this.#runs.has(id),
      run: (task, connection, slot) => this.#startRun(task, connection, slot),
    });
  }

  async start(): Promise<void> {
    const { discover, home, files } = this.#options;
    const signal = this.#loops.signal;
    try {
      for (const directory of [home.workspaces, home.transcripts]) await files.makeDirectory(directory);
      const [{ found, skipped }] = await Promise.all([discover(signal), this.#endLeftovers()]);
      this.skipped = skipped;
      for (const connection of this.#connections) {
        const registration = this.#registrationOf(connection, found);
        this.#registrations.set(connection.name, registration);
        await registration.register({ signal });
        // What the last process had to say comes first: recovering orphans would fail tasks whose outcome is known.
        await connection.delivery.deliverAll({ signal });
        await registration.recoverOrphans({ signal });
      }
      this.#running = this.#runLoops(signal).catch((error) => {
        // Without its loops the daemon would only look alive.
        this.#log.critical("a loop failed, the daemon drains and ends", {
          error: (error as Error).stack ?? String(error),
        });
        this.stop();
      });
      this.#dispatch({ kind: "ready" });
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  stop(): void {
    this.#dispatch({ kind: "stop-requested" });
    this.#tick();
  }

  cancelDrain(): boolean {
    if (this.phase.kind !== "draining") return false;
    this.#dispatch({ kind: "drain-cancelled" });
    return true;
  }

  cancelTasks(): void {
    for (const run of this.#runs.values()) run.stop({ kind: "shutdown" });
  }

  status(): DaemonStatus {
    return {
      phase: this.phase.kind,
      holding: this.#poller.holding() ?? null,
      slots: { total: this.#pool.size, running: this.#pool.running },
      tasks: [...this.#runs.values()].map((run) => run.view()),
      connections: this.#connections.map((connection) => ({
        name: connection.name,
        state: connection.state,
        why: connection.why,
        runtimes: [...connection.runtimes.values()].map(({ id, runtime, workspace }) => ({
          id,
          provider: runtime.provider,
          version: runtime.version,
          workspace,
        })),
        droppedBatches: connection.delivery.counts().dropped,
      })),
      skipped: this.skipped,
      outbox: { waiting: this.#outbox.count(), degraded: this.#outbox.degraded },
      startedAt: this.#startedAt,
    };
  }

  purgeOutbox(before: number): number {
    return this.#outbox.purge(before);
  }

  #connect(config: ConnectionConfig): Connection {
    const { clock, version, os, getLogger } = this.#options;
    const client = createClient({ ...config, clock, version, os, capabilities: [] });
    const connection: Connection = {
      name: config.name,
      client,
      wakeups: config.wakeups,
      delivery: createDelivery({
        connection: config.name,
        client,
        outbox: this.#outbox,
        clock,
        log: getLogger("delivery"),
        deduplicates: () => connection.serverCapabilities.includes(MESSAGE_DEDUP),
      }),
      runtimes: new Map(),
      serverCapabilities: [],
      state: "connecting",
      why: "",
    };
    return connection;
  }

  #registrationOf(connection: Connection, runtimes: readonly Runtime[]): Registration {
    return createRegistration({ ...this.#options, connection, runtimes, log: this.#options.getLogger("registration") });
  }

  /** Nothing of an earlier instance may still write when its task is handed out again. */
  async #endLeftovers(): Promise<void> {
    const pids = await this.#options.processes.endMarked(`${this.#options.daemonId}:`);
    if (pids.length > 0) this.#log.warn("processes of an earlier instance were ended", { pids });
  }

  #runLoops(signal: AbortSignal): Promise<unknown> {
    const { clock, random, getLogger } = this.#options;
    return Promise.all([
      this.#poller.run(signal),
      ...this.#connections.flatMap((connection) => [
        this.#listen(connection, signal),
        runHeartbeat({
          connection,
          clock,
          random,
          log: getLogger("heartbeat"),
          onGone: () =>
            void this.#registrations.get(connection.name)?.heal({ signal }).then(() => this.#poller.nudge())
              .catch((error) => signal.aborted || this.#log.error("healing failed", { error: String(error) })),
        }, signal),
      ]),
    ]);
  }

  async #listen(connection: Connection, signal: AbortSignal): Promise<void> {
    for await (const wakeup of connection.wakeups.subscribe(signal)) {
      if (wakeup.kind === "task-available") this.#poller.nudge();
      else if (wakeup.taskId) this.#runs.get(wakeup.taskId)?.checkStatus();
    }
  }

  /** Only while records are in memory alone: an idle daemon has no timer for it. */
  #writeOutboxLater(): void {
    if (this.#loops.signal.aborted) return;
    this.#nextPersist ??= this.#options.clock.after(PERSIST_RETRY_MS, () => {
      this.#nextPersist = undefined;
      if (!this.#outbox.persist()) return this.#writeOutboxLater();
      this.#log.info("outbox can be written again");
      this.#poller.nudge();
    });
  }

  #startRun(task: ClaimedTask, connection: Connection, slot: Slot): void {
    this.#log.info("task claimed", { task: task.id, agent: task.agent?.name, slot: slot.index });
    const run = runTask(this.#context, { task, connection, slot });
    this.#runs.set(task.id, run);
    void run.done.catch((error) =>
      this.#log.critical("a run left its task unsettled", { task: task.id, error: String(error) })
    )
      .then(() => {
        this.#runs.delete(task.id);
        this.#tick();
      });
  }

  #tick(): void {
    // A record that is only in memory is work in flight: ending now would lose it.
    const inFlight = this.#runs.size + this.#pool.claiming + (this.#outbox.degraded ? 1 : 0);
    this.#dispatch({ kind: "tick", inFlight });
    this.#nextTick?.[Symbol.dispose]();
    if (this.phase.kind === "draining") this.#nextTick = this.#options.clock.after(DRAIN_TICK_MS, () => this.#tick());
  }

  #dispatch(event: PhaseEvent): void {
    const before = this.phase.kind;
    const { phase, commands } = step(this.phase, event, this.#options.clock.now(), LIMITS);
    this.phase = phase;
    if (phase.kind !== before) this.#log.info("phase changed", { from: before, to: phase.kind, event: event.kind });
    for (const command of commands) this.#perform(command);
  }

  #perform(command: PhaseCommand): void {
    switch (command) {
      case "resume-claims":
        return this.#poller.nudge();
      case "pause-claims":
        return;
      case "cancel-tasks":
        return this.cancelTasks();
      case "exit":
      case "hand-off":
        return void this.close().then(() => this.#resolveEnded(command === "exit" ? "exit" : "restart"));
    }
  }

  close(): Promise<void> {
    return this.#closed ??= this.#closeOnce();
  }

  async #closeOnce(): Promise<void> {
    this.#nextTick?.[Symbol.dispose]();
    this.#nextPersist?.[Symbol.dispose]();
    this.#loops.abort();
    this.cancelTasks();
    await this.#running;
    const limit = new AbortController();
    using _limit = this.#options.clock.after(DEREGISTER_MS, () => limit.abort());
    await Promise.all([...this.#registrations.values()].map((one) => one.deregister({ signal: limit.signal })));
    await Promise.all(this.#connections.map((connection) => connection.delivery.close()));
    await Promise.all([...this.#runs.values()].map((run) => run.done.catch(() => {})));
    this.#outbox.close();
  }
}
