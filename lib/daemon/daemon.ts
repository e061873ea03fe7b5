/** The daemon: opens and closes everything, runs the loops, and lets the phase machine decide when it claims and ends. */
import type { Runtime } from "../core/model.ts";
import {
  claimsOpen,
  type Ending,
  type Phase,
  type PhaseCommand,
  type PhaseEvent,
  type PhaseLimits,
  step,
} from "../core/phase.ts";
import { runtimeKey } from "../core/model.ts";
import type { Logger } from "../core/ports.ts";
import type { ClaimedTask } from "../wire/payloads.ts";
import { type AgentWatch, createAgentWatch } from "./agent_watch.ts";
import type { BinaryWatch } from "./binary_watch.ts";
import { openConnection } from "./connect.ts";
import { type Connection, customOf } from "./connection.ts";
import type { ConnectionConfig, Daemon, DaemonOptions } from "./daemon_contract.ts";
import { createDirectoryLocks } from "./directory_locks.ts";
import { runHeartbeat } from "./heartbeat.ts";
import { createLoopPulse, type LoopPulse } from "./loop_pulse.ts";
import { openOutbox, type Outbox } from "./outbox.ts";
import { listOfBoth, type ProfileRuntimes } from "./profile_runtimes.ts";
import { createPool, type Pool, type Slot } from "./pool.ts";
import type { PermissionAnswer } from "./permissions.ts";
import { restoreAllPlaced } from "./placed_files.ts";
import { createPoller, type Poller } from "./poller.ts";
import type { Registration } from "./registration.ts";
import { ReloadRunner, type WatchedPrograms } from "./reload_runner.ts";
import { connectionStatus, type DaemonStatus, type ReloadPending, waitingFor } from "./status.ts";
import { RuntimePauses } from "./runtime_pauses.ts";
import { type RunnerContext, runTask, type TaskRun } from "./task_runner.ts";
import { watchBinaries } from "./watch_binaries.ts";

export type { ConnectionConfig, Daemon, DaemonOptions } from "./daemon_contract.ts";

