/** This process's side of a hand-off: the restart lock from the decision to the end, and what the successor is given. */
import type { Home } from "../core/home.ts";
import { daemonEnv, launchArgs, type StartReason } from "../core/launch.ts";
import { type Host, HostError } from "../core/ports.ts";
import { DroverError } from "../core/drover_error.ts";
import type { HandOffPort } from "../daemon/reload_runner.ts";
import { type HandedOver, handOver, noteHandOff, settleHandOff } from "../lifecycle/hand_off.ts";
import { tryRestartLock, unlessHostFails } from "../lifecycle/restart_lock.ts";
import type { InstancePorts } from "../lifecycle/verb.ts";
import { preflight } from "./preflight.ts";
import { writeReloadHistory } from "./reload_file.ts";

/** Long enough for somebody who only looks, too short to keep anybody waiting. */
const LOCK_MS = 500;
const READY_MS = 30_000;

export interface HandOff extends HandOffPort {
  /** Once the daemon is closed for it. */
  complete(signal: AbortSignal): Promise<HandedOver>;
  /** A daemon serves again or none is to: nothing is left to be completed, and everybody may act. Idempotent. */
  release(): Promise<void>;
}

export interface HandOffOptions {
  readonly ports: InstancePorts;
  /** How this process was started. */
  readonly argv: readonly string[];
  /** A service manager starts the next one: we only make way. */
  readonly supervised: boolean;
}

export function createHandOff(host: Host, home: Home, { ports, argv, supervised }: HandOffOptions): HandOff {
  const begun = host.clock.now();
  const launch = (reason: StartReason) => ({ args: launchArgs(argv), env: daemonEnv(host.system.env, home), reason });
  let lock: AsyncDisposable | undefined;
  let reason: StartReason = "user";
  let saved: Promise<unknown> = Promise.resolve();

  async function unfit(): Promise<string | undefined> {
    try {
      await preflight(host);
    } catch (error) {
      if (error instanceof DroverError) return error.message;
      throw error;
    }
  }

  async function release(): Promise<void> {
    const held = lock;
    lock = undefined;
    if (!held) return;
    try {
      if (!supervised) await unlessHostFails(settleHandOff(ports, home));
    } finally {
      await held[Symbol.asyncDispose]();
    }
  }

  return {
    unfit,
    release,
    save(history) {
      // The last one that is asked for is the one that stays.
      const turn = saved.then(() => writeReloadHistory(host.files, home, history));
      saved = turn.catch(() => {});
      return turn;
    },
    async prepare(why) {
      reason = why;
      lock = await tryRestartLock(ports, home, { command: "hand over to a new daemon", timeoutMs: LOCK_MS });
      if (!lock) return false;
      try {
        const ready = await unfit() === undefined &&
          (supervised || await noteHandOff(ports, home, { launch: launch(reason), since: begun }));
        if (!ready) await release();
        return ready;
      } catch (error) {
        await release();
        if (error instanceof HostError || error instanceof DroverError) return false;
        throw error;
      }
    },
    async complete(signal) {
      const outcome = await handOver(ports, home, {
        launch: launch(reason),
        nonce: host.random.uuid(),
        timeoutMs: READY_MS,
        signal,
      });
      // With nobody there the lock stays ours until this process serves again.
      if (outcome.kind !== "failed") await release();
      return outcome;
    },
  };
}
