/** Starting the daemon of a home: once, held up by the breaker, and ready when it returns. */
import { stepBreaker } from "../core/breaker.ts";
import { DroverError, type ErrorCode } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { REASON_VARIABLE, REPLACED_VARIABLE, type StartReason } from "../core/launch.ts";
import type { Env } from "../core/ports.ts";
import type { Hello } from "../wire/control.ts";
import { readLifecycle, updateLifecycle } from "./lifecycle_file.ts";
import { lookAtPidfile } from "./pidfile.ts";
import { type InstancePorts, POLL_MS } from "./verb.ts";

export interface LaunchOptions {
  /** Behind `drover daemon --quiet`; absent: what an interrupted restart has kept, else none. */
  readonly args?: readonly string[];
  /** Absent: what this command has. */
  readonly env?: Env;
  readonly timeoutMs: number;
  readonly reason: StartReason;
  /** The version that is replaced, where that is the reason. */
  readonly replaced?: string;
  /** The verb that somebody typed, for the record. */
  readonly by: string;
  /** Forgets earlier failures first. */
  readonly force?: boolean;
}

/** What a start that came to nothing says about the program, where it is not simply that it failed. */
const AFTER_FAILURE: { readonly [C in ErrorCode]?: "stopped" | null } = {
  // One that is still starting has not failed yet; whether it did is seen by whoever comes next.
  timeout: null,
  busy: "stopped",
};

const LOG_TAIL_BYTES = 4_096;
/** What a daemon ends with that finds its home held by another process (the table of exit codes). */
const HELD_CODE = 4;

/** Under the restart lock, with nothing running. Throws `breaker_open`, `daemon_failed`, `timeout`. */
export async function launchHeld(ports: InstancePorts, home: Home, options: LaunchOptions): Promise<Hello> {
  const kept = (await readLifecycle(ports.files, home)).operation;
  await noteStart(ports, home, options);
  await ports.faultPoint?.("start.noted");
  try {
    const hello = await launch(ports, home, { ...options, args: options.args ?? kept?.args ?? [] });
    await updateLifecycle(ports.files, home, ({ breaker }) => ({
      breaker: stepBreaker(breaker, { kind: "ready" }, ports.clock.now()).state,
      operation: null,
    }));
    return hello;
  } catch (error) {
    const event = error instanceof DroverError && AFTER_FAILURE[error.code];
    if (event !== null) {
      await updateLifecycle(ports.files, home, ({ breaker }) => ({
        breaker: stepBreaker(breaker, { kind: event || "start-failed" }, ports.clock.now()).state,
      }));
    }
    throw error;
  }
}

async function noteStart(ports: InstancePorts, home: Home, { by, force }: LaunchOptions): Promise<void> {
  const now = ports.clock.now();
  const digest = await ports.mark();
  let held: number | undefined;
  await updateLifecycle(ports.files, home, ({ breaker }) => {
    const before = force ? stepBreaker(breaker, { kind: "reset" }, now).state : breaker;
    const { state, verdict } = stepBreaker(before, { kind: "start", digest }, now);
    if (verdict.kind === "hold") held = verdict.until;
    return { breaker: state, desired: { state: "running", by, at: new Date(now).toISOString() } };
  });
  if (held === undefined) return;
  const seconds = Math.ceil((held - now) / 1000);
  throw new DroverError(
    "breaker_open",
    `Cannot start the daemon: its last starts failed, the next try is in ${seconds} s`,
    {
      phase: "launch",
      details: { until: new Date(held).toISOString() },
      hint: `look at ${home.logFile} and ${home.launchLog}; drover start --force tries at once`,
    },
  );
}

