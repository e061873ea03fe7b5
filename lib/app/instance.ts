/** Wires the life cycle to the machine: what `start`, `stop` and `restart` need of the host and of the control socket. */
import { BUILD } from "../core/build_info.ts";
import type { Home } from "../core/home.ts";
import { claimedVersion, daemonEnv } from "../core/launch.ts";
import type { Host } from "../core/ports.ts";
import type { ControlPort } from "../lifecycle/observe.ts";
import type { InstancePorts } from "../lifecycle/verb.ts";
import type { ControlConnection, ReachOptions } from "./control_client.ts";
import { createFaultPoints } from "./fault_points.ts";
import { daemonIdOf, inHome } from "./home_dir.ts";
import { preflight } from "./preflight.ts";
import { reachHolder } from "./reach.ts";

/** `ask`: what whoever looks will want to know first. */
export function instancePorts(host: Host, home: Home, options: ReachOptions = {}): InstancePorts {
  const { system } = host;
  return {
    clock: host.clock,
    files: host.files,
    locks: host.locks,
    launcher: host.launcher,
    self: system.self,
    identityOf: system.identityOf,
    environmentOf: system.environmentOf,
    selfCommand: system.selfCommand,
    env: daemonEnv(system.env, home),
    version: claimedVersion(system.env, BUILD.version),
    async contact(record) {
      const reached = await reachHolder(host, home, record, options);
      return reached.kind === "answers" ? { kind: "answers", control: controlPort(reached.connection) } : reached;
    },
    endLeftovers: () => inHome(home, async () => await host.processes.endMarked(`${await daemonIdOf(host, home)}:`)),
    mark: () => launchMark(host, home),
    preflight: async () => void await preflight(host),
    faultPoint: createFaultPoints(host, home),
    // Loaded late: who only looks has no use for it.
    supervisor: async () => (await import("./service.ts")).supervisorOf(host, home),
  };
}

function controlPort(connection: ControlConnection): ControlPort {
  return {
    hello: connection.hello,
    stop: (mode) => connection.stop(mode),
    cancelDrain: () => connection.cancelDrain(),
    status: () => connection.status(),
    runningTasks: () => runningTasks(connection),
    launch: () => connection.launch(),
    adopt: () => connection.adopt(),
    [Symbol.dispose]: () => connection[Symbol.dispose](),
  };
}

async function runningTasks(control: ControlConnection): Promise<string[]> {
  const status = await control.status() as { tasks?: { task: string; agent: string }[] };
  return (status.tasks ?? []).map(({ task, agent }) => `${task} (${agent})`);
}

/** Cheap on purpose: a start does not wait for the digest of a large executable. */
async function launchMark({ files, system }: Host, home: Home): Promise<string> {
  const paths = [system.selfCommand.at(-1) ?? "", home.config];
  const marks = await Promise.all(paths.map(async (path) => {
    const info = await files.stat(path).catch(() => undefined);
    return info ? `${info.dev}:${info.ino}:${info.size}:${info.mtimeMs}` : "-";
  }));
  return marks.join(" ");
}
