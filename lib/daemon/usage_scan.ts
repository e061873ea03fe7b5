/** The usage scan: reads what is new in the session logs of agent CLIs, and puts each answer's tokens down to its day. */
import { join } from "@std/path";
import { type Kept, type LoggedUsage, readLogLine, type SessionLogs } from "../agents/session_logs.ts";
import { type Clock, type Env, type FileInfo, type Files, HostError } from "../core/ports.ts";
import { dayOf } from "../core/day_limits.ts";
import { isHomeOf } from "./private_home.ts";
import type { LogFile, UsageStore } from "./usage_store.ts";
import { listBelow } from "./work_state.ts";

export interface LogSource {
  readonly provider: string;
  readonly logs: SessionLogs;
  /** The row's directory of its own for each thread, where it has one. */
  readonly privateHome: boolean;
}

export interface ScanOptions {
  readonly sources: readonly LogSource[];
  readonly store: UsageStore;
  readonly files: Files;
  readonly clock: Clock;
  readonly env: Env;
  /** Where private homes are. */
  readonly workspaces: string;
  readonly signal?: AbortSignal;
}

const DAY_MS = 86_400_000;
/** Older answers are neither looked for nor kept. */
export const USAGE_DAYS = 90;
const CHUNK = 1024 * 1024;
/** A longer line is an image or a whole file, and is passed over. */
const MAX_LINE = 16 * CHUNK;
const MAX_DEPTH = 8;

/** How many files had something new. Files that cannot be read are passed over; rejects with the signal's reason. */
export async function scanUsage(options: ScanOptions): Promise<number> {
  const { sources, store, clock, signal } = options;
  const oldest = clock.now() - USAGE_DAYS * DAY_MS;
  let read = 0;
  for (const source of sources) {
    for (const root of await rootsOf(source, options)) {
      for await (const path of logFiles(root, source.logs.ends, options.files)) {
        signal?.throwIfAborted();
        try {
          if (await readNew(path, source, { ...options, oldest })) read++;
        } catch (error) {
          if (!(error instanceof HostError)) throw error;
        }
      }
    }
  }
  store.purge(dayOf(oldest));
  return read;
}

/** Real paths, each once: a private home may share the user's folder by a link. */
async function rootsOf(
  { provider, logs, privateHome }: LogSource,
  { files, env, workspaces }: ScanOptions,
): Promise<readonly string[]> {
  const set = logs.variable && env[logs.variable];
  const own = set?.startsWith("/") ? set : env.HOME && join(env.HOME, logs.home);
  const homes = own ? [own] : [];
  if (privateHome) {
    const places = await listBelow(workspaces, (name) => !name.startsWith("."), files);
    for (const place of places) {
      const names = await files.list(join(place, "homes")).catch(() => []);
      homes.push(...names.filter((name) => isHomeOf(provider, name)).map((name) => join(place, "homes", name)));
    }
  }
  const found = new Set<string>();
  for (const home of homes) {
    const folder = join(home, logs.folder);
    if ((await files.stat(folder).catch(() => undefined))?.isDirectory) found.add(await files.realPath(folder));
  }
  return [...found];
}

/** Links are not followed: they may lead round in a circle. */
async function* logFiles(directory: string, ends: string, files: Files, depth = 0): AsyncGenerator<string> {
  let names: readonly string[];
  try {
    names = await files.list(directory);
  } catch (error) {
    if (error instanceof HostError) return;
    throw error;
  }
  for (const name of names) {
    const path = join(directory, name);
    if (name.endsWith(ends)) yield path;
    else if (depth < MAX_DEPTH && !/\.\w{1,5}$/.test(name)) {
      const info = await files.stat(path, { link: true }).catch(() => undefined);
      if (info?.isDirectory) yield* logFiles(path, ends, files, depth + 1);
    }
  }
}

async function readNew(
  path: string,
  source: LogSource,
  { store, files, oldest, signal }: ScanOptions & { oldest: number },
): Promise<boolean> {
  const info = await files.stat(path, { link: true });
  if (!info?.isFile || info.mtimeMs < oldest) return false;
  const before = store.file(path);
  const same = before?.ino === info.ino && before.size <= info.size;
  if (same && before.size === info.size && before.mtimeMs === Math.trunc(info.mtimeMs)) return false;
  const goesOn = same && before.tail === await tailAt(path, before.offset, files);
  const reader = new LogReader(path, info, goesOn ? before : undefined);
  for (;;) {
    signal?.throwIfAborted();
    const bytes = await files.readRange(path, { offset: reader.next, bytes: CHUNK });
    reader.take(bytes, source.logs);
    const usage = reader.usage.splice(0).filter(({ at }) => at >= oldest);
    store.add(reader.file(), {
      provider: source.provider,
      usage: usage.map((one) => ({ ...one, date: dayOf(one.at) })),
    });
    if (bytes.length < CHUNK) return true;
  }
}

const TAIL = 64;

async function tailAt(path: string, offset: number, files: Files): Promise<string> {
  const bytes = Math.min(TAIL, offset);
  return encodeHex(await files.readRange(path, { offset: offset - bytes, bytes }));
}

const LF = 0x0a;

class LogReader {
  readonly usage: LoggedUsage[] = [];
  readonly #path: string;
  readonly #info: FileInfo;
  readonly #kept: Kept;
  readonly #decoder = new TextDecoder();
  /** End of the last whole line. */
  #offset: number;
  /** The beginning of a line whose end was not read yet. */
  #open = new Uint8Array();
  #skipping = false;
  #tail: Uint8Array = new Uint8Array();

  constructor(path: string, info: FileInfo, before: LogFile | undefined) {
    this.#path = path;
    this.#info = info;
    this.#offset = before?.offset ?? 0;
    this.#kept = { ...before?.kept };
    if (before) this.#tail = decodeHex(before.tail);
  }

  get next(): number {
    return this.#offset + this.#open.length;
  }

  take(bytes: Uint8Array, logs: SessionLogs): void {
    const all = new Uint8Array(this.#open.length + bytes.length);
    all.set(this.#open);
    all.set(bytes, this.#open.length);
    let start = 0;
    for (let end = all.indexOf(LF); end >= 0; end = all.indexOf(LF, start)) {
      const place = `${this.#path}@${this.#offset}`;
      if (!this.#skipping) this.#line(this.#decoder.decode(all.subarray(start, end)), logs, place);
      this.#skipping = false;
      this.#offset += end + 1 - start;
      start = end + 1;
    }
    if (start > 0) this.#passed(all.subarray(0, start));
    this.#open = all.slice(start);
    if (this.#open.length > MAX_LINE) {
      this.#skipping = true;
      this.#passed(this.#open);
      this.#offset += this.#open.length;
      this.#open = new Uint8Array();
    }
  }

  #passed(bytes: Uint8Array): void {
    const both = new Uint8Array([...this.#tail, ...bytes.subarray(-TAIL)]);
    this.#tail = both.slice(-TAIL);
  }

  #line(text: string, logs: SessionLogs, place: string): void {
    const usage = readLogLine(logs, text, this.#kept, place);
    if (usage) this.usage.push(usage);
  }

  /** With the size it had when the look began: what was appended since is for the next one. */
  file(): LogFile {
    const { ino, size, mtimeMs } = this.#info;
    const tail = encodeHex(this.#tail);
    return { path: this.#path, ino, size, mtimeMs, offset: this.#offset, tail, kept: this.#kept };
  }
}

function encodeHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function decodeHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