async function launch(
  ports: InstancePorts,
  home: Home,
  options: LaunchOptions & { args: readonly string[] },
): Promise<Hello> {
  const deadline = ports.clock.monotonic() + options.timeoutMs;
  const before = (await ports.files.stat(home.launchLog))?.size ?? 0;
  let ended = await spawn(ports, home, options);
  await ports.faultPoint?.("start.launched");
  for (;;) {
    const hello = await readyHello(ports, home);
    if (hello) {
      await ports.faultPoint?.("start.ready");
      return hello;
    }
    const code = ended();
    // Looked at once more: one that lost the home to a sibling ends as soon as that one is up.
    if (code !== undefined) {
      const sibling = await readyHello(ports, home);
      if (sibling) return sibling;
      if (code === 0) throw stoppedMeanwhile(home);
      if (code === HELD_CODE) {
        await homeless(ports, home, deadline);
        ended = await spawn(ports, home, options);
        continue;
      }
      throw await diedEarly(ports, home, { code, before });
    }
    if (ports.clock.monotonic() >= deadline) {
      throw new DroverError("timeout", `The daemon is still starting after ${options.timeoutMs / 1000} s`, {
        phase: "launch",
        hint: `it was left alone; look at ${home.logFile}, and ask again with drover status`,
      });
    }
    await ports.clock.sleep(POLL_MS);
  }
}

/** A run took the home in the moment in which nobody held it; it ends with its task. */
async function homeless(ports: InstancePorts, home: Home, deadline: number): Promise<void> {
  for (;;) {
    const lock = await ports.locks.tryLock(home.daemonLock);
    lock?.release();
    if (lock) return;
    if (ports.clock.monotonic() >= deadline) {
      throw new DroverError("busy", `Cannot start the daemon of ${home.root}: a drover run holds it`, {
        phase: "launch",
        hint: "wait until its task is over, then start again",
      });
    }
    await ports.clock.sleep(POLL_MS);
  }
}

/** Returns how to ask whether it has ended; nothing is known of one that a service manager starts. */
async function spawn(
  ports: InstancePorts,
  home: Home,
  { args, env = ports.env, reason, replaced }: LaunchOptions & { args: readonly string[] },
): Promise<() => number | undefined> {
  const supervisor = await ports.supervisor?.();
  if (supervisor) {
    await supervisor.start();
    return () => undefined;
  }
  const launched = ports.launcher.launch({
    argv: [...ports.selfCommand, "daemon", "--quiet", ...args],
    cwd: home.root,
    env: { ...env, [REASON_VARIABLE]: reason, ...(replaced ? { [REPLACED_VARIABLE]: replaced } : {}) },
    logFile: home.launchLog,
  });
  let code: number | undefined;
  void launched.exit.then((exit) => code = exit.code);
  return () => code;
}

function stoppedMeanwhile(home: Home): DroverError {
  return new DroverError("busy", `Cannot start the daemon of ${home.root}: it was told to end while it was starting`, {
    hint: "start it again when that is over",
  });
}

/** The daemon that is up, be it ours or a sibling's that was faster. */
export async function readyHello(ports: InstancePorts, home: Home): Promise<Hello | undefined> {
  const contact = await ports.contact(await lookAtPidfile(ports.files, home.pidfile));
  if (contact.kind !== "answers") return undefined;
  using control = contact.control;
  const { hello } = control;
  return hello.mode === "daemon" && isUp(hello) ? hello : undefined;
}

function isUp(hello: Hello): boolean {
  return hello.phase === "running" || hello.phase === "reload-pending";
}

async function diedEarly(
  { files, selfCommand, version }: InstancePorts,
  home: Home,
  { code, before }: { code: number; before: number },
): Promise<DroverError> {
  const said = await files.readText(home.launchLog).catch(() => "");
  const tail = new TextDecoder().decode(new TextEncoder().encode(said).slice(before).slice(-LOG_TAIL_BYTES)).trim();
  return new DroverError(
    "daemon_failed",
    `The daemon (${selfCommand[0]}, version ${version}) ended with code ${code} before it was ready${
      tail ? `:\n${tail}` : ""
    }`,
    {
      phase: "launch",
      details: { exitCode: code, binary: selfCommand[0], version, log: tail },
      hint: `look at ${home.logFile}, or run drover daemon to see it start`,
    },
  );
}
