/** Commands as terminals give them to the simulated machine: the real code of each verb, its deadline, and what its result must mean. */
import { DroverError } from "../../lib/core/drover_error.ts";
import { cancelDrain, drainDaemon, restartDaemon, startDaemon, stopDaemon } from "../../lib/lifecycle/instance.ts";
import { observe, type StopMode } from "../../lib/lifecycle/observe.ts";
import { stateOf } from "../../lib/core/handshake.ts";
import { makeUsable } from "../../lib/lifecycle/replace.ts";
import { HostError } from "../../lib/core/ports.ts";
import { HOME } from "./sim_machine.ts";
import { type Caller, portsFor } from "./sim_ports.ts";
import type { SimProcess } from "./sim_scheduler.ts";
import type { World } from "./sim_world.ts";

/** `use`: any command that works with the daemon it finds, of whatever version. */
export type Verb = "start" | "stop" | "restart" | "status" | "use" | "drain" | "cancel" | "foreground" | "run";

export interface CommandSpec {
  readonly verb: Verb;
  readonly mode: StopMode;
  /** Of a start, and of a drain, ms. */
  readonly startMs: number;
  readonly drainMs: number;
  readonly args: readonly string[];
  readonly force?: boolean;
  readonly version: string;
}

export interface Outcome {
  readonly spec: CommandSpec;
  readonly process: SimProcess | undefined;
  /** The status of the verb, the code of the error, or `killed`. */
  readonly result: string;
  readonly message: string;
  readonly begunAt: number;
  readonly endedAt: number;
}

/** Of the wait behind other verbs, as the code has it. */
const LOCK_EXTRA_MS = 75_000;
/** Looking (2 s), one call that gets no answer (30 s), the ladder (2 × 10 s), and what a slow machine adds. */
const SLACK_MS = 100_000;

const END_AGAIN_MS = 20_000;

/** Errors that a verb may end with; anything else is no defined result. */
const DEFINED: { readonly [V in Verb]: readonly string[] } = {
  start: ["busy", "timeout", "daemon_failed", "unmanaged", "breaker_open", "version_conflict"],
  stop: ["busy", "timeout", "drain_deadline", "unmanaged"],
  restart: ["busy", "timeout", "daemon_failed", "drain_deadline", "unmanaged", "breaker_open"],
  status: [],
  use: ["not_running", "busy", "timeout", "daemon_failed", "version_conflict", "breaker_open", "unmanaged"],
  drain: ["not_running", "busy"],
  cancel: ["not_running", "busy"],
  foreground: [],
  run: [],
};

/** Runs one command in a process of its own; when that is killed, the outcome says so. */
export function runCommand(world: World, spec: CommandSpec, name: string): Promise<Outcome> {
  const { machine } = world;
  const { scheduler } = machine;
  const begunAt = scheduler.time;
  let started: SimProcess | undefined;
  const outcome = (result: string, message = ""): Outcome => ({
    spec,
    process: started,
    result,
    message,
    begunAt,
    endedAt: scheduler.time,
  });
  if (spec.verb === "foreground" || spec.verb === "run") {
    const mode = spec.verb === "run" ? "run" : "daemon";
    const { process, exit } = world.becomeHolder(mode, {
      args: ["daemon", ...spec.args],
      env: { PATH: "/bin" },
      version: spec.version,
    });
    // A run ends with its task, a daemon in the foreground by ctrl-C, one day; again when somebody took that back.
    const end = () => {
      world.daemonOf(process)?.stop();
      scheduler.after(process, END_AGAIN_MS, end);
    };
    scheduler.after(process, scheduler.random() * END_AGAIN_MS, end);
    return exit.then(({ code }) => outcome(`ended with ${code}`));
  }
  let result: Outcome | undefined;
  return new Promise((resolve) => {
    started = machine.spawn(name, async (process) => {
      result = await perform(world, { spec, process, begunAt, outcome });
      return 0;
    }, () => resolve(result ?? outcome("killed"))).process;
  });
}

