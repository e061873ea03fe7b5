/** The simulated machine: pids that are used again, files written whole, locks freed at death, sockets, crashes and reboots. */
import { homeLayout } from "../../lib/core/home.ts";
import {
  type Clock,
  type FileInfo,
  type Files,
  HostError,
  type Locks,
  type ProcessIdentity,
} from "../../lib/core/ports.ts";
import type { Scheduler, SimProcess } from "./sim_scheduler.ts";

export const HOME = homeLayout("/h");

/** Few, so that a pid is used again soon. */
const PIDS = 24;
/** One process in so many is forgotten by the machine again and again. */
const SLOW_CHANCE = 0.1;
const SLOWNESS = 30;
const LOCK_POLL_MS = 50;
const START = Date.UTC(2026, 0, 15, 12);

/** What a rule of the life cycle forbids has happened. */
export class Violation extends Error {
  override readonly name = "Violation";
}

export interface Exit {
  readonly code: number;
  readonly signal: string | null;
}

/** How a process hears of signals other than KILL; without one it dies of them. */
export type SignalHandler = (name: "SIGTERM", sender: SimProcess | undefined) => void;

interface Entry {
  readonly process: SimProcess;
  readonly exit: Promise<Exit>;
  readonly ended: (exit: Exit) => void;
  readonly onEnd: (exit: Exit) => void;
  handler: SignalHandler | undefined;
}

export class Machine {
  readonly scheduler: Scheduler;
  bootId = "boot-1";
  wallOffset = 0;
  diskFull = false;
  readonly files = new Map<string, string>();
  /** Control sockets by path: who listens there. The path stays behind when its owner is killed. */
  readonly sockets = new Map<string, SimProcess | undefined>();
  /** The first violation; nothing after it counts. */
  violation: Violation | undefined;
  readonly #processes = new Map<number, Entry>();
  readonly #locks = new Map<string, { readonly holder: SimProcess; readonly since: number }>();
  #ticks = 0;
  #boots = 1;

  constructor(scheduler: Scheduler) {
    this.scheduler = scheduler;
  }

  fail(text: string): void {
    this.scheduler.note(undefined, `VIOLATION: ${text}`);
    this.violation ??= new Violation(text);
  }

  // Processes

