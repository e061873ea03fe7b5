/** Starting, stopping and restarting the daemon of a home: every step looked at again under the restart lock, nobody else ever signalled. */
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { Env, Launched, Launcher, ProcessIdentity } from "../core/ports.ts";
import type { Hello } from "../wire/control.ts";
import { type Pidfile, readPidfile, removePidfile, sameProcess } from "./pidfile.ts";
import { type RestartLockPorts, withRestartLock } from "./restart_lock.ts";

/** The control socket of the holder, as far as the life cycle needs it. */
export interface ControlPort extends Disposable {
  readonly hello: Hello;
  stop(mode: StopMode): Promise<void>;
  runningTasks(): Promise<readonly string[]>;
}

export type StopMode = "drain" | "now";

export interface InstancePorts extends RestartLockPorts {
  readonly launcher: Launcher;
  readonly identityOf: (pid: number) => ProcessIdentity | undefined;
  readonly connect: () => Promise<ControlPort | undefined>;
  /** The argv that runs this program. */
  readonly selfCommand: readonly string[];
  /** What the daemon inherits. */
  readonly env: Env;
  /** Ends what a dead daemon's tasks left running. */
  readonly endLeftovers: () => Promise<readonly number[]>;
}

export interface StartOptions {
  /** Behind `drover daemon --quiet`. */
  readonly args: readonly string[];
  readonly timeoutMs: number;
  readonly onWait?: (text: string) => void;
}

export interface StopOptions {
  readonly mode: StopMode;
  readonly timeoutMs: number;
  readonly onWait?: (text: string) => void;
}

export type Started = { readonly status: "started" | "alreadyRunning"; readonly hello: Hello };
export type Stopped = { readonly status: "stopped" | "notRunning"; readonly staleCleaned: boolean };
export type Restarted = { readonly status: "restarted" | "started"; readonly hello: Hello };

const POLL_MS = 50;
/** Added to a verb's own time for the wait behind another verb. */
const LOCK_EXTRA_MS = 75_000;
/** Between asking over the socket, SIGTERM and SIGKILL, when it is to end at once. */
const LADDER_MS = 10_000;
const LOG_TAIL_BYTES = 4_096;

/** Idempotent. Ready when it returns: the daemon has registered and claims. */
export function startDaemon(ports: InstancePorts, home: Home, options: StartOptions): Promise<Started> {
  return withRestartLock(ports, home, {
    command: "start",
    timeoutMs: options.timeoutMs + LOCK_EXTRA_MS,
    onWait: options.onWait,
    run: () => startHeld(ports, home, options),
  });
}

/** Idempotent. When it returns the lock is free and nothing of the daemon runs. Throws `drain_deadline`. */
export function stopDaemon(ports: InstancePorts, home: Home, options: StopOptions): Promise<Stopped> {
  return withRestartLock(ports, home, {
    command: "stop",
    timeoutMs: options.timeoutMs + LOCK_EXTRA_MS,
    onWait: options.onWait,
    run: () => stopHeld(ports, home, options),
  });
}

/** Stops and starts under one hold of the lock; the running daemon's own arguments are kept. */
export function restartDaemon(
  ports: InstancePorts,
  home: Home,
  options: { start: StartOptions; stop: StopOptions },
): Promise<Restarted> {
  return withRestartLock(ports, home, {
    command: "restart",
    timeoutMs: options.start.timeoutMs + options.stop.timeoutMs + LOCK_EXTRA_MS,
    onWait: options.start.onWait,
    async run() {
      const record = await readPidfile(ports.files, home.pidfile);
      const args = record?.mode === "daemon" ? launchArgs(record) : options.start.args;
      const { status } = await stopHeld(ports, home, options.stop);
      const { hello } = await startHeld(ports, home, { ...options.start, args });
      return { status: status === "stopped" ? "restarted" : "started", hello };
    },
  });
}

/** What stood behind `daemon` when it was started, without what every background start adds. */
function launchArgs(record: Pidfile): string[] {
  const at = record.launch.args.indexOf("daemon");
  return record.launch.args.slice(at + 1).filter((word) => word !== "--quiet" && word !== "--json");
}

type Seen =
  | { readonly kind: "answers"; readonly control: ControlPort }
  /** The lock is held by somebody who does not answer: starting, leaving, hanging, or a command's short look. */
  | { readonly kind: "held"; readonly record: Pidfile | undefined }
  | { readonly kind: "free"; readonly record: Pidfile | undefined };

/** Liveness is the kernel's: holding the daemon lock is being the daemon. The record only describes the holder. */
async function look(ports: InstancePorts, home: Home): Promise<Seen> {
  const control = await ports.connect();
  if (control) return { kind: "answers", control };
  const record = await readPidfile(ports.files, home.pidfile);
  const lock = await ports.locks.tryLock(home.daemonLock);
  if (!lock) return { kind: "held", record };
  lock.release();
  return { kind: "free", record };
}

async function startHeld(ports: InstancePorts, home: Home, options: StartOptions): Promise<Started> {
  const deadline = ports.clock.monotonic() + options.timeoutMs;
  let blocker = "";
  for (;;) {
    const seen = await look(ports, home);
    if (seen.kind === "free") break;
    if (seen.kind === "answers") {
      using control = seen.control;
      const { hello } = control;
      if (hello.mode === "daemon" && isUp(hello)) return { status: "alreadyRunning", hello };
      const what = hello.mode === "run" ? "a drover run" : "a daemon";
      blocker = `${what} (pid ${hello.pid}, ${hello.phase}) holds ${home.root}`;
    } else {blocker = `a process${
        seen.record ? ` (pid ${seen.record.pid})` : ""
      } that does not answer holds ${home.root}`;}
    if (ports.clock.monotonic() >= deadline) {
      throw new DroverError("busy", `Cannot start the daemon: ${blocker}`, {
        hint: "wait until it is done, or end it with drover stop",
      });
    }
    await ports.clock.sleep(POLL_MS);
  }
  return await launch(ports, home, { ...options, deadline });
}