async function perform(
  world: World,
  { spec, process, begunAt, outcome }: {
    spec: CommandSpec;
    process: SimProcess;
    begunAt: number;
    outcome: (result: string, message?: string) => Outcome;
  },
): Promise<Outcome> {
  const { machine } = world;
  const caller: Caller = { process, verb: spec.verb, mode: spec.mode, version: spec.version, begunAt };
  const before = new Set(world.holders);
  let ended: Outcome;
  try {
    ended = outcome(await act(world, caller, spec));
    machine.scheduler.note(process, `${spec.verb}: ${ended.result}`);
    if (spec.verb === "stop") checkStopped(world, process, before);
  } catch (error) {
    const code = error instanceof DroverError || error instanceof HostError ? error.code : "internal";
    ended = outcome(code, error instanceof Error ? error.message : String(error));
    machine.scheduler.note(process, `${spec.verb}: ${code}: ${ended.message}`);
    const disk = error instanceof HostError && error.code === "no-space";
    // What is full is of no concern to a stop.
    if (disk ? spec.verb === "stop" : !DEFINED[spec.verb].includes(code)) {
      machine.fail(`${spec.verb} ended with ${code}: ${error instanceof Error ? error.stack : error}`);
    }
    const drains = world.holders.some((one) => one.askedBy === process && one.answers && one.phase.kind === "draining");
    if (spec.verb === "restart" && code === "drain_deadline" && drains) {
      machine.fail(`${process.name} restarts nothing, and the daemon drains for nobody`);
    }
    if (code === "unmanaged" && !world.daemons.some((daemon) => daemon.lastStuck >= begunAt)) {
      machine.fail(`${spec.verb} found a daemon that it cannot identify, and there was none: ${ended.message}`);
    }
    if (code === "daemon_failed" && world.lastFailure < begunAt) {
      machine.fail(`${spec.verb} says that a daemon failed, and none did: ${ended.message}`);
    }
  }
  const took = ended.endedAt - begunAt;
  const limit = LOCK_EXTRA_MS + spec.startMs + spec.drainMs + SLACK_MS;
  if (took > limit) machine.fail(`${spec.verb} took ${Math.round(took)} ms, more than ${limit}`);
  return ended;
}

async function act(world: World, caller: Caller, spec: CommandSpec): Promise<string> {
  const ports = portsFor(world, caller);
  const stop = { mode: spec.mode, timeoutMs: spec.drainMs };
  switch (spec.verb) {
    case "start": {
      const { status, hello } = await startDaemon(ports, HOME, {
        args: spec.args,
        timeoutMs: spec.startMs,
        force: spec.force,
      });
      checkServed(world, hello.instance, caller);
      return status;
    }
    case "stop":
      return (await stopDaemon(ports, HOME, stop)).status;
    case "restart": {
      const { status, hello } = await restartDaemon(ports, HOME, { start: { timeoutMs: spec.startMs }, stop });
      checkServed(world, hello.instance, caller);
      return status;
    }
    case "use": {
      using look = await observe(ports, HOME);
      return look.control ? (await makeUsable(ports, HOME, look.control.hello)).kind : "nobody";
    }
    case "drain":
    case "cancel":
      await (spec.verb === "drain" ? drainDaemon : cancelDrain)(ports, HOME, {});
      return "asked";
    default: {
      using look = await observe(ports, HOME);
      return stateOf(look.observation);
    }
  }
}

/** Who is named as running was running when the command was at it. */
function checkServed(world: World, instance: string, { process, begunAt }: Caller): void {
  const daemon = world.daemons.find((one) => one.instance === instance);
  if (!daemon || daemon.readyAt === undefined || (daemon.endedAt ?? Infinity) < begunAt) {
    world.machine.fail(`${process.name} says that ${instance} is running, which it never was meanwhile`);
  }
}

/** Nothing that held the home when the stop began holds it still, and none of its agents is left. */
function checkStopped(world: World, process: SimProcess, before: ReadonlySet<unknown>): void {
  for (const daemon of world.holders) {
    if (before.has(daemon)) {
      world.machine.fail(`${process.name} says stopped, and ${daemon.process.name} holds the home`);
    }
  }
  // Whoever holds the home by now has ended them, or is about to.
  if (world.holders.length > 0) return;
  for (const task of world.queue) {
    const owner = task.owner;
    if (task.agent && owner && !owner.process.alive && before.has(owner)) {
      world.machine.fail(`${process.name} says stopped, and ${task.agent.name} still runs`);
    }
  }
}
