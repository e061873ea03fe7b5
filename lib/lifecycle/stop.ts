/** Ending the holder of a home: asked over its socket, then by TERM and KILL, each only to the very process of its record. */
import { DroverError } from "../core/drover_error.ts";
import { decide, type Decision, type Observation } from "../core/handshake.ts";
import type { Home } from "../core/home.ts";
import { type ControlPort, observe, type StopMode } from "./observe.ts";
import { type Pidfile, removePidfile, sameProcess } from "./pidfile.ts";
import {
  Approach,
  type InstancePorts,
  isPreliminary,
  POLL_MS,
  processName,
  wentAway,
  whileNobodyHolds,
} from "./verb.ts";

export interface StopOptions {
  readonly mode: StopMode;
  /** For running tasks, when draining. */
  readonly timeoutMs: number;
  readonly onWait?: (text: string) => void;
}

export type Stopped = { readonly status: "stopped" | "notRunning"; readonly staleCleaned: boolean };

/** Between asking over the socket, SIGTERM and SIGKILL, when it is to end at once. */
const LADDER_MS = 10_000;

/** Under the restart lock. When it returns the lock is free and nothing of the daemon runs. Throws `drain_deadline`. */
export async function stopHeld(
  ports: InstancePorts,
  home: Home,
  options: StopOptions,
  verb: "stop" | "restart" = "stop",
): Promise<Stopped> {
  const { mode } = options;
  // Somebody else's start or end is waited for as long as a drain may take, and never less than a start does.
  const approach = new Approach(ports, home, verb, Math.max(options.timeoutMs, 3 * LADDER_MS));
  let met = false;
  for (;;) {
    using look = await approach.look();
    const step = decide(verb, look.observation, { mode });
    if (step.kind === "stop-first") {
      const stopped = await end(ports, home, { step, options, ...look });
      if (stopped) return stopped;
      met = true;
      if (approach.leftMs > 0) continue;
      throw new DroverError("timeout", `Cannot stop ${processName(look.record)}: it does not take the request`, {
        hint: `look at ${home.logFile}; drover stop --now ends it`,
      });
    }
    if (isPreliminary(step)) {
      await approach.take(step, look);
      continue;
    }
    // One that was killed leaves the processes of its tasks behind, with a record or without.
    await whileNobodyHolds(ports, home, async () => void await ports.endLeftovers());
    return { status: met ? "stopped" : "notRunning", staleCleaned: approach.cleaned };
  }
}

interface Target {
  readonly step: Extract<Decision, { kind: "stop-first" }>;
  readonly options: StopOptions;
  readonly observation: Observation;
  readonly record: Pidfile | undefined;
  readonly control: ControlPort | undefined;
}

/** `undefined` when it went away, or got stuck, in the very moment it was asked: everything is to be looked at again. */
async function end(ports: InstancePorts, home: Home, target: Target): Promise<Stopped | undefined> {
  const { step, options, control } = target;
  const record = step.by === "asking" ? undefined : target.record;
  if (control && step.by !== "signal") {
    if (!await isAsked(control, options.mode)) return undefined;
    await ports.faultPoint?.("stop.asked");
    const patience = options.mode === "drain" ? options.timeoutMs : LADDER_MS;
    if (await isGoneWithin(ports, home, record, patience)) return await gone(ports, home, record);
    if (options.mode === "drain") throw await stillRunning(control, options);
  } else {
    // One that takes connections and says nothing hangs; one whose socket is closed already is about to be gone.
    const patience = target.observation.control.kind === "silent" ? POLL_MS : LADDER_MS;
    if (await isGoneWithin(ports, home, record, patience)) return await gone(ports, home, record);
  }
  return await signalLadder(ports, home, { record, options });
}

async function stillRunning(control: ControlPort, options: StopOptions): Promise<DroverError> {
  const tasks = await control.runningTasks().catch(() => []);
  const list = tasks.length > 0 ? `: ${tasks.join(", ")}` : "";
  return new DroverError("drain_deadline", `Tasks still run after ${options.timeoutMs / 1000} s${list}`, {
    phase: "drain",
    details: { running: tasks, timeoutMs: options.timeoutMs },
    hint:
      "the daemon takes no new tasks and ends when they are done; drover stop --now ends them, drover drain --cancel goes on",
  });
}

async function isAsked(control: ControlPort, mode: StopMode): Promise<boolean> {
  try {
    await control.stop(mode);
    return true;
  } catch (error) {
    if (!wentAway(error)) throw error;
    return false;
  }
}

/** TERM, wait, KILL: only ever the process that the record describes, checked again before each signal. */
async function signalLadder(
  ports: InstancePorts,
  home: Home,
  { record, options }: Pick<Target, "record" | "options">,
): Promise<Stopped> {
  if (!record) {
    throw new DroverError("unmanaged", `Cannot stop the process that holds ${home.root}: it left no valid record`, {
      phase: "signal",
      hint: `find it with: fuser ${home.daemonLock} (or lsof), and end it yourself`,
    });
  }
  ports.launcher.signal(record, "SIGTERM");
  if (await isGoneWithin(ports, home, record, LADDER_MS)) return await gone(ports, home, record);
  if (options.mode === "drain") {
    using look = await observe(ports, home);
    // It has heard TERM after all, and finishes its tasks like one that was asked.
    if (look.control) {
      if (await isGoneWithin(ports, home, record, options.timeoutMs)) return await gone(ports, home, record);
      throw await stillRunning(look.control, options);
    }
  }
  ports.launcher.signal(record, "SIGKILL");
  if (await isGoneWithin(ports, home, record, LADDER_MS)) return await gone(ports, home, record);
  throw new DroverError("timeout", `Cannot stop ${processName(record)}: it did not end on SIGTERM and SIGKILL`, {
    phase: "signal",
    details: { pid: record.pid },
    hint: "it may hang in the kernel (a dead network file system); look at it with ps",
  });
}

/** "Stopped" means that it can be started again and that nothing of it runs. */
async function gone(ports: InstancePorts, home: Home, record: Pidfile | undefined): Promise<Stopped> {
  await whileNobodyHolds(ports, home, async () => {
    if (record) await removePidfile(ports.files, home.pidfile, record.instance);
    await ports.endLeftovers();
  });
  await ports.faultPoint?.("stop.gone");
  return { status: "stopped", staleCleaned: false };
}

/** Whether the lock is free and, where it is known which, the process is no more. */
async function isGoneWithin(
  ports: InstancePorts,
  home: Home,
  record: Pidfile | undefined,
  timeoutMs: number,
): Promise<boolean> {
  const deadline = ports.clock.monotonic() + timeoutMs;
  for (;;) {
    const lock = await ports.locks.tryLock(home.daemonLock);
    lock?.release();
    if (lock && !(record && sameProcess(record, ports.identityOf(record.pid)))) return true;
    if (ports.clock.monotonic() >= deadline) return false;
    await ports.clock.sleep(POLL_MS);
  }
}
