/** `drover start`, `stop`, `restart` and `drain`: the background daemon, one per home, safely from any terminal. */
import { connectControl } from "../../app/reach.ts";
import { checkHome, openHome } from "../../app/home_dir.ts";
import { instancePorts } from "../../app/instance.ts";
import { readSettings } from "../../app/settings.ts";
import { parseDuration } from "../../core/config.ts";
import { DroverError } from "../../core/drover_error.ts";
import type { Home } from "../../core/home.ts";
import {
  cancelDrain,
  drainDaemon,
  nobodyToDrain,
  restartDaemon,
  startDaemon,
  stopDaemon,
} from "../../lifecycle/instance.ts";
import type { StopMode } from "../../lifecycle/observe.ts";
import type { Hello } from "../../wire/control.ts";
import type { Command, CommandContext, OptionSpec } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";

const READY_MS = 30_000;
const DRAIN_MS = 60_000;

const START_OPTIONS: readonly OptionSpec[] = [
  { name: "max-concurrent-tasks", value: "N", summary: "how many tasks run at once, 1 to 64 (default 4)" },
  { name: "log-level", value: "LEVEL", summary: "debug, info, warning or error (default info)" },
  { name: "health-port", value: "PORT", summary: "answer GET /health on this port of 127.0.0.1 (default: none)" },
  { name: "auto-reload-binaries", summary: "restart, when nothing runs, for an agent CLI that was replaced" },
];
const STOP_OPTIONS: readonly OptionSpec[] = [
  { name: "drain", summary: "let running tasks finish first (the default)" },
  { name: "now", summary: "end running tasks at once; those with an attempt left are tried again later" },
  { name: "timeout", value: "TIME", summary: "how long running tasks may take to finish (default 60s)" },
];

const SAID = {
  started: "drover is running",
  alreadyRunning: "drover is running already",
  restarted: "drover is running, of this version now",
} as const;

export const start: Command = {
  name: "start",
  options: [
    ...START_OPTIONS,
    { name: "force", summary: "try at once although the last starts failed" },
  ],
  details: `
A daemon of an older version that has nothing to do is replaced. Starts that fail again and again are held up for a
while (exit code 10) until the program or config.json changes; --force tries at once.`,
  async run(context) {
    const { output } = context;
    const home = context.home();
    const args = await startArgs(context, home);
    await openHome(context.host, home);
    const ports = instancePorts(context.host, home);
    const { status, hello, argsIgnored } = await startDaemon(ports, home, {
      args,
      timeoutMs: READY_MS,
      force: context.args.switches.has("force"),
      onWait: waiting(context),
    });
    if (argsIgnored) {
      output.note(`drover: ${args.join(" ")} had no effect: the daemon was there before, or a service starts it`);
      output.note("drover: drover config set, then drover restart, changes what a daemon works with");
    }
    const waitingFor = await waitingForOf(context, home);
    output.result({ status, ...about(hello, home), argsIgnored, waitingFor }, () => {
      output.line(`${SAID[status]} (pid ${hello.pid})`);
      for (const { text } of waitingFor) output.line(`waiting: ${text}`);
    });
    return EXIT_CODES.ok.code;
  },
};

export const stop: Command = {
  name: "stop",
  options: STOP_OPTIONS,
  details: `
Takes no new tasks and waits for the running ones, 60 s unless told otherwise. Past that it exits with code 8,
lists what still runs, and the daemon goes on draining: drover drain --cancel takes that back.`,
  async run(context) {
    const { host, output } = context;
    const home = context.home();
    const options = stopOptions(context);
    // A home that was never used is not made by asking for an end.
    const stopped = await host.files.stat(home.root)
      ? await stopDaemon(instancePorts(host, home), home, { ...options, onWait: waiting(context) })
      : { status: "notRunning", staleCleaned: false };
    output.result(
      stopped,
      () => output.line(stopped.status === "stopped" ? "drover is stopped" : "drover was not running"),
    );
    return EXIT_CODES.ok.code;
  },
};

