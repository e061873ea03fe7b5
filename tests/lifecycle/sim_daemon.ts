/** A model of the daemon, as far as others see it: lock, socket, pidfile, phases, tasks with their agents, and the ways it goes wrong. */
import { takeDaemonLock } from "../../lib/app/daemon_host.ts";
import { controlSocket } from "../../lib/core/home.ts";
import { type Phase, type PhaseEvent, step as stepPhase } from "../../lib/core/phase.ts";
import { type Host, HostError } from "../../lib/core/ports.ts";
import { createOwnRecord, type OwnRecord } from "../../lib/app/own_record.ts";
import { checkWanted } from "../../lib/app/wanted.ts";
import type { Hello } from "../../lib/wire/control.ts";
import { HOME, type Machine } from "./sim_machine.ts";
import type { SimProcess } from "./sim_scheduler.ts";

/** How one daemon will behave; drawn when it is launched. */
export interface Behaviour {
  /** Until it tries the lock, and from the pidfile to readiness, ms. */
  readonly bootMs: number;
  readonly readyMs: number;
  /** What it takes to close, with the lock still held, ms. */
  readonly closeMs: number;
  /** Dies before it gets as far as this. */
  readonly diesBefore?: "lock" | "socket" | "record" | "ready";
  /** Its event loop is stuck from some time after readiness on: it does not answer and does not hear TERM. */
  readonly stuck?: { readonly afterMs: number; readonly forMs: number };
}

/** Work that waits for a daemon, runs in one, or is done. */
export interface SimTask {
  readonly durationMs: number;
  state: "queued" | "running" | "done";
  agent: SimProcess | undefined;
  /** The last daemon that ran it. */
  owner: SimDaemon | undefined;
}

const LIMITS = { patienceMs: 0, graceMs: 60_000, cancelAfterGrace: false };
const SLOTS = 2;
const SILENT = { debug() {}, info() {}, warn() {}, error() {}, critical() {} };

export class SimDaemon {
  readonly process: SimProcess;
  readonly mode: "daemon" | "run";
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly version: string;
  instance = "";
  socket = "";
  phase: Phase = { kind: "starting" };
  /** Whoever holds the home; every process that has been one. */
  holds = false;
  readyAt: number | undefined;
  endedAt: number | undefined;
  /** The command that last told it to stop. */
  askedBy: SimProcess | undefined;
  /** Frozen at some time after this: then it may be taken for one that hangs. */
  lastStuck = -Infinity;
  readonly tasks = new Set<SimTask>();
  readonly #machine: Machine;
  readonly #queue: SimTask[];
  readonly #behaviour: Behaviour;
  #record: OwnRecord | undefined;
  #terms = 0;
  #ended!: () => void;
  readonly #end = new Promise<void>((resolve) => this.#ended = resolve);

  constructor(machine: Machine, process: SimProcess, options: {
    mode: "daemon" | "run";
    args: readonly string[];
    env: Readonly<Record<string, string>>;
    version: string;
    queue: SimTask[];
    behaviour: Behaviour;
  }) {
    this.#machine = machine;
    this.process = process;
    this.mode = options.mode;
    this.args = options.args;
    this.env = options.env;
    this.version = options.version;
    this.#queue = options.queue;
    this.#behaviour = options.behaviour;
  }

  get answers(): boolean {
    return this.process.alive && this.process.frozenUntil <= this.#machine.scheduler.time;
  }

  hello(): Hello {
    return {
      protocol: 1,
      instance: this.instance,
      pid: this.process.pid,
      version: this.version,
      mode: this.mode,
      phase: this.phase.kind,
      home: HOME.root,
    };
  }

