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
import { type AgentWatch, createAgentWatch } from "./agent_watch.ts";
import type { BinaryWatch } from "./binary_watch.ts";
import { ClaimGate, type DaemonPauses, pausesOf } from "./claim_gate.ts";
import { type Connection, customOf } from "./connection.ts";
import { ConnectionLoops } from "./connection_loops.ts";
import type { Daemon, DaemonOptions } from "./daemon_contract.ts";
import { createDirectoryLocks } from "./directory_locks.ts";
import { endLeftovers } from "./leftovers.ts";
import { createLoopPulse, type LoopPulse } from "./loop_pulse.ts";
import { openOutbox, type Outbox } from "./outbox.ts";
import { OutboxRetry } from "./outbox_retry.ts";
import { listOfBoth } from "./profile_runtimes.ts";
import { createPool, type Pool } from "./pool.ts";
import type { PermissionAnswer } from "./permissions.ts";
import { createPoller, type Poller } from "./poller.ts";
import { ReloadRunner, type WatchedPrograms } from "./reload_runner.ts";
import { connectionStatus, type DaemonStatus, type ReloadPending, waitingFor } from "./status.ts";
import { Runs } from "./runs.ts";
import { RuntimePauses } from "./runtime_pauses.ts";
import type { RunnerContext } from "./task_runner.ts";
import { watchBinaries } from "./watch_binaries.ts";

export type { ConnectionConfig, Daemon, DaemonOptions } from "./daemon_contract.ts";

const LIMITS: PhaseLimits = { patienceMs: 0, graceMs: 60_000, cancelAfterGrace: false };
const NOTHING_WATCHED: WatchedPrograms = { changes: () => [], settling: () => false };
const DEREGISTER_MS = 5_000;
/** A drain also ends by what no run reports: a claim call that came back empty, an outbox that can be written again. */
const DRAIN_TICK_MS = 1_000;

/** Throws `OutboxError` when the outbox cannot be opened. */
export function createDaemon(options: DaemonOptions): Daemon {
  return new LoopDaemon(options);
}