function isUp(hello: Hello): boolean {
  return hello.phase === "running" || hello.phase === "reload-pending";
}

async function launch(
  ports: InstancePorts,
  home: Home,
  options: StartOptions & { deadline: number },
): Promise<Started> {
  const before = (await ports.files.stat(home.launchLog))?.size ?? 0;
  const launched: Launched = ports.launcher.launch({
    argv: [...ports.selfCommand, "daemon", "--quiet", ...options.args],
    cwd: home.root,
    env: ports.env,
    logFile: home.launchLog,
  });
  let code: number | undefined;
  void launched.exit.then((exit) => code = exit.code);
  for (;;) {
    using control = await ports.connect();
    // A sibling that was faster than ours is as good.
    if (control && control.hello.mode === "daemon" && isUp(control.hello)) {
      return { status: "started", hello: control.hello };
    }
    if (code !== undefined && !control) throw await diedEarly(ports, home, { code, before });
    if (ports.clock.monotonic() >= options.deadline) {
      throw new DroverError(
        "timeout",
        `The daemon (pid ${launched.pid}) is still starting after ${options.timeoutMs / 1000} s`,
        {
          hint: `it was left alone; look at ${home.logFile}, and ask again with drover status`,
        },
      );
    }
    await ports.clock.sleep(POLL_MS);
  }
}

async function diedEarly(
  { files }: InstancePorts,
  home: Home,
  { code, before }: { code: number; before: number },
): Promise<DroverError> {
  const said = await files.readText(home.launchLog).catch(() => "");
  const tail = new TextDecoder().decode(new TextEncoder().encode(said).slice(before).slice(-LOG_TAIL_BYTES)).trim();
  return new DroverError(
    "daemon_failed",
    `The daemon ended with code ${code} before it was ready${tail ? `:\n${tail}` : ""}`,
    {
      hint: `look at ${home.logFile}, or run drover daemon to see it start`,
    },
  );
}

async function stopHeld(ports: InstancePorts, home: Home, options: StopOptions): Promise<Stopped> {
  const seen = await look(ports, home);
  if (seen.kind === "free") {
    if (!seen.record) return { status: "notRunning", staleCleaned: false };
    await removePidfile(ports.files, home.pidfile, seen.record.instance);
    return { status: "notRunning", staleCleaned: true };
  }
  const record = await readPidfile(ports.files, home.pidfile);
  if (seen.kind === "answers") {
    using control = seen.control;
    if (control.hello.mode === "run" && options.mode === "drain") {
      throw new DroverError("busy", `Cannot stop a drover run (pid ${control.hello.pid}): it ends with its task`, {
        hint: "press ctrl-C in its terminal, or use drover stop --now",
      });
    }
    await control.stop(options.mode);
    const patience = options.mode === "drain" ? options.timeoutMs : LADDER_MS;
    if (await isFreeWithin(ports, home, patience)) return await gone(ports, home, record);
    if (options.mode === "drain") throw await stillRunning(control, options);
  }
  return await signalLadder(ports, home, record);
}

async function stillRunning(control: ControlPort, options: StopOptions): Promise<DroverError> {
  const tasks = await control.runningTasks().catch(() => []);
  const list = tasks.length > 0 ? `: ${tasks.join(", ")}` : "";
  return new DroverError("drain_deadline", `Tasks still run after ${options.timeoutMs / 1000} s${list}`, {
    hint:
      "the daemon takes no new tasks and ends when they are done; drover stop --now ends them, drover drain --cancel goes on",
  });
}

/** TERM, wait, KILL: only ever the process that the record describes, checked again before each signal. */
async function signalLadder(ports: InstancePorts, home: Home, record: Pidfile | undefined): Promise<Stopped> {
  if (!record || !sameProcess(record, ports.identityOf(record.pid))) {
    throw new DroverError(
      "busy",
      `Cannot stop the process that holds ${home.root}: it does not answer and left no valid record`,
      {
        hint: `find it with: fuser ${home.daemonLock} (or lsof), and end it yourself`,
      },
    );
  }
  for (const name of ["SIGTERM", "SIGKILL"] as const) {
    ports.launcher.signal(record, name);
    if (await isFreeWithin(ports, home, LADDER_MS)) return await gone(ports, home, record);
  }
  throw new DroverError("timeout", `The daemon (pid ${record.pid}) did not end on SIGTERM and SIGKILL`, {
    hint: "it may hang in the kernel (a dead network file system); look at it with ps",
  });
}

/** "Stopped" means that it can be started again and that nothing of it runs. */
async function gone(ports: InstancePorts, home: Home, record: Pidfile | undefined): Promise<Stopped> {
  if (record) await removePidfile(ports.files, home.pidfile, record.instance);
  await ports.endLeftovers();
  return { status: "stopped", staleCleaned: false };
}

async function isFreeWithin(ports: InstancePorts, home: Home, timeoutMs: number): Promise<boolean> {
  const lock = await ports.locks.lock(home.daemonLock, { timeoutMs });
  lock?.release();
  return lock !== undefined;
}