  /** `main` gives the exit code; it begins at some later step. */
  spawn(
    name: string,
    main: (process: SimProcess) => Promise<number>,
    onEnd: (exit: Exit) => void = () => {},
  ): { process: SimProcess; exit: Promise<Exit> } {
    const process: SimProcess = {
      pid: this.#freePid(),
      startTicks: String(++this.#ticks),
      name,
      alive: true,
      slowness: this.scheduler.chance(SLOW_CHANCE) ? SLOWNESS : 1,
      frozenUntil: 0,
    };
    let ended!: (exit: Exit) => void;
    const exit = new Promise<Exit>((resolve) => ended = resolve);
    this.#processes.set(process.pid, { process, exit, ended, onEnd, handler: undefined });
    void this.scheduler.step(process, `begins as pid ${process.pid}`, () => {}).then(() => main(process)).then(
      (code) => this.#end(process, { code, signal: null }),
      (error) => this.fail(`${name} threw ${error instanceof Error ? error.stack : String(error)}`),
    );
    return { process, exit };
  }

  onSignal(process: SimProcess, handler: SignalHandler): void {
    const entry = this.#processes.get(process.pid);
    if (entry?.process === process) entry.handler = handler;
  }

  kill(process: SimProcess, why: string): void {
    if (!process.alive) return;
    this.scheduler.note(process, `killed: ${why}`);
    this.#end(process, { code: 137, signal: "SIGKILL" });
  }

  terminate(process: SimProcess, sender: SimProcess | undefined): void {
    const handler = this.#processes.get(process.pid)?.handler;
    if (!handler) return this.#end(process, { code: 143, signal: "SIGTERM" });
    // A stuck process takes it when it goes on.
    void this.scheduler.step(process, "hears SIGTERM", () => handler("SIGTERM", sender));
  }

  identityOf(pid: number): ProcessIdentity | undefined {
    const process = this.#processes.get(pid)?.process;
    return process && this.identity(process);
  }

  processAt(pid: number): SimProcess | undefined {
    return this.#processes.get(pid)?.process;
  }

  identity({ pid, startTicks }: SimProcess): ProcessIdentity {
    return { pid, startTicks, bootId: this.bootId };
  }

  get living(): SimProcess[] {
    return [...this.#processes.values()].map(({ process }) => process);
  }

  /** Everything dies, pids and ticks begin anew, what was not synced is gone. */
  reboot(): void {
    this.scheduler.note(undefined, "reboot");
    for (const process of this.living) this.#end(process, { code: 137, signal: "SIGKILL" });
    this.bootId = `boot-${++this.#boots}`;
    this.#ticks = 0;
    this.files.delete(HOME.restartHolder);
  }

  holderOf(lock: string): SimProcess | undefined {
    return this.#locks.get(lock)?.holder;
  }

  /** Since when the lock is held; the present when it is free. */
  heldSince(lock: string): number {
    return this.#locks.get(lock)?.since ?? this.scheduler.time;
  }

  #end(process: SimProcess, exit: Exit): void {
    const entry = this.#processes.get(process.pid);
    if (!process.alive || entry?.process !== process) return;
    process.alive = false;
    this.#processes.delete(process.pid);
    this.scheduler.forget(process);
    for (const [path, { holder }] of this.#locks) if (holder === process) this.#free(path);
    for (const [path, owner] of this.sockets) if (owner === process) this.sockets.set(path, undefined);
    this.scheduler.note(process, `has ended with ${exit.signal ?? exit.code}`);
    entry.onEnd(exit);
    entry.ended(exit);
  }

  #freePid(): number {
    for (let i = 0;; i++) {
      const pid = 1 + this.scheduler.below(PIDS + i);
      if (!this.#processes.has(pid)) return pid;
    }
  }

  // Files and locks, as one process sees them

  clockFor(process: SimProcess): Clock {
    const { scheduler } = this;
    return {
      now: () => START + scheduler.time + this.wallOffset,
      monotonic: () => scheduler.time,
      after: (ms, fn) => scheduler.after(process, ms, fn),
      sleep: (ms, { signal } = {}) => abortable(scheduler.sleep(process, ms), signal),
    };
  }

  filesFor(process: SimProcess): Files {
    const { files, sockets, scheduler } = this;
    const effect = <T>(name: string, path: string, fn: () => T) => scheduler.step(process, `${name} ${path}`, fn);
    const locks = [HOME.daemonLock, HOME.restartLock];
    const there = (path: string) => files.has(path) || sockets.has(path) || locks.includes(path);
    const under = (path: string) => [...files.keys(), ...sockets.keys()].filter((name) => name.startsWith(`${path}/`));
    const nobodyDoes = () => Promise.reject(new Error("the life cycle does without this"));
    const write = (path: string, text: string | Uint8Array) => {
      if (this.diskFull) throw new HostError("no-space", `Cannot write ${path}: no space left`);
      // Two writers at once would each lose what the other has noted.
      if (path === HOME.lifecycle && this.holderOf(HOME.restartLock) !== process) {
        this.fail(`${process.name} wrote ${path} without the restart lock`);
      }
      files.set(path, String(text));
    };
    return {
      readText: (path) =>
        effect("read", path, () => {
          const text = files.get(path);
          if (text === undefined) throw new HostError("not-found", `Cannot read ${path}: there is none`);
          return text;
        }),
      writeAtomic: (path, text) => effect("write", path, () => write(path, text)),
      readBytes: nobodyDoes,
      readRange: nobodyDoes,
      overwrite: nobodyDoes,
      appendStream: nobodyDoes,
      readLink: nobodyDoes,
      symlink: nobodyDoes,
      setModified: nobodyDoes,
      append: (path, text) => effect("append to", path, () => write(path, (files.get(path) ?? "") + text)),
      makeDirectory: (path) => effect("make", path, () => {}),
      rename: (from, to) =>
        effect(`rename to ${to}`, from, () => {
          const text = files.get(from);
          if (text === undefined) throw new HostError("not-found", `Cannot rename ${from}: there is none`);
          files.delete(from);
          files.set(to, text);
        }),
      remove: (path) =>
        effect("remove", path, () => {
          if (path === HOME.daemonLock || path === HOME.restartLock) this.fail(`${process.name} removed ${path}`);
          if (path === HOME.pidfile) this.#judgeRemoval(process, files.get(path));
          files.delete(path);
          sockets.delete(path);
        }),
      stat: (path) =>
        effect("stat", path, () => {
          const isDirectory = under(path).length > 0 || path === HOME.root || path === HOME.runDirectory;
          return there(path) || isDirectory ? infoOf(files.get(path), isDirectory) : undefined;
        }),
      realPath: (path) => effect("resolve", path, () => path),
      list: (path) => effect("list", path, () => under(path).map((name) => name.slice(path.length + 1)).sort()),
      chmod: (path) => effect("chmod", path, () => {}),
    };
  }

  locksFor(process: SimProcess): Locks {
    const { scheduler } = this;
    const tryLock: Locks["tryLock"] = (path) =>
      scheduler.step(process, "", () => {
        const holder = this.holderOf(path);
        scheduler.note(process, `tries ${path}: ${holder ? `${holder.name} has it` : "gets it"}`);
        if (holder) return undefined;
        this.#locks.set(path, { holder: process, since: scheduler.time });
        let held = true;
        const release = () => {
          if (!held || !process.alive) return;
          held = false;
          scheduler.note(process, `frees ${path}`);
          this.#free(path);
        };
        return { path, release, [Symbol.dispose]: release };
      });
    return {
      tryLock,
      lock: async (path, { timeoutMs, signal }) => {
        const deadline = scheduler.time + timeoutMs;
        for (;;) {
          signal?.throwIfAborted();
          const lock = await tryLock(path);
          if (lock) return lock;
          const left = deadline - scheduler.time;
          if (left <= 0) return undefined;
          await abortable(scheduler.sleep(process, left, { event: path }), signal);
        }
      },
    };
  }

  /** A record goes with its process, or after it. */
  #judgeRemoval(process: SimProcess, text: string | undefined): void {
    const pid = /"pid":\s*(\d+)/.exec(text ?? "")?.[1];
    const ticks = /"startTicks":\s*"(\d+)"/.exec(text ?? "")?.[1];
    const owner = this.#processes.get(Number(pid))?.process;
    if (!owner || owner.startTicks !== ticks || owner === process || !text?.includes(this.bootId)) return;
    this.fail(`${process.name} removed the record of ${owner.name}, which is alive`);
  }

  #free(path: string): void {
    this.#locks.delete(path);
    this.scheduler.announce(path, LOCK_POLL_MS);
  }
}

/** Ends early when the signal says so. */
function abortable(sleep: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return sleep;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    void sleep.then(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    });
  });
}

function infoOf(text: string | undefined, isDirectory: boolean): FileInfo {
  const mode = isDirectory ? 0o700 : 0o600;
  return {
    isFile: !isDirectory,
    isDirectory,
    isSymlink: false,
    size: text?.length ?? 0,
    mode,
    uid: 1,
    mtimeMs: 0,
    dev: 1,
    ino: 1,
  };
}
