/** Wires the life cycle to the machine: what `start`, `stop` and `restart` need of the host and of the control socket. */
import type { Home } from "../core/home.ts";
import type { Env, Host } from "../core/ports.ts";
import type { InstancePorts } from "../lifecycle/instance.ts";
import { connectControl, type ControlConnection } from "./control_client.ts";
import { daemonIdOf, inHome } from "./home_dir.ts";

export function instancePorts(host: Host, home: Home): InstancePorts {
  const { system } = host;
  return {
    clock: host.clock,
    files: host.files,
    locks: host.locks,
    launcher: host.launcher,
    self: system.self,
    identityOf: system.identityOf,
    selfCommand: system.selfCommand,
    env: daemonEnv(system.env, home),
    async connect() {
      const control = await connectControl(host, home);
      return control && {
        hello: control.hello,
        stop: (mode) => control.stop(mode),
        runningTasks: () => runningTasks(control),
        [Symbol.dispose]: () => control[Symbol.dispose](),
      };
    },
    endLeftovers: () => inHome(home, async () => await host.processes.endMarked(`${await daemonIdOf(host, home)}:`)),
  };
}

/** A daemon that outlives the task or the terminal it was started from knows nothing of either. */
function daemonEnv(env: Env, home: Home): Env {
  const kept = Object.entries(env).filter(([name]) => !/^DROVER_(TASK_|AGENT_|WORKSPACE_|TOKEN$|LAUNCH_)/.test(name));
  return { ...Object.fromEntries(kept), DROVER_HOME: home.root };
}

async function runningTasks(control: ControlConnection): Promise<string[]> {
  const status = await control.status() as { tasks?: { task: string; agent: string }[] };
  return (status.tasks ?? []).map(({ task, agent }) => `${task} (${agent})`);
}
