/** `start`, `stop` and `restart` of a home's daemon: each under the restart lock, after which everything is looked at again. */
import { stepBreaker } from "../core/breaker.ts";
import { DroverError } from "../core/drover_error.ts";
import { compareBuilds, decide } from "../core/handshake.ts";
import type { Home } from "../core/home.ts";
import type { StartReason } from "../core/launch.ts";
import { CONTROL_PROTOCOL, type Hello } from "../wire/control.ts";
import { readLifecycle, updateLifecycle } from "./lifecycle_file.ts";
import { launchOf, stopForRestart } from "./kept_launch.ts";
import { refusal, replaceHeld } from "./replace.ts";
import { type ControlPort, type Look, observe } from "./observe.ts";
import { unlessHostFails, withRestartLock } from "./restart_lock.ts";
import { launchHeld, readyHello } from "./start.ts";
import { stopHeld, type StopOptions, type Stopped } from "./stop.ts";
import { Approach, type InstancePorts, isPreliminary, LOCK_EXTRA_MS, refusalOf, wentAway } from "./verb.ts";

export interface StartOptions {
  /** Behind `drover daemon --quiet`. */
  readonly args: readonly string[];
  readonly timeoutMs: number;
  /** Starts although earlier starts failed. */
  readonly force?: boolean;
  readonly onWait?: (text: string) => void;
}

export type Started = {
  /** `restarted`: one of an older version was replaced. */
  readonly status: "started" | "alreadyRunning" | "restarted";
  readonly hello: Hello;
  /** The daemon has not been given the arguments: it was there before, or a service manager starts it. */
  readonly argsIgnored: boolean;
};
export type Restarted = {
  readonly status: "restarted" | "started";
  readonly hello: Hello;
  /** Variables that this terminal has other values for than the daemon, which kept its own. */
  readonly keptVariables: readonly string[];
};

/** Idempotent. Ready when it returns: the daemon has registered and claims. */
export function startDaemon(ports: InstancePorts, home: Home, options: StartOptions): Promise<Started> {
  return withRestartLock(ports, home, {
    command: "start",
    timeoutMs: options.timeoutMs + LOCK_EXTRA_MS,
    onWait: options.onWait,
    run: () => startHeld(ports, home, options),
  });
}

type Outcome = Omit<Started, "argsIgnored">;

/** Idempotent. When it returns the lock is free and nothing of the daemon runs. Throws `drain_deadline`. */
export function stopDaemon(ports: InstancePorts, home: Home, options: StopOptions): Promise<Stopped> {
  return withRestartLock(ports, home, {
    command: "stop",
    timeoutMs: options.timeoutMs + LOCK_EXTRA_MS,
    onWait: options.onWait,
    async run() {
      await unlessHostFails(noteStop(ports, home, "stop"));
      return await stopHeld(ports, home, options);
    },
  });
}

/** Remembers that the daemon is not wanted, whoever asks for what afterwards; an unfinished restart is off. */
async function noteStop(ports: InstancePorts, home: Home, by: string): Promise<void> {
  const now = ports.clock.now();
  await updateLifecycle(ports.files, home, ({ breaker }) => ({
    breaker: stepBreaker(breaker, { kind: "stopped" }, now).state,
    desired: { state: "stopped", by, at: new Date(now).toISOString() },
    operation: null,
  }));
}

export interface DrainOptions {
  readonly onWait?: (text: string) => void;
}

/**
 * Asks whoever serves by the time the lock is ours to end when nothing runs, and leaves it to that; who was asked. Throws
 * `not_running`, and `busy` where a run holds the home.
 */
export function drainDaemon(ports: InstancePorts, home: Home, { onWait }: DrainOptions): Promise<Hello> {
  return withRestartLock(ports, home, {
    command: "drain",
    timeoutMs: LOCK_EXTRA_MS,
    onWait,
    async run() {
      using look = await observe(ports, home);
      const control = answering(look, home);
      // First: one that a service manager starts in this moment reads it.
      await unlessHostFails(noteStop(ports, home, "drain"));
      await control.stop("drain");
      return control.hello;
    },
  });
}

