/** `drover daemon`: the daemon in the foreground, until it is told to stop. */
import type { Holder } from "../../app/daemon_host.ts";
import { readSettings } from "../../app/settings.ts";
import { BUILD } from "../../core/build_info.ts";
import { DroverError } from "../../core/drover_error.ts";
import type { SupervisorKind } from "../../core/launch.ts";
import type { Ending } from "../../core/phase.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { runSupervised, supervisedBy } from "./daemon_supervised.ts";

export const daemon: Command = {
  name: "daemon",
  summary: "run the daemon in the foreground: find agents, register them, run tasks",
  options: [
    { name: "max-concurrent-tasks", value: "N", summary: "how many tasks run at once, 1 to 64 (default 4)" },
    { name: "log-level", value: "LEVEL", summary: "debug, info, warning or error (default info)" },
    { name: "health-port", value: "PORT", summary: "answer GET /health on this port of 127.0.0.1 (default: none)" },
    { name: "quiet", short: "q", summary: "log to the file only" },
    {
      name: "supervised",
      value: "KIND",
      summary: "run under a service manager: systemd or launchd (see service install)",
    },
  ],
  details: `
Ctrl-C (or SIGTERM) stops taking tasks and ends when the running ones are done; a second one ends them at once,
and those with an attempt left are tried again later; a third one leaves without waiting for anything.`,
  examples: [["drover daemon", "then, in another terminal: drover run …"]],
  run: runDaemon,
};

/** What a service manager makes different. */
export interface Serving {
  readonly supervisor: SupervisorKind;
  readonly codes: { readonly [E in Ending]: number };
  /** How long tasks may go on after the first signal, in ms; as long as they take when absent. */
  readonly drainMs?: number;
  readonly onReady?: (holder: Holder) => void;
  /** After an end that a signal asked for. */
  readonly onSignalled?: () => Promise<void>;
}

const BY_HAND: Serving = { supervisor: "none", codes: { exit: EXIT_CODES.ok.code, restart: EXIT_CODES.ok.code } };

async function runDaemon(context: CommandContext): Promise<number> {
  const kind = supervisedBy(context);
  return await (kind ? runSupervised(context, kind, (serving) => serve(context, serving)) : serve(context, BY_HAND));
}

async function serve(context: CommandContext, serving: Serving): Promise<number> {
  const { host, output, args } = context;
  const home = context.home();
  const settings = await readSettings(host, home, {
    maxConcurrentTasks: args.values["max-concurrent-tasks"],
    logLevel: args.values["log-level"],
    healthPort: args.values["health-port"],
  });
  const { openHolder } = await import("../../app/daemon_host.ts");
  const holder = await openHolder(host, home, {
    mode: "daemon",
    settings,
    args: context.argv,
    logToStderr: !args.switches.has("quiet"),
    supervisor: serving.supervisor,
  });
  using deadline = new DisposableStack();
  let signals = 0;
  let leave!: (code: number) => void;
  const left = new Promise<number>((resolve) => leave = resolve);
  using _signals = host.signals.on(["SIGINT", "SIGTERM"], () => {
    signals++;
    const { running } = holder.daemon.status().slots;
    if (signals === 1) {
      if (running > 0) {
        output.note(`drover: waiting for ${running} running task${running === 1 ? "" : "s"}; again to end them now`);
      }
      holder.daemon.stop();
      if (serving.drainMs !== undefined) {
        deadline.use(host.clock.after(serving.drainMs, () => holder.daemon.cancelTasks()));
      }
    } else if (signals === 2) holder.daemon.cancelTasks();
    else leave(EXIT_CODES.interrupted.code);
  });
  // A closed terminal is no reason to end: whoever wants that sends SIGTERM.
  using _hangup = host.signals.on(["SIGHUP"], () => {});
  try {
    await holder.start();
  } catch (error) {
    await holder.close();
    if (signals > 0) return EXIT_CODES.ok.code;
    throw new DroverError("daemon_failed", `Cannot start the daemon: ${(error as Error).message}`, {
      hint: `look at ${home.logFile}`,
      cause: error,
    });
  }
  serving.onReady?.(holder);
  const agents = holder.daemon.status().connections.flatMap((connection) => connection.runtimes)
    .map((runtime) => `${runtime.provider} ${runtime.version}`.trim());
  output.result({
    status: "running",
    version: BUILD.version,
    pid: host.system.self().pid,
    instance: holder.instance,
    home: home.root,
    controlSocket: holder.controlSocket,
    log: home.logFile,
    agents,
  }, () => {
    output.line(`drover ${BUILD.version} is running (pid ${host.system.self().pid}, home ${home.root})`);
    for (const { text } of holder.daemon.status().waitingFor) output.line(`waiting: ${text}`);
    output.line(`agents: ${agents.join(", ") || "none"}; slots: ${settings.maxConcurrentTasks}; ctrl-C stops it`);
  });
  const ended = holder.closed.then(async (ending) => {
    if (signals > 0) await serving.onSignalled?.();
    return serving.codes[ending];
  });
  return await Promise.race([left, ended]);
}
