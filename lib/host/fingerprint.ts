/** Which bytes a file holds, and the cheap look that says whether asking again is worth it. */
import { basename, dirname, join, resolve } from "@std/path";
import type { FileMark, Fingerprints, FollowedLink, Look } from "../core/ports.ts";
import { hostErrorCode, toHostError } from "./errors.ts";

/** Web Crypto wants a file whole; above this its memory and its stall would show. */
export const WHOLE_FILE_BYTES = 8 * 1024 * 1024;
/** At 200 MB/s, a machine without SHA instructions, one chunk keeps the event loop for 2.6 ms. */
const CHUNK_BYTES = 512 * 1024;
/** After so many milliseconds timers and signals get their turn; reads that are ready at once would not let them. */
const YIELD_MS = 16;
/** As the kernel's own limit: more links than this are a loop. */
const MAX_LINKS = 40;

export function createFingerprints(): Fingerprints {
  let last: Promise<unknown> = Promise.resolve();
  return {
    look,
    follow,
    readStart,
    async hashText(text) {
      return await digestOf(new TextEncoder().encode(text));
    },
    async hashFile(path, { signal } = {}) {
      signal?.throwIfAborted();
      // One after the other: what several at once need in memory has no bound.
      const turn = last.then(() => hash(path, signal));
      last = turn.catch(() => {});
      return await abortable(turn, signal);
    },
  };
}

/** Whoever waits for a turn hears of the abort now, not when the file before it is done. */
async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return await promise;
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function digestOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

async function hash(path: string, signal: AbortSignal | undefined): Promise<string> {
  signal?.throwIfAborted();
  try {
    using file = await openFile(path);
    return await hashWhole(file) ?? await hashStream(file, signal);
  } catch (error) {
    signal?.throwIfAborted();
    throw toHostError(error, "read", path);
  }
}

/** Looks before it opens: opening a FIFO waits for somebody to write. */
async function openFile(path: string): Promise<Deno.FsFile> {
  if (!(await Deno.stat(path)).isFile) throw new Error("It is not a file");
  return await Deno.open(path);
}

/** `undefined` when the file is larger than may be held, by its size or because it grew meanwhile. */
async function hashWhole(file: Deno.FsFile): Promise<string | undefined> {
  const { size } = await file.stat();
  if (size > WHOLE_FILE_BYTES) return undefined;
  // One byte more than it should have, to see its end. Files of /proc say 0 and hold more: they are streamed.
  const bytes = new Uint8Array(size + 1);
  let length = 0;
  for (;;) {
    const read = await file.read(bytes.subarray(length));
    if (read === null) break;
    length += read;
    if (length > size) return undefined;
  }
  return await digestOf(bytes.subarray(0, length));
}

async function hashStream(file: Deno.FsFile, signal: AbortSignal | undefined): Promise<string> {
  const { createHash } = await import("node:crypto");
  const digest = createHash("sha256");
  // Two buffers in turn: the next bytes are read while these are digested, which is worth a quarter of the time.
  let here = new Uint8Array(CHUNK_BYTES);
  let next = new Uint8Array(CHUNK_BYTES);
  await file.seek(0, Deno.SeekMode.Start);
  let reading = file.read(here);
  let turn = performance.now();
  try {
    for (;;) {
      const length = await reading;
      if (length === null) return digest.digest("hex");
      signal?.throwIfAborted();
      reading = file.read(next);
      digest.update(here.subarray(0, length));
      [here, next] = [next, here];
      if (performance.now() - turn < YIELD_MS) continue;
      await new Promise((resolve) => setTimeout(resolve, 0));
      turn = performance.now();
    }
  } finally {
    // The file is not closed under a read.
    await reading.catch(() => {});
  }
}

async function look(path: string, before?: FileMark): Promise<Look> {
  try {
    const info = await Deno.stat(path);
    if (!info.isFile) return { kind: "unreadable", why: info.isDirectory ? "It is a directory" : "It is not a file" };
    const facts = factsOf(info);
    const same = before && (Object.keys(facts) as (keyof typeof facts)[]).every((name) => facts[name] === before[name]);
    const mark = same ? before : { realPath: await Deno.realPath(path), ...facts };
    return { kind: (mark.mode & 0o111) === 0 ? "not-executable" : "file", mark };
  } catch (error) {
    if (hostErrorCode(error) === "not-found") return { kind: "missing", dangling: await isLink(path) };
    return { kind: "unreadable", why: toHostError(error, "look at", path).message };
  }
}

function factsOf(info: Deno.FileInfo): Omit<FileMark, "realPath"> {
  return {
    dev: info.dev,
    ino: info.ino ?? 0,
    size: info.size,
    mtimeMs: info.mtime?.getTime() ?? 0,
    ctimeMs: info.ctime?.getTime() ?? 0,
    mode: (info.mode ?? 0) & 0o7777,
  };
}

async function isLink(path: string): Promise<boolean> {
  try {
    return (await Deno.lstat(path)).isSymlink;
  } catch {
    return false;
  }
}

async function follow(path: string): Promise<FollowedLink[]> {
  const links: FollowedLink[] = [];
  let at = path;
  try {
    while (links.length < MAX_LINKS) {
      const directory = dirname(at);
      // A target such as ../lib/x counts from where the link really is.
      const real = await Deno.realPath(directory);
      if (real !== directory) links.push({ path: directory, target: real });
      at = join(real, basename(at));
      if (!(await Deno.lstat(at)).isSymlink) break;
      const target = resolve(real, await Deno.readLink(at));
      links.push({ path: at, target });
      at = target;
    }
  } catch {
    // It ends where something is gone or may not be looked at; what came before is still so.
  }
  return links;
}

async function readStart(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  try {
    using file = await openFile(path);
    const bytes = new Uint8Array(maxBytes);
    let length = 0;
    while (length < maxBytes) {
      const read = await file.read(bytes.subarray(length));
      if (read === null) break;
      length += read;
    }
    return bytes.subarray(0, length);
  } catch {
    return undefined;
  }
}