/** Takes a drain back, which says that the daemon is wanted; who serves. Throws as `drainDaemon` does. */
export async function cancelDrain(ports: InstancePorts, home: Home, { onWait }: DrainOptions): Promise<Hello> {
  // At once: whoever holds the lock may wait for this very drain to end.
  {
    using look = await observe(ports, home);
    await answering(look, home).cancelDrain();
  }
  return await withRestartLock(ports, home, {
    command: "drain",
    timeoutMs: LOCK_EXTRA_MS,
    onWait,
    async run() {
      using look = await observe(ports, home);
      const { hello } = answering(look, home);
      // Somebody else has drained it meanwhile, and noted that.
      if (hello.phase !== "draining" && hello.phase !== "stopped") await noteWanted(ports, home);
      return hello;
    },
  });
}

/** Throws `not_running`, and `busy` where a run holds the home. */
function answering({ control }: Look, home: Home): ControlPort {
  if (!control) throw nobodyToDrain(home);
  if (control.hello.mode === "run") throw refusalOf("drain", home, "run-holds-home");
  return control;
}

export function nobodyToDrain({ root }: Home): DroverError {
  return new DroverError("not_running", `Cannot drain: no daemon answers for ${root}`, {
    hint: "drover status tells more",
  });
}

/** A restart is under way, or was cut off. */
export async function restartPending(ports: Pick<InstancePorts, "files">, home: Home): Promise<boolean> {
  const { operation, desired } = await readLifecycle(ports.files, home);
  return operation !== null && desired?.state !== "stopped";
}

/**
 * Starts the daemon that a restart has not come to start; `undefined` where that has been done, or is wanted no more, by the
 * time the lock is ours. Throws what `startDaemon` throws.
 */
export function completeRestart(
  ports: InstancePorts,
  home: Home,
  options: Omit<StartOptions, "args">,
): Promise<Started | undefined> {
  return withRestartLock(ports, home, {
    command: "complete a restart",
    timeoutMs: options.timeoutMs + LOCK_EXTRA_MS,
    onWait: options.onWait,
    run: async () =>
      await restartPending(ports, home) ? await startHeld(ports, home, { ...options, args: [] }) : undefined,
  });
}

/** What cannot be completed is not tried again by every command that comes; whoever wants a daemon starts one. */
export function forgetRestart(ports: InstancePorts, home: Home): Promise<void> {
  return withRestartLock(ports, home, {
    command: "give up a restart",
    timeoutMs: LOCK_EXTRA_MS,
    run: async () => void await updateLifecycle(ports.files, home, () => ({ operation: null })),
  });
}

export interface RestartOptions {
  readonly start: Omit<StartOptions, "args">;
  readonly stop: StopOptions;
  /** Gives the new daemon this command's environment in place of the old one's. */
  readonly withCurrentEnv?: boolean;
  /** Done while no daemon runs: what the next one is to find and the old one was not to. Must not throw. */
  readonly whenStopped?: () => Promise<void>;
  /** For the record; `user` when absent. */
  readonly reason?: StartReason;
}

/**
 * Stops and starts under one hold of the lock. The running daemon's arguments and environment are kept. Throws
 * `drain_deadline`, after which the daemon goes on as if nothing had been asked, and `busy` where nobody asked for the
 * restart and somebody has stopped the daemon meanwhile.
 */
export function restartDaemon(ports: InstancePorts, home: Home, options: RestartOptions): Promise<Restarted> {
  return withRestartLock(ports, home, {
    command: "restart",
    timeoutMs: options.start.timeoutMs + options.stop.timeoutMs + LOCK_EXTRA_MS,
    onWait: options.start.onWait,
    run: () => restartHeld(ports, home, options),
  });
}