const LIMITS: PhaseLimits = { patienceMs: 0, graceMs: 60_000, cancelAfterGrace: false };
const NOTHING_WATCHED: WatchedPrograms = { changes: () => [], settling: () => false };
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
  readonly pauses: RuntimePauses;
  phase: Phase = { kind: "starting" };
  readonly #options: DaemonOptions;
  readonly #log: Logger;
  readonly #outbox: Outbox;
  readonly #pulse: LoopPulse;
  readonly #pool: Pool;
  readonly #poller: Poller;
  readonly #connections: readonly Connection[];
  readonly #watch: AgentWatch;
  readonly #binaries: BinaryWatch | undefined;
  readonly #registrations = new Map<string, Registration>();
  readonly #profiles: ProfileRuntimes[] = [];
  readonly #reload: ReloadRunner | undefined;
  readonly #limits: PhaseLimits;
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
    this.#pulse = createLoopPulse(options.clock);
    this.#pool = createPool(options.slots);
    this.#connections = options.connections.map((config) => this.#connect(config));
    this.#watch = createAgentWatch({
      ...options,
      log: options.getLogger("agents"),
      adds: (runtime) => !this.#binaries?.knows(runtime),
    });
    this.#binaries = this.#watchBinaries();
    this.pauses = new RuntimePauses({
      ...options.pauses,
      clock: options.clock,
      log: options.getLogger("agents"),
      onClaimable: () => this.#poller.nudge(),
    });
    this.#limits = { ...LIMITS, patienceMs: options.reload?.patienceMs ?? 0 };
    this.#reload = options.reload && new ReloadRunner({
      ...options.reload,
      agents: this.#binaries ?? NOTHING_WATCHED,
      clock: options.clock,
      log: options.getLogger("reload"),
      tellPhase: (event) => (this.#dispatch(event), this.#tick()),
    });
    this.#context = {
      ...options,
      env: () => options.surroundings.env(),
      log: options.getLogger("task"),
      locks: createDirectoryLocks(),
      launchable: this.#binaries && ((...asked) => this.pauses.launchable(...asked, this.#binaries!)),
      outbox: this.#outbox,
      onOutcome: (run) => this.pauses.ended(run),
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
      mayClaim: (runtime) =>
        (this.#binaries?.mayClaim(runtimeKey(runtime)) ?? true) && this.pauses.mayClaim(runtime.provider),
      limits: options.agentLimits,
      run: (task, connection, slot) => this.#startRun(task, connection, slot),
      onTurn: () => this.#pulse.beat("poller"),
    });
  }

  async start(): Promise<void> {
    const { home, files } = this.#options;
    const signal = this.#loops.signal;
    try {
      for (const directory of [home.workspaces, home.transcripts]) await files.makeDirectory(directory);
      const known = this.#watch.runtimes.length > 0;
      await Promise.all([known || this.#watch.look(signal), this.#endLeftovers()]);
      this.#adopt();
      await this.pauses.begin(signal);
      const near = this.#connections.filter(({ remote }) => !remote);
      await Promise.all(near.map(({ name }) => this.#registrations.get(name)!.offer(this.#watch.runtimes, { signal })));
      this.#registered();
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
    this.#reload?.stop();
    this.#dispatch({ kind: "stop-requested" });
    this.#tick();
  }

  cancelDrain(): boolean {
    const waits = this.phase.kind === "draining" || this.phase.kind === "reload-pending";
    if (!waits) return false;
    this.#reload?.cancelDrain();
    this.#dispatch({ kind: "drain-cancelled" });
    return true;
  }

  async handOffFailed(): Promise<void> {
    await this.#reload?.handOffFailed();
  }

  cancelTasks(): void {
    for (const run of this.#runs.values()) run.stop({ kind: "shutdown" });
  }

  stalledMs(): number {
    return this.#pulse.stalledMs();
  }

  status(): DaemonStatus {
    return {
      phase: this.phase.kind,
      holding: this.#poller.holding() ?? null,
      slots: { total: this.#pool.size, running: this.#pool.running },
      tasks: [...this.#runs.values()].map((run) => run.view()),
      connections: this.#connections.map((one) =>
        connectionStatus(one, { binaries: this.#binaries, pauses: this.pauses })
      ),
      skipped: this.#watch.skipped,
      waitingFor: waitingFor(this.#watch.waitsFor, this.#connections),
      reloadPending: this.#reloadPending(),
      outbox: { waiting: this.#outbox.count(), degraded: this.#outbox.degraded },
      startedAt: this.#startedAt,
    };
  }

  answerPermission(task: string, requestId: string, answer: PermissionAnswer): boolean {
    return this.#runs.get(task)?.answer(requestId, answer) ?? false;
  }

  get runtimes(): readonly Runtime[] {
    return this.#watch.runtimes;
  }

  purgeOutbox(before: number): number {
    return this.#outbox.purge(before);
  }

  /** The gate knows best why a restart waits. */
  #reloadPending(): ReloadPending | null {
    const pending = this.#binaries?.pending();
    const inFlight = { active: this.#runs.size, claims: this.#pool.claiming };
    return this.#reload?.pending(pending, inFlight) ?? pending ?? null;
  }

  #watchBinaries(): BinaryWatch | undefined {
    const { signal } = this.#loops;
    return watchBinaries(this.#options, {
      agents: listOfBoth(this.#watch, this.#profiles),
      offer: async () => {
        await Promise.all([...this.#registrations.values()].map((one) => one.offer(this.#watch.runtimes, { signal })));
      },
      busy: (key) => [...this.#runs.values()].some((run) => run.view().runtime === key),
      inFlight: () => ({ active: this.#runs.size, claims: this.#pool.claiming }),
      onClaimable: () => this.#poller.nudge(),
      onLooked: () => this.#reload?.looked(),
    });
  }

  #connect(config: ConnectionConfig): Connection {
    const { connection, registration, profiles } = openConnection(config, { ...this.#options, outbox: this.#outbox });
    if (profiles) this.#profiles.push(profiles);
    this.#registrations.set(config.name, registration);
    return connection;
  }

  /** For what a server is told beside the loops: when it fails, they go on. */
  #tell(connection: Connection, tell: (registration: Registration) => Promise<void>): void {
    void tell(this.#registrations.get(connection.name)!).then(() => this.#registered()).catch((error) =>
      this.#loops.signal.aborted || this.#log.error("registering failed", { error: String(error) })
    );
  }

  /** Custom runtimes are known with the registration that brought them. */
  #registered(): void {
    this.#binaries?.adoptCustom(this.#connections.flatMap(customOf));
    this.#poller.nudge();
  }

  #offerTo(connections: readonly Connection[], signal: AbortSignal): void {
    const { runtimes } = this.#watch;
    for (const connection of connections) this.#tell(connection, (one) => one.offer(runtimes, { signal }));
  }

  #adopt(): void {
    this.#binaries?.adopt(this.#watch.runtimes);
    this.pauses.adopt(this.#watch.runtimes);
  }

  /** Nothing of an earlier instance may still write when its task is handed out again. */
  async #endLeftovers(): Promise<void> {
    const pids = await this.#options.processes.endMarked(`${this.#options.daemonId}:`);
    if (pids.length > 0) this.#log.warn("processes of an earlier instance were ended", { pids });
    await restoreAllPlaced(this.#options.home.placed, { files: this.#options.files, log: this.#log });
  }

  #runLoops(signal: AbortSignal): Promise<unknown> {
    const { clock, random, getLogger } = this.#options;
    this.#offerTo(this.#connections.filter(({ remote }) => remote), signal);
    return Promise.all([
      this.#poller.run(signal),
      this.pauses.run(signal),
      this.#options.reload?.own?.run(signal, () => this.#reload?.looked()),
      // An in-process run uses what there is, and is over soon.
      this.#binaries?.run(signal),
      ...(this.#options.submittedTo ? [] : [
        this.#watch.run(signal, () => {
          this.#adopt();
          this.#offerTo(this.#connections, signal);
        }),
      ]),
      ...this.#connections.flatMap((connection) => [
        this.#listen(connection, signal),
        runHeartbeat({
          connection,
          clock,
          random,
          log: getLogger("heartbeat"),
          onGone: () => this.#tell(connection, (one) => one.heal({ signal })),
          onTurn: () => this.#pulse.beat(`heartbeat ${connection.name}`),
        }, signal),
      ]),
    ]);
  }

  async #listen(connection: Connection, signal: AbortSignal): Promise<void> {
    for await (const wakeup of connection.wakeups.subscribe(signal)) {
      if (wakeup.kind === "task-available") this.#poller.nudge();
      else if (wakeup.kind === "profiles-changed") this.#tell(connection, (one) => one.checkProfiles({ signal }));
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
    const unwritten = this.#outbox.degraded ? 1 : 0;
    const inFlight = this.#runs.size + this.#pool.claiming + unwritten + (this.#reload?.inFlight ?? 0);
    const claimed = claimsOpen(this.phase);
    this.#dispatch({ kind: "tick", inFlight });
    // Nothing may be in hand: then the drain that has just begun is over.
    if (claimed && !claimsOpen(this.phase)) this.#dispatch({ kind: "tick", inFlight });
    this.#nextTick?.[Symbol.dispose]();
    const waits = this.phase.kind === "draining" || this.phase.kind === "reload-pending";
    if (waits) this.#nextTick = this.#options.clock.after(DRAIN_TICK_MS, () => this.#tick());
  }

  #dispatch(event: PhaseEvent): void {
    const before = this.phase.kind;
    const { phase, commands } = step(this.phase, event, this.#options.clock.now(), this.#limits);
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
        return this.#end();
      case "hand-off":
        return void this.#handOff();
    }
  }

  async #handOff(): Promise<void> {
    if (await this.#reload?.handOff() || (this.phase.kind === "stopped" && this.phase.to === "exit")) this.#end();
  }

  #end(): void {
    void this.close().then(() =>
      this.#resolveEnded(this.phase.kind === "stopped" && this.phase.to === "restart" ? "restart" : "exit")
    );
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