  /** The whole life of the process; gives its exit code. */
  async main(): Promise<number> {
    const machine = this.#machine;
    const { scheduler } = machine;
    const { process } = this;
    const behaviour = this.#behaviour;
    const files = machine.filesFor(process);
    await scheduler.sleep(process, behaviour.bootMs);
    if (behaviour.diesBefore === "lock") return 1;
    const lock = await takeDaemonLock(this.#host(), HOME).catch(() => undefined);
    if (!lock) return 4;
    this.#become();
    try {
      if (!await checkWanted(this.#host(), HOME).then(() => true, () => false)) return 4;
      if (behaviour.diesBefore === "socket") return 1;
      for (const name of await files.list(HOME.runDirectory)) await files.remove(`${HOME.runDirectory}/${name}`);
      await scheduler.step(process, "listens", () => void machine.sockets.set(this.socket, process));
      if (behaviour.diesBefore === "record") return 1;
      this.#record = createOwnRecord(this.#host(), HOME, {
        instance: this.instance,
        mode: this.mode,
        args: this.args,
        controlSocket: this.socket,
        supervisor: "none",
        onSuperseded: () => {
          this.stop();
          this.cut();
        },
      });
      const published = await this.#record.publish();
      machine.onSignal(process, () => this.#hearTerm());
      await this.#recover();
      await scheduler.sleep(process, behaviour.readyMs);
      if (behaviour.diesBefore === "ready") return 1;
      if (this.phase.kind === "starting") {
        this.readyAt = scheduler.time;
        this.dispatch({ kind: "ready" });
      }
      this.#getStuck();
      await this.#end;
      await published[Symbol.asyncDispose]();
      await scheduler.step(process, "closes its socket", () => void machine.sockets.delete(this.socket));
      await scheduler.sleep(process, behaviour.closeMs);
      return 0;
    } catch (error) {
      // A full disk: it says so and ends.
      if (error instanceof HostError) return 11;
      throw error;
    } finally {
      this.holds = false;
      lock.release();
    }
  }

  /** Asked over the control socket. */
  async writeRecord(): Promise<void> {
    await this.#record?.write();
  }

  dispatch(event: PhaseEvent): void {
    const { scheduler } = this.#machine;
    const before = this.phase.kind;
    const { phase, commands } = stepPhase(this.phase, event, scheduler.time, LIMITS);
    this.phase = phase;
    if (phase.kind !== before) scheduler.note(this.process, `is ${phase.kind}`);
    if (commands.includes("exit")) this.#ended();
    this.#claim();
  }

  /** Over the control socket, or the first signal. */
  stop(): void {
    this.dispatch({ kind: "stop-requested" });
    this.#tick();
  }

  /** Ends what runs; it is queued again. */
  cut(): void {
    for (const task of this.tasks) {
      if (task.agent) this.#machine.kill(task.agent, "its task was cut");
      task.agent = undefined;
      task.state = "queued";
    }
    this.tasks.clear();
    this.#tick();
  }

  #tick(): void {
    this.dispatch({ kind: "tick", inFlight: this.tasks.size });
  }

  /** From here on it is the daemon: nobody else may be one. */
  #become(): void {
    const { scheduler } = this.#machine;
    this.holds = true;
    const hex = Array.from({ length: 12 }, () => "0123456789abcdef"[scheduler.below(16)]).join("");
    this.instance = `${hex.slice(0, 8)}-${hex.slice(8)}-0000`;
    this.socket = controlSocket(HOME, this.instance, { uid: 1, env: {} }).path;
    scheduler.note(this.process, `holds the home as ${this.instance}`);
  }

  #hearTerm(): void {
    this.#terms++;
    if (this.#terms === 1) this.stop();
    else if (this.#terms === 2) this.cut();
    else this.#machine.kill(this.process, "third SIGTERM");
  }

  /** Nothing of an earlier instance may still write when its task is handed out again. */
  async #recover(): Promise<void> {
    await this.#machine.scheduler.step(this.process, "recovers", () => {
      for (const task of this.#queue) {
        if (task.state !== "running") continue;
        if (task.agent) this.#machine.kill(task.agent, "left by an earlier daemon");
        task.agent = undefined;
        task.state = "queued";
      }
    });
  }

  #claim(): void {
    if (this.phase.kind !== "running") return;
    for (const task of this.#queue) {
      if (this.tasks.size >= SLOTS) return;
      if (task.state === "queued") this.#runTask(task);
    }
  }

  #runTask(task: SimTask): void {
    const machine = this.#machine;
    const { scheduler } = machine;
    task.state = "running";
    this.tasks.add(task);
    const agent = machine.spawn(`agent of ${this.process.name}`, async (process) => {
      await scheduler.sleep(process, task.durationMs);
      return 0;
    });
    task.agent = agent.process;
    task.owner = this;
    void agent.exit.then(() =>
      scheduler.step(this.process, "sees its agent end", () => {
        if (!this.tasks.has(task) || task.agent !== agent.process) return;
        this.tasks.delete(task);
        task.agent = undefined;
        task.state = "done";
        this.#tick();
      })
    );
  }

  #getStuck(): void {
    const { stuck } = this.#behaviour;
    if (!stuck) return;
    const { scheduler } = this.#machine;
    scheduler.after(this.process, stuck.afterMs, () => {
      scheduler.note(this.process, `is stuck for ${stuck.forMs} ms`);
      this.process.frozenUntil = scheduler.time + stuck.forMs;
      this.lastStuck = this.process.frozenUntil;
    });
  }

  /** As far as the rules of the lock and the record need it. */
  #host(): Host {
    const { process, env } = this;
    const machine = this.#machine;
    const { scheduler } = machine;
    const hash = (what: string) => scheduler.step(process, `hashes ${what}`, () => "0".repeat(64));
    return {
      clock: machine.clockFor(process),
      files: machine.filesFor(process),
      locks: machine.locksFor(process),
      logs: { getLogger: () => SILENT },
      fingerprints: { hashFile: hash, hashText: () => hash("a variable") },
      system: {
        env,
        cwd: "/",
        selfCommand: ["/bin/drover"],
        image: "/bin/drover",
        self: () => machine.identity(process),
        identityOf: (pid: number) => machine.identityOf(pid),
      },
    } as unknown as Host;
  }
}
