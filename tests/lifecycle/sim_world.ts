/** A home with its daemons, its work and its commands on the simulated machine, and the rules that must hold at every step. */
import type { ChildExit, Launched } from "../../lib/core/ports.ts";
import { REASON_VARIABLE } from "../../lib/core/launch.ts";
import { HOME, Machine } from "./sim_machine.ts";
import type { StopMode } from "../../lib/lifecycle/observe.ts";
import type { Caller } from "./sim_ports.ts";
import { type Behaviour, SimDaemon, type SimTask } from "./sim_daemon.ts";
import type { Scheduler, SimProcess } from "./sim_scheduler.ts";

/** What goes wrong in one run, drawn from its seed. */
export interface Faults {
  /** Per step: some process of drover is killed. */
  readonly kill: number;
  readonly reboot: number;
  readonly clockJump: number;
  /** Per step: a file of the home is removed, or has random bytes. */
  readonly damage: number;
  /** Per step: the disk is full for a while. */
  readonly fullDisk: number;
  /** Per daemon. */
  readonly dies: number;
  readonly stuck: number;
  readonly slow: number;
}

/** How old what a command knows of a daemon may be: one look at one that hangs. */
const LOOK_MS = 3_000;

export class World {
  readonly machine: Machine;
  readonly daemons: SimDaemon[] = [];
  readonly queue: SimTask[] = [];
  faults: Faults;
  /** When a daemon last ended in another way than it should. */
  lastFailure = -Infinity;
  /** Files that were lost or damaged so far. */
  readonly damaged = new Set<string>();
  /** Daemons that were started in place of one of an older version. */
  replacements = 0;

  constructor(scheduler: Scheduler, faults: Faults) {
    this.machine = new Machine(scheduler);
    this.faults = faults;
  }

  daemonOf(process: SimProcess | undefined): SimDaemon | undefined {
    return process && this.daemons.findLast((daemon) => daemon.process === process);
  }

  get holders(): SimDaemon[] {
    return this.daemons.filter((daemon) => daemon.holds && daemon.process.alive);
  }

  /** What a launcher does: the process belongs to nobody. */
  launch(
    caller: Caller,
    options: { args: readonly string[]; env: Readonly<Record<string, string>>; version: string },
  ): Launched {
    this.#judgeLaunch(caller);
    if (options.env[REASON_VARIABLE] === "new_version") this.replacements++;
    const { process, exit } = this.becomeHolder("daemon", options);
    let tell!: (exit: ChildExit) => void;
    const told = new Promise<ChildExit>((resolve) => tell = resolve);
    void exit.then((end) => tell(end));
    return { pid: process.pid, exit: told };
  }

  /** A process that tries to hold the home. */
  becomeHolder(
    mode: "daemon" | "run",
    options: { args: readonly string[]; env: Readonly<Record<string, string>>; version: string },
  ): { process: SimProcess; exit: Promise<ChildExit> } {
    const made: { daemon?: SimDaemon } = {};
    const spawned = this.machine.spawn(`${mode} ${this.daemons.length + 1}`, () => made.daemon!.main(), ({ code }) => {
      const { daemon } = made;
      if (!daemon) return;
      if (code !== 0) this.lastFailure = this.machine.scheduler.time;
      daemon.holds = false;
      daemon.endedAt = this.machine.scheduler.time;
    });
    const daemon = made.daemon = new SimDaemon(this.machine, spawned.process, {
      ...options,
      mode,
      queue: this.queue,
      behaviour: this.#behaviour(),
    });
    this.daemons.push(daemon);
    return spawned;
  }

  #behaviour(): Behaviour {
    const { scheduler } = this.machine;
    const { faults } = this;
    const slow = scheduler.chance(faults.slow);
    const dies = scheduler.chance(faults.dies);
    const stuck = scheduler.chance(faults.stuck);
    return {
      bootMs: scheduler.random() * (slow ? 8_000 : 60),
      readyMs: scheduler.random() * (slow ? 8_000 : 60),
      closeMs: scheduler.random() * (slow ? 5_000 : 20),
      ...(dies ? { diesBefore: (["lock", "socket", "record", "ready"] as const)[scheduler.below(4)] } : {}),
      ...(stuck
        ? {
          stuck: {
            afterMs: scheduler.random() * 3_000,
            forMs: scheduler.chance(0.5) ? 1e12 : scheduler.random() * 20_000,
          },
        }
        : {}),
    };
  }

  // Rules that must hold whenever somebody acts

  /** At most one owner, whatever the interleaving. */
  checkStep(): void {
    const holders = this.holders;
    if (holders.length > 1) {
      this.machine.fail(`${holders.map((daemon) => daemon.process.name).join(" and ")} hold the home at once`);
    }
  }

  /** Only under the restart lock, and only when a look under it has found nobody. */
  #judgeLaunch({ process }: Caller): void {
    const { machine } = this;
    if (machine.holderOf(HOME.restartLock) !== process) {
      machine.fail(`${process.name} launched without the restart lock`);
    }
    const since = machine.heldSince(HOME.restartLock);
    const up = this.holders.find((daemon) => (daemon.readyAt ?? Infinity) < since);
    if (up) machine.fail(`${process.name} launched a daemon beside ${up.process.name}, which was up all the time`);
  }

  judgeStop(caller: Caller, daemon: SimDaemon, mode: StopMode): void {
    daemon.askedBy = caller.process;
    if (mode === "now" && caller.mode !== "now") {
      this.machine.fail(`${caller.process.name} cut the tasks of ${daemon.process.name} without having been told to`);
    }
    // A drain lets it finish what it is there for.
    if (daemon.mode === "run" && caller.mode !== "now" && caller.verb !== "drain") {
      this.machine.fail(`${caller.process.name} ended ${daemon.process.name}, which ends by itself`);
    }
  }

  /** Only drover's own processes; and one that answers only with leave to cut what it does. */
  judgeSignal(caller: Caller, process: SimProcess, name: string): void {
    const daemon = this.daemonOf(process);
    if (!daemon) return this.machine.fail(`${caller.process.name} sent ${name} to ${process.name}, a stranger`);
    const wasStuck = daemon.lastStuck >= caller.begunAt;
    if (caller.mode !== "now" && !wasStuck) {
      this.machine.fail(`${caller.process.name} sent ${name} to ${daemon.process.name}, which answered all the time`);
    }
    const answersAgain = daemon.answers && daemon.lastStuck < this.machine.scheduler.time - LOOK_MS;
    if (caller.mode !== "now" && name === "SIGKILL" && answersAgain && daemon.tasks.size > 0) {
      this.machine.fail(`${caller.process.name} killed ${daemon.process.name}, which answers and drains`);
    }
  }
}