export const restart: Command = {
  name: "restart",
  options: [
    ...STOP_OPTIONS,
    { name: "with-current-env", summary: "give the new daemon this terminal's environment, not the old daemon's" },
  ],
  details: `
The new daemon gets the arguments and the environment of the old one, whoever restarts it. Tasks that run may finish
first, 60 s unless told otherwise; past that nothing is restarted (exit code 8).`,
  async run(context) {
    const { host, output } = context;
    const home = context.home();
    const stopping = stopOptions(context);
    await readSettings(host, home);
    await openHome(host, home);
    const onWait = waiting(context);
    const { status, hello, keptVariables } = await restartDaemon(instancePorts(host, home), home, {
      start: { timeoutMs: READY_MS, onWait },
      stop: { ...stopping, onWait },
      withCurrentEnv: context.args.switches.has("with-current-env"),
    });
    output.result({ status, ...about(hello, home), keptVariables }, () => {
      output.line(`drover ${status === "restarted" ? "runs again" : "is running"} (pid ${hello.pid})`);
      if (keptVariables.length > 0) {
        output.note(
          `drover: kept from the daemon, other here: ${keptVariables.join(", ")} (--with-current-env takes these)`,
        );
      }
    });
    return EXIT_CODES.ok.code;
  },
};

export const drain: Command = {
  name: "drain",
  options: [{ name: "cancel", summary: "take that back: the daemon claims again" }],
  async run(context) {
    const { host, output, args } = context;
    const home = context.home();
    const cancel = args.switches.has("cancel");
    // A home that was never used is not made by asking for an end.
    if (!await checkHome(host, home)) throw nobodyToDrain(home);
    const ports = instancePorts(host, home);
    const hello = await (cancel ? cancelDrain : drainDaemon)(ports, home, { onWait: waiting(context) });
    output.result(
      { status: cancel ? "resumed" : "draining", ...about(hello, home) },
      () =>
        output.line(
          cancel ? "drover takes tasks again" : "drover takes no new tasks and ends when the running ones are done",
        ),
    );
    return EXIT_CODES.ok.code;
  },
};

/** What the daemon lacks and goes on without; nothing when it cannot be asked any more. */
async function waitingForOf({ host }: CommandContext, home: Home): Promise<readonly { text: string }[]> {
  using control = await connectControl(host, home);
  const status = await control?.status().catch(() => undefined);
  return Array.isArray(status?.waitingFor) ? status.waitingFor : [];
}

/** Checked here, where the user looks, before anything is started or stopped. */
async function startArgs({ host, args }: CommandContext, home: Home): Promise<string[]> {
  await readSettings(host, home, {
    maxConcurrentTasks: args.values["max-concurrent-tasks"],
    logLevel: args.values["log-level"],
    healthPort: args.values["health-port"],
  });
  return START_OPTIONS.flatMap(({ name }) => {
    if (args.switches.has(name)) return [`--${name}`];
    return args.values[name] === undefined ? [] : [`--${name}`, args.values[name]];
  });
}

function stopOptions({ args }: CommandContext): { mode: StopMode; timeoutMs: number } {
  const text = args.values.timeout;
  const timeoutMs = text === undefined ? DRAIN_MS : parseDuration(text);
  if (!timeoutMs) {
    throw new DroverError("usage", `Cannot use --timeout ${text}: it must be a duration such as 90s, 30m or 2h`);
  }
  const now = args.switches.has("now");
  if (now && args.switches.has("drain")) {
    throw new DroverError("usage", "Cannot use --drain and --now together", {
      hint: "--drain lets running tasks finish, --now ends them at once",
    });
  }
  return { mode: now ? "now" : "drain", timeoutMs };
}

function waiting({ output }: CommandContext): (holder: string) => void {
  return (holder) => output.note(`drover: waiting for ${holder} …`);
}

function about(hello: Hello, home: Home): Record<string, unknown> {
  const { pid, instance, version, phase } = hello;
  return { pid, instance, version, phase, home: home.root, log: home.logFile };
}
