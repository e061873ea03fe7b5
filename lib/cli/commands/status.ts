/** `drover status`: what the daemon of this home is doing; starts nothing, changes nothing, answers within seconds. */
import { connectControl } from "../../app/control_client.ts";
import { BUILD } from "../../core/build_info.ts";
import type { Home } from "../../core/home.ts";
import type { Host } from "../../core/ports.ts";
import { readPidfile, sameProcess } from "../../lifecycle/pidfile.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { paint, table } from "../output.ts";

export const status: Command = {
  name: "status",
  summary: "show whether the daemon runs and what it is doing",
  options: [],
  details: "Exits with 0 while a daemon runs, starts or drains, and with 3 when none does.",
  async run(context) {
    const { host } = context;
    const home = context.home();
    using control = await connectControl(host, home);
    return control ? await showRunning(context, await control.status()) : await showAbsent(context, home);
  },
};

interface StatusView {
  readonly phase: string;
  readonly mode: string;
  readonly pid: number;
  readonly version: string;
  readonly instance: string;
  readonly startedAt: number;
  readonly holding: string | null;
  readonly slots: { total: number; running: number };
  readonly tasks: readonly { task: string; agent: string; stage: string; since: number; messages: number }[];
  readonly connections: readonly {
    name: string;
    state: string;
    why: string;
    runtimes: readonly { provider: string; version: string }[];
  }[];
  readonly outbox: { waiting: number; degraded: boolean };
}

function showRunning({ host, home, output }: CommandContext, raw: Record<string, unknown>): Promise<number> {
  const view = raw as unknown as StatusView;
  const uptimeMs = host.clock.now() - view.startedAt;
  const degraded = view.outbox.degraded || view.connections.some(({ state }) => state !== "connected");
  const state = view.phase === "running" && degraded ? "degraded" : view.phase;
  const { root, logFile } = home();
  output.result({ ...raw, state, uptimeMs, cliVersion: BUILD.version, home: root, log: logFile }, () => {
    const connections = view.connections.map(({ name, state, why, runtimes }) => {
      const agents = runtimes.map((one) => `${one.provider} ${one.version}`.trim()).join(", ") || "no agents";
      return [name, state === "connected" ? agents : `${state}: ${why}`];
    });
    const rows = [
      ["state", `${paint.bold(state)}${view.holding ? ` (takes no tasks: ${view.holding})` : ""}`],
      ["process", `pid ${view.pid}, ${view.mode}, up ${since(uptimeMs)}`],
      ["version", view.version === BUILD.version ? view.version : `${view.version} (this command: ${BUILD.version})`],
      ["slots", `${view.slots.running} of ${view.slots.total} in use`],
      ...connections,
      ...view.tasks.map((
        task,
      ) => [
        "task",
        `${task.task.slice(0, 13)} ${task.agent}, ${task.stage} for ${
          since(host.clock.now() - task.since)
        }, ${task.messages} messages`,
      ]),
      ...(view.outbox.waiting > 0 ? [["undelivered", `${view.outbox.waiting} records`]] : []),
      ["home", root],
      ["log", logFile],
    ];
    for (const line of table(rows)) output.line(line);
  });
  return Promise.resolve(EXIT_CODES.ok.code);
}

/** Nobody answers: the record and the process it names tell the rest. The lock is not touched. */
async function showAbsent({ host, output }: CommandContext, home: Home): Promise<number> {
  const { state, pid, text } = await absence(host, home);
  output.result({ state, pid, cliVersion: BUILD.version, home: home.root, log: home.logFile }, () => {
    output.line(`${paint.bold(state)}: ${text}`);
    output.line(`home: ${home.root}`);
  });
  return state === "unresponsive" ? EXIT_CODES.busy.code : EXIT_CODES.notRunning.code;
}

async function absence(host: Host, home: Home): Promise<{ state: string; pid: number | null; text: string }> {
  const record = await readPidfile(host.files, home.pidfile);
  if (!record) return { state: "stopped", pid: null, text: "no daemon runs; drover start starts one" };
  if (sameProcess(record, host.system.identityOf(record.pid))) {
    return {
      state: "unresponsive",
      pid: record.pid,
      text: `pid ${record.pid} lives and does not answer; look at ${home.logFile}`,
    };
  }
  return {
    state: "crashed",
    pid: null,
    text: `the daemon (pid ${record.pid}) ended without saying so; drover start recovers its tasks`,
  };
}

function since(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const units: readonly (readonly [number, string])[] = [[86_400, "d"], [3_600, "h"], [60, "min"]];
  const unit = units.find(([size]) => seconds >= size);
  return unit ? `${Math.floor(seconds / unit[0])} ${unit[1]}` : `${seconds} s`;
}