class LoopDaemon implements Daemon {
  readonly ended: Promise<Ending>;
  readonly pauses: DaemonPauses;
  phase: Phase = { kind: "starting" };
  readonly #options: DaemonOptions;
  readonly #log: Logger;
  readonly #outbox: Outbox;
  readonly #outboxRetry: OutboxRetry;
  readonly #pulse: LoopPulse;
  readonly #pool: Pool;
  readonly #poller: Poller;
  readonly #agentPauses: RuntimePauses;
  readonly #gate: ClaimGate;
  readonly #connections: readonly Connection[];
  readonly #servers: readonly ConnectionLoops[];
  readonly #watch: AgentWatch;
  readonly #binaries: BinaryWatch | undefined;
  /** For what no task may begin under, as an update. */
  #holds = 0;
  readonly #reload: ReloadRunner | undefined;
  readonly #limits: PhaseLimits;
  readonly #runs: Runs;
  /** The loops end with it; tasks do not hear it. */
  readonly #loops = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  #nextTick: Disposable | undefined;
  #closed: Promise<void> | undefined;
  #resolveEnded!: (ending: Ending) => void;
  readonly #startedAt: number;

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.#log = options.getLogger("daemon");
    this.#startedAt = options.clock.now();
    this.ended = new Promise((resolve) => this.#resolveEnded = resolve);
    this.#outboxRetry = new OutboxRetry({
      clock: options.clock,
      log: this.#log,
      outbox: () => this.#outbox,
      onWritten: () => this.#poller.nudge(),
    });
    this.#outbox = openOutbox(options.home.outboxDb, options.getLogger("outbox"), {
      onDegraded: () => this.#outboxRetry.later(),
    });
    this.#pulse = createLoopPulse(options.clock);
    this.#pool = createPool(() => options.liveLimits?.().slots ?? options.slots);
    this.#servers = this.#openServers();
    this.#connections = this.#servers.map(({ connection }) => connection);
    this.#watch = createAgentWatch({
      ...options,
      log: options.getLogger("agents"),
      adds: (runtime) => !this.#binaries?.knows(runtime),
    });
    this.#binaries = this.#watchBinaries();
    this.#agentPauses = new RuntimePauses({
      ...options.pauses,
      clock: options.clock,
      log: options.getLogger("agents"),
      onClaimable: () => this.#poller.nudge(),
    });
    this.#gate = new ClaimGate({
      ...options.claims,
      clock: options.clock,
      log: options.getLogger("claims"),
      onClaimable: () => this.#poller.nudge(),
      askServers: (signal) => this.#askServers(signal),
    });
    this.pauses = pausesOf(this.#agentPauses, this.#gate);
    this.#limits = { ...LIMITS, patienceMs: options.reload?.patienceMs ?? 0 };
    this.#reload = options.reload && new ReloadRunner({
      ...options.reload,
      agents: this.#binaries ?? NOTHING_WATCHED,
      clock: options.clock,
      log: options.getLogger("reload"),
      tellPhase: (event) => (this.#dispatch(event), this.#tick()),
    });
    const context: RunnerContext = {
      ...options,
      env: () => options.surroundings.env(),
      log: options.getLogger("task"),
      locks: createDirectoryLocks(),
      launchable: this.#binaries && ((...asked) => this.#agentPauses.launchable(...asked, this.#binaries!)),
      outbox: this.#outbox,
      day: this.#gate.day,
      onOutcome: (run) => this.#agentPauses.ended(run),
      markPrefix: `${options.daemonId}:${options.instance}:`,
    };
    this.#runs = new Runs({ context, log: this.#log, day: this.#gate.day, onEnded: () => this.#tick() });
    this.#poller = createPoller({
      connections: this.#connections,
      pool: this.#pool,
      clock: options.clock,
      log: options.getLogger("poller"),
      daemonId: options.daemonId,
      submittedTo: options.submittedTo,
      claimsOpen: () => claimsOpen(this.phase) && this.#holds === 0,
      outboxDegraded: () => this.#outbox.degraded,
      isActive: (id) => this.#runs.has(id),
      mayClaim: (runtime) =>
        (this.#binaries?.mayClaim(runtimeKey(runtime)) ?? true) && this.#agentPauses.mayClaim(runtime.provider),
      gate: this.#gate,
      hinted: () => this.#servers.every(({ hinted }) => hinted),
      limits: () => (options.liveLimits?.() ?? options).agentLimits,
      run: (task, connection, slot) => this.#runs.start(task, connection, slot),
      onTurn: () => this.#pulse.beat("poller"),
    });
  }

  async start(): Promise<void> {
    const { home, files } = this.#options;
    const signal = this.#loops.signal;
    try {
      for (const directory of [home.workspaces, home.transcripts]) await files.makeDirectory(directory);
      const known = this.#watch.runtimes.length > 0;
      await Promise.all([known || this.#watch.look(signal), endLeftovers({ ...this.#options, log: this.#log })]);
      this.#adopt();
      await Promise.all([this.#agentPauses.begin(signal), this.#gate.begin(signal)]);
      const near = this.#servers.filter(({ connection }) => !connection.remote);
      await Promise.all(near.map((server) => server.offer(this.#watch.runtimes)));
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
    this.#runs.stop({ kind: "shutdown" }, { later: !claimsOpen(this.phase) });
  }

  stalledMs(): number {
    return this.#pulse.stalledMs();
  }

  status(): DaemonStatus {
    return {
      phase: this.phase.kind,
      holding: this.#poller.holding() ?? null,
      paused: this.#gate.view() ?? null,
      today: this.#gate.day.today(),
      slots: { total: this.#pool.size, running: this.#pool.running },
      tasks: this.#runs.views(),
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

  nudge(): void {
    this.#poller.nudge();
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
    return watchBinaries(this.#options, {
      agents: listOfBoth(this.#watch, this.#servers.flatMap(({ profiles }) => profiles ?? [])),
      offer: async () => void await Promise.all(this.#servers.map((server) => server.offer(this.#watch.runtimes))),
      busy: (key) => this.#runs.views().some((run) => run.runtime === key),
      inFlight: () => ({ active: this.#runs.size, claims: this.#pool.claiming }),
      onClaimable: () => this.#poller.nudge(),
      onLooked: () => this.#reload?.looked(),
    });
  }

  #openServers(): ConnectionLoops[] {
    const host = {
      options: this.#options,
      outbox: this.#outbox,
      runs: () => this.#runs,
      inFlight: () => ({ active: this.#runs.size, claims: this.#pool.claiming }),
      holdClaims: () => this.#holdClaims(),
      nudge: () => this.#poller.nudge(),
      onRegistered: () => this.#binaries?.adoptCustom(this.#connections.flatMap(customOf)),
      onTurn: (loop: string) => (this.#pulse.beat(loop), this.#gate.turn()),
    };
    return this.#options.connections.map((config) => new ConnectionLoops(config, host, this.#loops.signal));
  }

  #holdClaims(): Disposable {
    this.#holds++;
    return {
      [Symbol.dispose]: () => {
        this.#holds--;
        this.#poller.nudge();
      },
    };
  }

  #adopt(): void {
    this.#binaries?.adopt(this.#watch.runtimes);
    this.#agentPauses.adopt(this.#watch.runtimes);
  }

  #runLoops(signal: AbortSignal): Promise<unknown> {
    const { runtimes } = this.#watch;
    for (const server of this.#servers) if (server.connection.remote) server.tellOf(runtimes);
    return Promise.all([
      this.#poller.run(signal),
      this.#agentPauses.run(signal),
      this.#options.upkeep?.(this.#connections, signal),
      this.#options.reload?.own?.run(signal, () => this.#reload?.looked()),
      // An in-process run uses what there is, and is over soon.
      this.#binaries?.run(signal),
      ...(this.#options.submittedTo ? [] : [
        this.#watch.run(signal, () => {
          this.#adopt();
          for (const server of this.#servers) server.tellOf(this.#watch.runtimes);
        }),
      ]),
      ...this.#servers.map((server) => server.run()),
    ]);
  }

  /** Whose tasks it has had meanwhile and where they went: the beats tell that it is there, the tasks' states the rest. */
  async #askServers(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.beat(signal)));
    this.#runs.checkStatus();
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
        this.#runs.goOn();
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
    this.#outboxRetry[Symbol.dispose]();
    this.#loops.abort();
    this.#runs.stop({ kind: "shutdown" }, { later: true });
    await this.#running;
    const limit = new AbortController();
    using _limit = this.#options.clock.after(DEREGISTER_MS, () => limit.abort());
    await Promise.all(this.#servers.map((server) => server.deregister(limit.signal)));
    await Promise.all(this.#connections.map((connection) => connection.delivery.close()));
    await this.#runs.settled();
    await this.#gate.day.settled();
    this.#outbox.close();
  }
}
