/** A daemon hands its home to its successor: written down before each step, and by the end there is exactly one of the two. */
import { stepBreaker } from "../core/breaker.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { NONCE_VARIABLE, REASON_VARIABLE, type StartReason } from "../core/launch.ts";
import { type Env, HostError, type Launched, type ProcessIdentity } from "../core/ports.ts";
import type { Hello } from "../wire/control.ts";
import { readLifecycle, updateLifecycle } from "./lifecycle_file.ts";
import { unlessHostFails } from "./restart_lock.ts";
import { readyHello } from "./start.ts";
import { type InstancePorts, POLL_MS, whileNobodyHolds } from "./verb.ts";

/** What the successor gets: all that its predecessor had. */
export interface HandOffLaunch {
  readonly args: readonly string[];
  readonly env: Env;
  readonly reason: StartReason;
}

export type HandedOver =
  /** The successor serves, or somebody who was faster. */
  | { readonly kind: "up"; readonly hello: Hello }
  /** It did not make it and is gone: nobody serves. The journal is left for whoever comes next. */
  | { readonly kind: "failed"; readonly why: string }
  /** We were told to end meanwhile, and so was the successor. */
  | { readonly kind: "stopped" };

/** One that was told to end may still say goodbye to its servers. */
const END_MS = 2_000;
const KILL_MS = 10_000;

/**
 * Under the restart lock, with the predecessor still serving: writes down that the home is to be handed over. False when
 * a stop that was noted since `since` (ms since 1970) goes first.
 */
export async function noteHandOff(
  ports: InstancePorts,
  home: Home,
  { launch, since }: { launch: HandOffLaunch; since: number },
): Promise<boolean> {
  const { desired } = await readLifecycle(ports.files, home);
  if (desired?.state === "stopped" && Date.parse(desired.at) >= since) return false;
  const at = now(ports);
  await updateLifecycle(ports.files, home, () => ({
    // Before our time it was another daemon that was not wanted any more.
    desired: desired?.state === "running" ? desired : { state: "running", by: "reload", at },
    operation: { verb: "restart", phase: "stopping", reason: launch.reason, args: [...launch.args], since: at },
  }));
  await ports.faultPoint?.("handoff.noted");
  return true;
}

/** Under the restart lock, when a daemon serves again, or is to serve no more: nothing is left to be completed. */
export async function settleHandOff(ports: InstancePorts, home: Home): Promise<void> {
  await updateLifecycle(ports.files, home, () => ({ operation: null }));
}

/**
 * Under the restart lock, with the predecessor closed: starts the successor and waits until it serves. Never throws for
 * anything that happens to the successor or to the home.
 */
export async function handOver(
  ports: InstancePorts,
  home: Home,
  { launch, nonce, timeoutMs, signal }: {
    launch: HandOffLaunch;
    /** What tells the successor from anybody else. */
    nonce: string;
    timeoutMs: number;
    /** Aborts when we are told to end. */
    signal: AbortSignal;
  },
): Promise<HandedOver> {
  let successor: Successor | undefined;
  try {
    await updateLifecycle(ports.files, home, ({ operation }) => ({
      operation: operation && { ...operation, phase: "starting" },
    }));
    await ports.faultPoint?.("handoff.closed");
    if (signal.aborted) return { kind: "stopped" };
    successor = start(ports, home, { launch, nonce });
    await ports.faultPoint?.("handoff.launched");
    const outcome = await awaitReady(ports, home, { successor, nonce, timeoutMs, signal });
    if (outcome.kind === "up") return await left(ports, home, { successor, outcome, signal });
    await end(ports, home, successor);
    return outcome;
  } catch (error) {
    if (!(error instanceof HostError || error instanceof DroverError)) throw error;
    if (successor) await end(ports, home, successor);
    return { kind: "failed", why: error.message };
  }
}

interface Successor {
  readonly launched: Launched;
  /** Read at once: whoever has the pid later is not meant. */
  readonly identity: ProcessIdentity | undefined;
  code(): number | undefined;
}

function start(
  ports: InstancePorts,
  home: Home,
  { launch: { args, env, reason }, nonce }: { launch: HandOffLaunch; nonce: string },
): Successor {
  const launched = ports.launcher.launch({
    argv: [...ports.selfCommand, "daemon", "--quiet", ...args],
    cwd: home.root,
    env: { ...env, [REASON_VARIABLE]: reason, [NONCE_VARIABLE]: nonce },
    logFile: home.launchLog,
  });
  let code: number | undefined;
  void launched.exit.then((exit) => code = exit.code);
  return { launched, identity: ports.identityOf(launched.pid), code: () => code };
}

async function awaitReady(
  ports: InstancePorts,
  home: Home,
  { successor, nonce, timeoutMs, signal }: {
    successor: Successor;
    nonce: string;
    timeoutMs: number;
    signal: AbortSignal;
  },
): Promise<HandedOver> {
  const deadline = ports.clock.monotonic() + timeoutMs;
  while (!signal.aborted) {
    // First, as one that is gone may have been up, and a sibling may have been faster.
    const code = successor.code();
    const hello = await readyHello(ports, home);
    if (hello && (hello.nonce === nonce || code !== undefined)) return { kind: "up", hello };
    if (code === 0) return { kind: "stopped" };
    if (code !== undefined) return { kind: "failed", why: `it ended with code ${code} before it was ready` };
    if (ports.clock.monotonic() >= deadline) {
      return { kind: "failed", why: `it was not ready after ${timeoutMs / 1000} s` };
    }
    await ports.clock.sleep(POLL_MS, { signal }).catch(() => {});
  }
  return { kind: "stopped" };
}

/** The successor serves: what is left is to say so, and to pass on what came too late for us. */
async function left(
  ports: InstancePorts,
  home: Home,
  { successor, outcome, signal }: { successor: Successor; outcome: HandedOver; signal: AbortSignal },
): Promise<HandedOver> {
  await ports.faultPoint?.("handoff.ready");
  const digest = await ports.mark();
  // It serves: a disk that is full is no reason to end it.
  await unlessHostFails(updateLifecycle(ports.files, home, ({ breaker }) => {
    const events = [{ kind: "stopped" }, { kind: "start", digest }, { kind: "ready" }] as const;
    const after = events.reduce((state, event) => stepBreaker(state, event, ports.clock.now()).state, breaker);
    return { breaker: after, operation: null };
  }));
  if (!signal.aborted) return outcome;
  if (successor.identity) ports.launcher.signal(successor.identity, "SIGTERM");
  return { kind: "stopped" };
}

/** By its identity, and all it started: when it returns nothing of it holds the home. */
async function end(ports: InstancePorts, home: Home, { launched, identity, code }: Successor): Promise<void> {
  for (const [name, patienceMs] of [["SIGTERM", END_MS], ["SIGKILL", KILL_MS]] as const) {
    if (code() !== undefined || !identity) break;
    if (ports.launcher.signal(identity, name, { group: name === "SIGKILL" }) === "gone") break;
    const limit = new AbortController();
    await Promise.race([launched.exit, ports.clock.sleep(patienceMs, { signal: limit.signal }).catch(() => {})]);
    limit.abort();
  }
  await whileNobodyHolds(ports, home, async () => void await ports.endLeftovers());
}

function now({ clock }: InstancePorts): string {
  return new Date(clock.now()).toISOString();
}
