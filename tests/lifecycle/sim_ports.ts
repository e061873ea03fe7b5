/** The life cycle's ports on the simulated machine, as one command's process has them; what they see is judged here. */
import { DroverError } from "../../lib/core/drover_error.ts";
import { daemonEnv, launchArgs } from "../../lib/core/launch.ts";
import type { ProcessIdentity } from "../../lib/core/ports.ts";
import type { Contact, ControlPort, StopMode } from "../../lib/lifecycle/observe.ts";
import type { InstancePorts } from "../../lib/lifecycle/verb.ts";
import type { SimDaemon } from "./sim_daemon.ts";
import { HOME } from "./sim_machine.ts";
import type { SimProcess } from "./sim_scheduler.ts";
import type { World } from "./sim_world.ts";

const HELLO_MS = 2_000;
const CALL_MS = 30_000;

/** Whose ports they are: a command that may or may not cut tasks. */
export interface Caller {
  readonly process: SimProcess;
  readonly verb: string;
  readonly mode: StopMode;
  readonly version: string;
  readonly begunAt: number;
}

export function portsFor(world: World, caller: Caller): InstancePorts {
  const { machine } = world;
  const { process, version } = caller;
  const { scheduler } = machine;
  const files = machine.filesFor(process);
  return {
    files,
    clock: machine.clockFor(process),
    locks: machine.locksFor(process),
    self: () => machine.identity(process),
    identityOf: (pid) => machine.identityOf(pid),
    environmentOf: (pid) => world.daemonOf(machine.processAt(pid))?.env,
    contact: async (look) => {
      const record = look.kind === "record" ? look.record.controlSocket : undefined;
      const recorded = record !== undefined && await reach(world, caller, record);
      if (recorded && recorded.kind !== "absent") return recorded;
      const names = await files.list(HOME.runDirectory);
      const others = names.map((name) => `${HOME.runDirectory}/${name}`).filter((path) => path !== record);
      const reached: Contact[] = [];
      for (const path of others) reached.push(await reach(world, caller, path));
      return reached.find(({ kind }) => kind === "answers") ?? reached.find(({ kind }) => kind === "silent") ??
        { kind: "absent" };
    },
    launcher: {
      launch: ({ argv, env }) => world.launch(caller, { args: argv.slice(1), env, version }),
      signal: (target, name) => signal(world, caller, { target, name }),
    },
    selfCommand: ["/bin/drover"],
    env: { PATH: "/bin" },
    version,
    endLeftovers: () => scheduler.step(process, "ends leftovers", () => endLeftovers(world, process)),
    mark: () => Promise.resolve(version),
    preflight: () => scheduler.step(process, "tries its own program", () => {}),
    faultPoint: (name) => scheduler.step(process, `is at ${name}`, () => {}),
  };
}

/** Connects to whoever listens on a socket; what it says may be outdated when it arrives. */
async function reach(world: World, caller: Caller, path: string): Promise<Contact> {
  const { machine } = world;
  const { scheduler } = machine;
  const { process } = caller;
  const found = await scheduler.step(process, `connects to ${path}`, () => {
    const daemon = world.daemonOf(machine.sockets.get(path));
    return daemon && { daemon, hello: daemon.answers ? daemon.hello() : undefined };
  });
  if (!found) return { kind: "absent" };
  if (!found.hello) {
    await scheduler.sleep(process, HELLO_MS);
    return { kind: "silent" };
  }
  const { daemon, hello } = found;
  await scheduler.step(process, `hears that pid ${hello.pid} is ${hello.phase}`, () => {});
  const call = <T>(what: string, effect: () => T) => request(world, caller, { daemon, path, what, effect });
  const control: ControlPort = {
    hello,
    stop: (mode) =>
      call(`stop (${mode})`, () => {
        world.judgeStop(caller, daemon, mode);
        daemon.stop();
        if (mode === "now") daemon.cut();
      }),
    cancelDrain: () =>
      call("cancel the drain", () => {
        if (daemon.phase.kind !== "draining") throw new DroverError("busy", "Cannot cancel the drain");
        daemon.dispatch({ kind: "drain-cancelled" });
      }),
    status: () => call("status", () => ({ ...daemon.hello() })),
    runningTasks: () => call("tasks", () => [...daemon.tasks].map((_, index) => `task ${index}`)),
    launch: () => call("launch", () => ({ args: launchArgs(daemon.args), env: daemonEnv(daemon.env, HOME) })),
    async adopt() {
      let written = false;
      await call("write your record", () => void daemon.writeRecord().then(() => written = true, () => {}));
      while (!written) await call("have you written it", () => {});
    },
    [Symbol.dispose]: () => {},
  };
  return { kind: "answers", control };
}

/** One call over the control socket: it may arrive and its answer may not. */
async function request<T>(
  world: World,
  { process }: Caller,
  { daemon, path, what, effect }: { daemon: SimDaemon; path: string; what: string; effect: () => T },
): Promise<T> {
  const { machine } = world;
  const { scheduler } = machine;
  const gone = () => new DroverError("not_running", "Cannot reach the daemon: the connection was closed");
  const listens = () => machine.sockets.get(path) === daemon.process;
  const deadline = scheduler.time + CALL_MS;
  for (;;) {
    const answer = await scheduler.step(process, `asks pid ${daemon.process.pid}: ${what}`, () => {
      if (!listens()) throw gone();
      return daemon.answers ? { value: effect() } : undefined;
    });
    if (answer) {
      return await scheduler.step(process, "hears the answer", () => {
        if (!daemon.process.alive) throw gone();
        return answer.value;
      });
    }
    if (scheduler.time >= deadline) throw gone();
    await scheduler.sleep(process, 500);
  }
}

function signal(
  world: World,
  caller: Caller,
  { target, name }: { target: ProcessIdentity; name: "SIGTERM" | "SIGKILL" },
): "sent" | "gone" {
  const { machine } = world;
  const process = machine.processAt(target.pid);
  if (!process || process.startTicks !== target.startTicks || machine.bootId !== target.bootId) return "gone";
  machine.scheduler.note(caller.process, `sends ${name} to ${process.name}`);
  world.judgeSignal(caller, process, name);
  if (name === "SIGKILL") machine.kill(process, `${name} by ${caller.process.name}`);
  else machine.terminate(process, caller.process);
  return "sent";
}

/** Everything with the home's mark, as the real one finds it: whose it is does not show. */
function endLeftovers(world: World, process: SimProcess): number[] {
  const ended: number[] = [];
  for (const task of world.queue) {
    if (!task.agent) continue;
    const owner = world.daemons.find((daemon) => daemon.tasks.has(task) && daemon.process.alive);
    if (owner) world.machine.fail(`${process.name} ended an agent of ${owner.process.name}, which is at work`);
    ended.push(task.agent.pid);
    world.machine.kill(task.agent, "left over");
    task.agent = undefined;
  }
  return ended;
}
