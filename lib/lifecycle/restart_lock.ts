/** The restart lock: serializes start, stop and restart of all terminals, says who holds it, and never waits for good. */
import * as z from "zod/mini";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { type Clock, type Files, HostError, type Lock, type Locks, type ProcessIdentity } from "../core/ports.ts";

const Holder = z.object({
  pid: z.int(),
  startTicks: z.string(),
  bootId: z.string(),
  command: z.string(),
  since: z.string(),
});

export interface RestartLockPorts {
  readonly clock: Clock;
  readonly files: Files;
  readonly locks: Locks;
  readonly self: () => ProcessIdentity;
}

export interface RestartLockOptions {
  /** The verb, for those who wait. */
  readonly command: string;
  readonly timeoutMs: number;
  /** Called once when waiting takes longer than a second. */
  readonly onWait?: (holder: string) => void;
}

const QUIET_MS = 1_000;

/**
 * Runs `fn` while holding the lock. Whatever was known before must be looked at again in `fn`: somebody else may have
 * done the work meanwhile. Throws `busy`, naming the holder, when the lock is not free within `timeoutMs`.
 */
export async function withRestartLock<T>(
  ports: RestartLockPorts,
  home: Home,
  options: RestartLockOptions & { run: () => Promise<T> },
): Promise<T> {
  const { clock, locks } = ports;
  const begun = clock.monotonic();
  let lock = await locks.lock(home.restartLock, { timeoutMs: Math.min(QUIET_MS, options.timeoutMs) });
  if (!lock) {
    options.onWait?.(await holderOf(ports, home));
    const left = Math.max(0, options.timeoutMs - (clock.monotonic() - begun));
    lock = await locks.lock(home.restartLock, { timeoutMs: left });
  }
  if (!lock) {
    const seconds = Math.round(options.timeoutMs / 1000);
    throw new DroverError(
      "busy",
      `Cannot ${options.command}: ${await holderOf(ports, home)} is at it for ${seconds} s`,
      {
        phase: "lock",
        hint: "wait for it to end, then try again",
      },
    );
  }
  await using _held = await named(ports, home, { lock, command: options.command });
  return await options.run();
}

/**
 * For who acts unasked: the lock, or `undefined` when it is not free within `timeoutMs`, as people go first. To be
 * disposed; everything is to be looked at again with it in hand.
 */
export async function tryRestartLock(
  ports: RestartLockPorts,
  home: Home,
  { command, timeoutMs }: { command: string; timeoutMs: number },
): Promise<AsyncDisposable | undefined> {
  const lock = await ports.locks.lock(home.restartLock, { timeoutMs });
  return lock && await named(ports, home, { lock, command });
}

/** Says who has the lock, for those who wait; not worth failing for: a daemon on a full disk must still be stopped. */
async function named(
  { clock, files, self }: RestartLockPorts,
  home: Home,
  { lock, command }: { lock: Lock; command: string },
): Promise<AsyncDisposable> {
  const holder = { ...self(), command, since: new Date(clock.now()).toISOString() };
  try {
    await unlessHostFails(files.writeAtomic(home.restartHolder, JSON.stringify(holder) + "\n", { sync: false }));
  } catch (error) {
    lock.release();
    throw error;
  }
  return {
    async [Symbol.asyncDispose]() {
      try {
        await unlessHostFails(files.remove(home.restartHolder));
      } finally {
        lock.release();
      }
    },
  };
}

/** For what is told but not needed: a disk that is full or read-only is no reason to stop there. */
export async function unlessHostFails(effect: Promise<unknown>): Promise<void> {
  try {
    await effect;
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
  }
}

async function holderOf({ files }: RestartLockPorts, home: Home): Promise<string> {
  const unknown = "another drover command";
  try {
    const holder = Holder.safeParse(JSON.parse(await files.readText(home.restartHolder))).data;
    return holder ? `drover ${holder.command} (pid ${holder.pid}, since ${holder.since})` : unknown;
  } catch (error) {
    if (error instanceof HostError || error instanceof SyntaxError) return unknown;
    throw error;
  }
}