async function startHeld(ports: InstancePorts, home: Home, options: StartOptions): Promise<Started> {
  const outcome = await startOrReuse(ports, home, options);
  const supervised = outcome.status === "started" && await ports.supervisor?.() !== undefined;
  return { ...outcome, argsIgnored: options.args.length > 0 && (outcome.status !== "started" || supervised) };
}

async function startOrReuse(ports: InstancePorts, home: Home, options: StartOptions): Promise<Outcome> {
  const approach = new Approach(ports, home, "start", options.timeoutMs);
  for (;;) {
    using look = await approach.look();
    const step = decide("start", look.observation);
    if (step.kind === "reuse" && look.control) {
      const { hello } = look.control;
      const started = await reuse(ports, home, { ...options, hello }).catch((error) => {
        if (!wentAway(error) || approach.leftMs === 0) throw error;
      });
      if (started) return started;
      continue;
    }
    if (step.kind === "start") {
      // Only what was typed overrules what an interrupted restart has kept.
      const args = options.args.length > 0 ? options.args : undefined;
      const { timeoutMs, force } = options;
      const hello = await launchHeld(ports, home, { args, timeoutMs, force, reason: "user", by: "start" });
      return { status: "started", hello };
    }
    if (isPreliminary(step)) await approach.take(step, look);
  }
}

async function reuse(
  ports: InstancePorts,
  home: Home,
  { hello, ...options }: StartOptions & { hello: Hello },
): Promise<Outcome> {
  const verdict = compareBuilds({ version: ports.version, protocol: CONTROL_PROTOCOL }, hello);
  if (verdict.kind === "refuse") throw refusal(ports.version, hello, verdict.why);
  const replaced = verdict.kind === "replace" && await replaceHeld(ports, home, options);
  if (replaced) return { status: "restarted", hello: replaced };
  await noteWanted(ports, home);
  return { status: "alreadyRunning", hello };
}

/** A start of what runs already still says that it is wanted. */
async function noteWanted(ports: InstancePorts, home: Home): Promise<void> {
  const { desired, operation } = await readLifecycle(ports.files, home);
  if (desired?.state === "running" && !operation) return;
  const at = new Date(ports.clock.now()).toISOString();
  await updateLifecycle(ports.files, home, () => ({ desired: { state: "running", by: "start", at }, operation: null }));
}

/** Restarts for these are nobody's wish. */
const UNASKED: ReadonlySet<StartReason> = new Set(["update", "rollback"]);

async function restartHeld(ports: InstancePorts, home: Home, options: RestartOptions): Promise<Restarted> {
  const { reason = "user" } = options;
  if (UNASKED.has(reason)) await demandWanted(ports, home);
  await ports.preflight();
  const kept = await launchOf(ports, home);
  const env = options.withCurrentEnv ? ports.env : kept.env;
  const { status } = await stopForRestart(ports, home, { kept, stop: options.stop, reason });
  await options.whenStopped?.();
  const hello = await launchHeld(ports, home, {
    args: kept.args,
    env,
    timeoutMs: options.start.timeoutMs,
    // Somebody asked for it by name: what failed before is not held against it.
    force: true,
    reason,
    by: "restart",
  });
  return {
    status: status === "stopped" ? "restarted" : "started",
    hello,
    keptVariables: options.withCurrentEnv ? [] : kept.differs,
  };
}

/** One that serves is wanted by whoever typed `drover daemon`, whatever was noted. Throws `busy`. */
async function demandWanted(ports: InstancePorts, home: Home): Promise<void> {
  const { desired } = await readLifecycle(ports.files, home);
  if (desired?.state !== "stopped" || await readyHello(ports, home)) return;
  throw new DroverError(
    "busy",
    `Cannot restart the daemon of ${home.root}: drover ${desired.by} has ended it meanwhile (${desired.at})`,
    { phase: "look", hint: "drover start starts it again" },
  );
}
