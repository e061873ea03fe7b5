/** Serving a home until an end: opens the daemon, hears signals, and hands the home to a successor, or takes it back. */
import type { HandOff } from "../../app/hand_off.ts";
import type { Holder } from "../../app/daemon_host.ts";
import type { SettingFlags } from "../../app/config_watch.ts";
import { readSettings } from "../../app/settings.ts";
import { BUILD } from "../../core/build_info.ts";
import type { Settings } from "../../core/config.ts";
import { DroverError } from "../../core/drover_error.ts";
import { NONCE_VARIABLE, type SupervisorKind } from "../../core/launch.ts";
import type { Runtime } from "../../core/model.ts";
import type { Ending } from "../../core/phase.ts";
import { readLifecycle } from "../../lifecycle/lifecycle_file.ts";
import type { CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";

/** What a service manager makes different. */
export interface Serving {
  readonly supervisor: SupervisorKind;
  readonly codes: { readonly [E in Ending]: number };
  /** How long tasks may go on after the first signal, in ms; as long as they take when absent. */
  readonly drainMs?: number;
  readonly onReady?: (holder: Holder) => void;
  /** After an end that was asked for, by a signal or for a restart. */
  readonly onWanted?: () => Promise<void>;
}

export async function serve(context: CommandContext, serving: Serving): Promise<number> {
  const { host, args } = context;
  const home = context.home();
  const flags: SettingFlags = {
    maxConcurrentTasks: args.values["max-concurrent-tasks"],
    logLevel: args.values["log-level"],
    healthPort: args.values["health-port"],
    reloadBinaries: args.switches.has("auto-reload-binaries") ? "restart" : undefined,
  };
  const settings = await readSettings(host, home, flags);
  // Loaded late: the other verbs need none of it.
  const { createHandOff } = await import("../../app/hand_off.ts");
  const { instancePorts } = await import("../../app/instance.ts");
  const ports = instancePorts(host, home);
  const supervised = serving.supervisor !== "none";
  const handOff = createHandOff(host, home, { ports, argv: context.argv, supervised });
  // Of a daemon that was started by another: where tests end it.
  const point = host.system.env[NONCE_VARIABLE] ? ports.faultPoint : undefined;
  await point?.("successor.begun");
  using signals = new SignalLadder(context, serving);
  let holder = await open(context, { settings, flags, serving, handOff, signals });
  await point?.("successor.holds");
  signals.holder = holder;
  const { operation } = await readLifecycle(host.files, home);
  if (!await begin(context, { holder, signals })) return EXIT_CODES.ok.code;
  if (point && operation) {
    const ms = host.clock.now() - Date.parse(operation.since);
    host.logs.getLogger("reload").info("took over from the daemon before", { reason: operation.reason, ms });
  }
  await point?.("successor.serves");
  serving.onReady?.(holder);
  announce(context, { holder, settings });
  const { keepUpdater } = await import("../../app/updater_keep.ts");
  using _kept = keepUpdater(host, home);
  for (;;) {
    const ended = await Promise.race([signals.left, holder.closed]);
    if (typeof ended === "number") return ended;
    signals.holder = undefined;
    if (ended === "exit" || supervised) {
      await handOff.release();
      if (signals.count > 0 || ended === "restart") await serving.onWanted?.();
      return serving.codes[ended];
    }
    const outcome = await Promise.race([signals.left, handOff.complete(signals.told)]);
    if (typeof outcome === "number") return outcome;
    if (outcome.kind === "up") context.output.note(`drover: pid ${outcome.hello.pid} goes on from here`);
    if (outcome.kind !== "failed") return EXIT_CODES.ok.code;
    // What is written down stays so until we serve again: should we fail, too, the next command starts a daemon.
    const { daemon: { runtimes: known } } = holder;
    await holder.daemon.handOffFailed();
    holder = await open(context, { settings, flags, serving, handOff, signals, known });
    signals.holder = holder;
    host.logs.getLogger("reload").error("the successor did not make it, going on as before", { why: outcome.why });
    const serves = await begin(context, { holder, signals });
    await handOff.release();
    if (!serves) return EXIT_CODES.ok.code;
  }
}

async function open(
  { host, home, args, argv }: CommandContext,
  { settings, flags, serving, handOff, signals, known }: {
    settings: Settings;
    flags: SettingFlags;
    serving: Serving;
    handOff: HandOff;
    signals: SignalLadder;
    known?: readonly Runtime[];
  },
): Promise<Holder> {
  const { openHolder } = await import("../../app/daemon_host.ts");
  return await openHolder(host, home(), {
    mode: "daemon",
    settings,
    flags,
    args: argv,
    logToStderr: !args.switches.has("quiet"),
    supervisor: serving.supervisor,
    handOff,
    onDrainCancelled: () => signals.forget(),
    ...(known ? { known } : {}),
  });
}

/** False when it was told to end before it was ready. Throws `daemon_failed`. */
async function begin(
  { home }: CommandContext,
  { holder, signals }: { holder: Holder; signals: SignalLadder },
): Promise<boolean> {
  try {
    if (signals.count > 0) holder.daemon.stop();
    await holder.start();
    return true;
  } catch (error) {
    await holder.close();
    if (signals.count > 0) return false;
    throw new DroverError("daemon_failed", `Cannot start the daemon: ${(error as Error).message}`, {
      hint: `look at ${home().logFile}`,
      cause: error,
    });
  }
}

function announce(
  { host, output, home }: CommandContext,
  { holder, settings }: { holder: Holder; settings: Settings },
): void {
  const { root, logFile } = home();
  const status = holder.daemon.status();
  const agents = status.connections.flatMap((connection) => connection.runtimes)
    .map((runtime) => `${runtime.provider} ${runtime.version}`.trim());
  output.result({
    status: "running",
    version: BUILD.version,
    pid: host.system.self().pid,
    instance: holder.instance,
    home: root,
    controlSocket: holder.controlSocket,
    log: logFile,
    agents,
  }, () => {
    output.line(`drover ${BUILD.version} is running (pid ${host.system.self().pid}, home ${root})`);
    for (const { text } of status.waitingFor) output.line(`waiting: ${text}`);
    output.line(`agents: ${agents.join(", ") || "none"}; slots: ${settings.maxConcurrentTasks}; ctrl-C stops it`);
  });
}

/** What the first, second and third signal mean; heard all the time, also while the home passes from one to the other. */
export class SignalLadder implements Disposable {
  count = 0;
  /** The daemon that is to hear of it; none while there is none. */
  holder: Pick<Holder, "daemon"> | undefined;
  /** The code to leave with, without waiting for anything. */
  readonly left: Promise<number>;
  #told = new AbortController();
  /** Ends the tasks where a manager sets a limit to the drain. */
  #limit: Disposable | undefined;
  readonly #used = new DisposableStack();
  #leave!: (code: number) => void;

  constructor({ host, output }: Pick<CommandContext, "host" | "output">, { drainMs }: Pick<Serving, "drainMs">) {
    this.left = new Promise((resolve) => this.#leave = resolve);
    const log = host.logs.getLogger("app");
    this.#used.use(host.signals.on(["SIGINT", "SIGTERM"], (name) => {
      this.count++;
      log.info("asked to end", { by: name, time: this.count });
      const daemon = this.holder?.daemon;
      if (this.count === 1) {
        this.#told.abort();
        const running = daemon?.status().slots.running ?? 0;
        if (running > 0) {
          output.note(`drover: waiting for ${running} running task${running === 1 ? "" : "s"}; again to end them now`);
        }
        daemon?.stop();
        if (drainMs !== undefined) this.#limit = host.clock.after(drainMs, () => this.holder?.daemon.cancelTasks());
      } else if (this.count === 2) {
        // First, or it would claim the next attempt of what it ends here.
        daemon?.stop();
        daemon?.cancelTasks();
      } else this.#leave(EXIT_CODES.interrupted.code);
    }));
    // A closed terminal is no reason to end: whoever wants that sends SIGTERM.
    this.#used.use(host.signals.on(["SIGHUP"], () => log.info("the terminal is closed", { by: "SIGHUP" })));
  }

  /** Aborts at the first. */
  get told(): AbortSignal {
    return this.#told.signal;
  }

  /** Somebody took back what was begun: the next signal is the first again. */
  forget(): void {
    this.count = 0;
    this.#told = new AbortController();
    this.#limit?.[Symbol.dispose]();
    this.#limit = undefined;
  }

  [Symbol.dispose](): void {
    this.#limit?.[Symbol.dispose]();
    this.#used.dispose();
  }
}
