/** The lock: `flock(2)` through FFI, non-blocking and polled, because a waiting lock call would park a thread for good. */
import { dirname } from "@std/path";
import type { Clock, Lock, Locks } from "../core/ports.ts";
import { HostError } from "../core/ports.ts";
import { toHostError } from "./errors.ts";

/** Linux and macOS agree on these. */
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
const POLL_MS = 50;

const LIBRARY = Deno.build.os === "darwin" ? "libSystem.B.dylib" : "libc.so.6";

/** Open flags: read-write, close-on-exec (so that no child of ours keeps the lock alive). */
const OPEN_FLAGS = Deno.build.os === "darwin" ? 0x2 | 0x1000000 : 0x2 | 0o2000000;

/** The few calls that are needed; tests give others. */
export interface Libc {
  readonly flock: (fd: number, operation: number) => number;
  readonly open: (path: Uint8Array<ArrayBuffer>, flags: number) => number;
  readonly close: (fd: number) => number;
}

export function createLocks(clock: Clock, given?: Libc): Locks {
  let libc = given;
  const library = () => libc ??= loadLibc();
  const proven = new Set<string>();
  const tryLock = (path: string): Promise<Lock | undefined> =>
    new Promise((resolve) => {
      const lock = tryOnce(library(), path);
      const directory = dirname(path);
      if (!lock && !proven.has(directory)) proveLocks(library(), directory);
      proven.add(directory);
      resolve(lock);
    });
  return {
    tryLock,
    async lock(path, { timeoutMs, signal }) {
      const deadline = clock.monotonic() + timeoutMs;
      for (;;) {
        signal?.throwIfAborted();
        const lock = await tryLock(path);
        if (lock) return lock;
        const left = deadline - clock.monotonic();
        if (left <= 0) return undefined;
        await clock.sleep(Math.min(POLL_MS, left), { signal });
      }
    },
  };
}

/**
 * The file is opened through libc too: Deno does not tell the descriptor of its own files. It is created beforehand:
 * `open` takes the mode as a variadic argument, which FFI cannot pass on arm64 macOS.
 */
function tryOnce(libc: Libc, path: string): Lock | undefined {
  try {
    Deno.writeTextFileSync(path, "", { createNew: true, mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) {
      throw toHostError(error, "create the lock file", path);
    }
  }
  const fd = libc.open(new TextEncoder().encode(path + "\0"), OPEN_FLAGS);
  if (fd < 0) throw new HostError("permission", `Cannot open the lock file ${path}: it must be readable and writable`);
  if (libc.flock(fd, LOCK_EX | LOCK_NB) !== 0) {
    libc.close(fd);
    return undefined;
  }
  let held = true;
  const release = () => {
    if (!held) return;
    held = false;
    // Closing alone is not enough: a fork elsewhere in this process has a copy of the descriptor until its exec.
    libc.flock(fd, LOCK_UN);
    libc.close(fd);
  };
  return { path, release, [Symbol.dispose]: release };
}

/**
 * A file system without locks refuses them as if somebody held them; on a file of our own that is nobody. Asked once for a
 * directory, as the error number is gone by the time a foreign call returns.
 */
function proveLocks(libc: Libc, directory: string): void {
  let own: string;
  try {
    own = Deno.makeTempFileSync({ dir: directory, prefix: ".lock-" });
  } catch {
    // Nothing can be created there, which is another story and told by whoever writes.
    return;
  }
  try {
    const lock = tryOnce(libc, own);
    lock?.release();
    if (lock) return;
  } finally {
    Deno.removeSync(own);
  }
  throw new HostError("other", `Cannot lock files in ${directory}: its file system has no locks`);
}

function loadLibc(): Libc {
  const { symbols } = Deno.dlopen(LIBRARY, {
    flock: { parameters: ["i32", "i32"], result: "i32" },
    open: { parameters: ["buffer", "i32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
  });
  return {
    flock: (fd, operation) => symbols.flock(fd, operation),
    open: (path, flags) => symbols.open(path, flags),
    close: (fd) => symbols.close(fd),
  };
}
