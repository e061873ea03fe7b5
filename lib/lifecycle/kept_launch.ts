/** What a restart gives the next daemon: the arguments and the environment of the one that runs, whoever asks for it. */
import { stepBreaker } from "../core/breaker.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { daemonEnv, envDifference, launchArgs, type StartReason } from "../core/launch.ts";
import type { Env } from "../core/ports.ts";
import { readLifecycle, updateLifecycle } from "./lifecycle_file.ts";
import { observe } from "./observe.ts";
import { sameProcess } from "./pidfile.ts";
import { stopHeld, type StopOptions, type Stopped } from "./stop.ts";
import type { InstancePorts } from "./verb.ts";

export interface KeptLaunch {
  readonly args: readonly string[];
  readonly env: Env;
  /** Names of variables that are other in this command's environment. */
  readonly differs: readonly string[];
}

/**
 * Asked of the daemon itself, because the values of its environment are written nowhere. One that does not answer is
 * read from its record and its process; with neither it is what an interrupted restart kept, and this command's environment.
 */
export async function launchOf(ports: InstancePorts, home: Home): Promise<KeptLaunch> {
  using look = await observe(ports, home);
  const { record, control } = look;
  // An in-process run is no daemon: what its terminal gave it is no configuration of anything.
  const told = control?.hello.mode === "daemon" ? await control.launch().catch(() => undefined) : undefined;
  const live = record && sameProcess(record, ports.identityOf(record.pid));
  const recorded = record?.mode === "daemon" ? launchArgs(record.launch.args) : undefined;
  const args = told?.args ?? recorded ?? (await readLifecycle(ports.files, home)).operation?.args ?? [];
  const found = told?.env ?? (live ? ports.environmentOf(record.pid) : undefined);
  const env = found && record?.mode !== "run" ? daemonEnv(found, home) : ports.env;
  return { args, env, differs: envDifference(env, ports.env) };
}

/**
 * The first half of a restart, written down before each step. At the deadline of the drain the daemon is told to go on:
 * nobody would start the next one.
 */
export async function stopForRestart(
  ports: InstancePorts,
  home: Home,
  { kept, stop, reason }: { kept: KeptLaunch; stop: StopOptions; reason: StartReason },
): Promise<Stopped> {
  const operation = {
    verb: "restart" as const,
    reason,
    args: [...kept.args],
    since: new Date(ports.clock.now()).toISOString(),
  };
  await updateLifecycle(ports.files, home, () => ({ operation: { ...operation, phase: "stopping" } }));
  await ports.faultPoint?.("restart.noted");
  try {
    const stopped = await stopHeld(ports, home, stop, "restart");
    await updateLifecycle(ports.files, home, ({ breaker }) => ({
      breaker: stepBreaker(breaker, { kind: "stopped" }, ports.clock.now()).state,
      operation: { ...operation, phase: "starting" },
    }));
    await ports.faultPoint?.("restart.stopped");
    return stopped;
  } catch (error) {
    await updateLifecycle(ports.files, home, () => ({ operation: null }));
    if (!(error instanceof DroverError && error.code === "drain_deadline")) throw error;
    using look = await observe(ports, home);
    await look.control?.cancelDrain().catch(() => {});
    throw new DroverError("drain_deadline", `Nothing was restarted. ${error.message}`, {
      phase: "drain",
      details: error.details,
      hint: "the daemon goes on as before; drover restart --now ends the tasks, --timeout waits longer",
      cause: error,
    });
  }
}
