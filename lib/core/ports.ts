/** The effects, as interfaces: everything drover needs from the machine. `lib/host/` implements each once. */
import type { Network } from "./network_port.ts";

export type {
  Fetch,
  LoopbackServer,
  Network,
  OutwardClient,
  TcpServer,
  UnixClient,
  UnixServer,
} from "./network_port.ts";

export type Env = Readonly<Record<string, string>>;

export interface Clock {
  /** Wall clock, ms since 1970. For records that people or other machines read. */
  now(): number;
  /** Milliseconds on a clock that never goes back. For measuring. */
  monotonic(): number;
  /** Runs `fn` once after `ms`; disposing it before then means it never runs. Never keeps the process alive by itself. */
  after(ms: number, fn: () => void): Disposable;
  /** Resolves after `ms`; rejects with `signal.reason` as soon as the signal aborts. */
  sleep(ms: number, options?: { signal?: AbortSignal }): Promise<void>;
}

export interface Random {
  /** A version 4 UUID. */
  uuid(): string;
  /** `bytes` random bytes as lower-case hex. */
  hex(bytes: number): string;
  /** In [0, 1). */
  fraction(): number;
}

export interface ChildExit {
  /** The exit code; 128 + signal number when a signal ended it. */
  readonly code: number;
  readonly signal: string | null;
}

export interface SpawnRequest {
  readonly executable: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The whole environment: nothing is inherited. */
  readonly env: Env;
  readonly stdin: "pipe" | "null";
  /**
   * Put into the child's environment as `DROVER_TASK_MARK` so that whatever it starts can be found again, even in
   * sessions of its own. Unique per run.
   */
  readonly mark: string;
}

/** A running process group that we own. `stop()` or `settle()` must be called, once, on every path. */
export interface Child {
  readonly pid: number;
  readonly stdin: WritableStream<Uint8Array> | null;
  readonly stdout: ReadableStream<Uint8Array>;
  /** The last bytes of stderr, at most 8 KiB, decoded. */
  stderrTail(): string;
  readonly exit: Promise<ChildExit>;
  /**
   * Ends everything the child started and waits for it: TERM to the group, `graceMs` (default 5,000), KILL to the
   * group, then whatever still carries the mark, then at most 2 s for pipes that a grandchild may hold. Also right
   * after a good end, where it costs one scan. Idempotent.
   */
  stop(options?: { graceMs?: number }): Promise<StopReport>;
}

export interface StopReport {
  /** Pids that outlived the group and were found by the mark. */
  readonly leftovers: readonly number[];
  /** True when KILL was needed for the group. */
  readonly killed: boolean;
}

export interface CommandResult {
  readonly exit: ChildExit;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

export interface Processes {
  /** Throws `HostError` with code `not-found`, `not-executable` or `no-such-cwd` when nothing could be started. */
  spawn(request: SpawnRequest): Child;
  /** Runs a short command to its end; past `timeoutMs` it and all it started are killed. Output is capped at 1 MiB each. */
  run(
    command: { executable: string; args: readonly string[]; cwd?: string; env?: Env; stdin?: string },
    options: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<CommandResult>;
  /** Ends every process of this user whose environment has `DROVER_TASK_MARK` beginning with `prefix`; the pids it ended. */
  endMarked(prefix: string): Promise<readonly number[]>;
}

export interface LaunchRequest {
  readonly argv: readonly string[];
  readonly cwd: string;
  /** The whole environment. */
  readonly env: Env;
  /** What the process says goes to the end of this file from its first instruction on. */
  readonly logFile: string;
}

/** A process that outlives us: in a session of its own, with nothing of our terminal. */
export interface Launched {
  readonly pid: number;
  /** Settles if it ends while we still look. */
  readonly exit: Promise<ChildExit>;
}

export interface Launcher {
  /** Throws `HostError` when nothing could be started. */
  launch(request: LaunchRequest): Launched;
  /** Signals the very process that an identity was read from: looks again right before, and never signals another. */
  signal(
    target: ProcessIdentity,
    name: "SIGTERM" | "SIGKILL",
    /** `group`: of one that we launched, all that is still in its process group as well. */
    options?: { group?: boolean },
  ): "sent" | "gone";
}

export interface FileInfo {
  readonly isFile: boolean;
  readonly isDirectory: boolean;
  readonly isSymlink: boolean;
  readonly size: number;
  /** Permission bits, e.g. 0o700. */
  readonly mode: number;
  readonly uid: number;
  readonly mtimeMs: number;
  readonly dev: number;
  readonly ino: number;
}

/** All paths absolute. Errors are `HostError`s with a code from `HostErrorCode`. */
export interface Files {
  readText(path: string): Promise<string>;
  readBytes(path: string): Promise<Uint8Array>;
  /** From `offset` on, fewer bytes only where the file ends. */
  readRange(path: string, range: { offset: number; bytes: number }): Promise<Uint8Array>;
  /**
   * To a temporary name in the same directory, synced, renamed; mode 0600 unless told otherwise. `sync: false` for what
   * a power cut may take, which costs some milliseconds less.
   */
  writeAtomic(path: string, text: string | Uint8Array, options?: { mode?: number; sync?: boolean }): Promise<void>;
  /** Into the very file that is there, which keeps its owner, mode and hard links. Not atomic; makes no file. */
  overwrite(path: string, bytes: Uint8Array): Promise<void>;
  /** Appends, creating the file with mode 0600. */
  append(path: string, text: string): Promise<void>;
  /**
   * Writes what comes to the end of a file, made with mode 0600 where there is none, and syncs it; the bytes written. What
   * came before a failure stays, and what the source throws is passed on.
   */
  appendStream(path: string, source: AsyncIterable<Uint8Array>, options?: { signal?: AbortSignal }): Promise<number>;
  /** The text of a link; `undefined` where there is no link. */
  readLink(path: string): Promise<string | undefined>;
  /** Creates the directory and its parents with mode 0700. No error when it is there. */
  makeDirectory(path: string): Promise<void>;
  /** Within one file system; replaces what has the new name. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or a whole directory; no error when there is none. */
  remove(path: string): Promise<void>;
  /** `undefined` when there is nothing. Follows links unless `link` is set. */
  stat(path: string, options?: { link?: boolean }): Promise<FileInfo | undefined>;
  realPath(path: string): Promise<string>;
  symlink(target: string, path: string): Promise<void>;
  /** Names, sorted. */
  list(path: string): Promise<string[]>;
  chmod(path: string, mode: number): Promise<void>;
  setModified(path: string, mtimeMs: number): Promise<void>;
}

/** What a file system says of a file without it being read; equal marks nearly always mean equal bytes. */
export interface FileMark {
  /** Where the links of the path end. */
  readonly realPath: string;
  readonly dev: number;
  readonly ino: number;
  /** Bytes. */
  readonly size: number;
  readonly mtimeMs: number;
  /** The one time that no program can set back; in whole seconds, more the runtime does not tell. */
  readonly ctimeMs: number;
  /** Permission bits. */
  readonly mode: number;
}

export type Look =
  | { readonly kind: "file" | "not-executable"; readonly mark: FileMark }
  /** `dangling`: the path is a link, and what it leads to is gone. */
  | { readonly kind: "missing"; readonly dangling: boolean }
  /** No permission, a loop of links, a directory, a broken file system; `why` for people. */
  | { readonly kind: "unreadable"; readonly why: string };

/** A link met on the way to a file, with what it leads to. */
export interface FollowedLink {
  readonly path: string;
  /** Absolute: of a link what its text means, of a directory reached through links where it really is. */
  readonly target: string;
}

/** Which bytes a file holds. Paths absolute. */
export interface Fingerprints {
  /**
   * SHA-256 in lower-case hex, in constant memory, one file at a time, with the event loop free in between. Throws
   * `HostError` when the file cannot be read, and `signal.reason` as soon as it aborts.
   */
  hashFile(path: string, options?: { signal?: AbortSignal }): Promise<string>;
  /** Of a text in UTF-8. */
  hashText(text: string): Promise<string>;
  /**
   * The cheap question before a hash. Throws for nothing that a file system can answer. `before`: the mark it had; as
   * long as the path leads to the very same file that one is given back, at half the cost.
   */
  look(path: string, before?: FileMark): Promise<Look>;
  /** The links from a path to its file, in the order they are followed, as far as there are any. Never throws. */
  follow(path: string): Promise<readonly FollowedLink[]>;
  /** The first bytes of a file, at most `maxBytes`; `undefined` where they cannot be read. Never throws. */
  readStart(path: string, maxBytes: number): Promise<Uint8Array | undefined>;
}

/** An advisory lock on a file (flock): freed by the kernel when its holder dies. Never deletes the file. */
export interface Lock extends Disposable {
  readonly path: string;
  release(): void;
}

export interface Locks {
  /** At once: the lock, or `undefined` when somebody holds it. */
  tryLock(path: string): Promise<Lock | undefined>;
  /** Polls until the lock is free; `undefined` when `timeoutMs` has passed. */
  lock(path: string, options: { timeoutMs: number; signal?: AbortSignal }): Promise<Lock | undefined>;
}

export interface DiskSpace {
  /** For this user. */
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** How many more files fit; `null` where the file system has no such limit. */
  readonly freeFiles: number | null;
}

/** What only a diagnosis asks of the machine. */
export interface Inspector {
  /**
   * Pids of processes of this user that have the file open, or run from it; for a lock file they are its holder and those
   * that try it. Empty where the system does not tell. Its own pid is left out.
   */
  openedBy(path: string): Promise<readonly number[]>;
  /** Of the file system that holds `path`. Throws `HostError`. */
  diskSpace(path: string): Promise<DiskSpace>;
}

export type SignalName = "SIGINT" | "SIGTERM" | "SIGHUP";

export interface Signals {
  on(names: readonly SignalName[], handler: (name: SignalName) => void): Disposable;
}

/** What tells one process from every other that ever had its pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time as the kernel counts it; opaque, compared for equality only. */
  readonly startTicks: string;
  /** Of the running system; opaque. */
  readonly bootId: string;
}

export interface SystemInfo {
  readonly os: "linux" | "darwin";
  readonly arch: string;
  readonly hostname: string;
  readonly uid: number;
  /** The environment drover was started with, after the clean-up in the first lines of main. */
  readonly env: Env;
  readonly cwd: string;
  /** The argv that runs this program again, by a path that also leads to what replaces it. */
  readonly selfCommand: readonly string[];
  /** Where the very bytes that run now can be read, whatever stands at that path meanwhile. */
  readonly image: string;
  /** True in the executable made by `deno compile`. */
  readonly compiled: boolean;
  readonly denoVersion: string;
  self(): ProcessIdentity;
  /** Identity of a live process; `undefined` when there is none (a zombie is none). */
  identityOf(pid: number): ProcessIdentity | undefined;
  /** The environment a process was started with; `undefined` when there is none or it may not be read. */
  environmentOf(pid: number): Env | undefined;
}

export type LogFields = Readonly<Record<string, unknown>>;

/** A constant sentence and fields. Secrets are redacted on the way out. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  critical(message: string, fields?: LogFields): void;
}

export interface LogSetup {
  /** Where records go: a rotated JSON-lines file, stderr as text, or both; nothing when neither is set. */
  readonly file?: string;
  readonly stderr?: boolean;
  readonly level: "debug" | "info" | "warning" | "error";
}

export interface Logs {
  getLogger(name: string): Logger;
  /** Starts writing; disposing flushes and stops. Before it records are dropped. */
  setup(options: LogSetup): Promise<AsyncDisposable>;
}

export interface Terminal {
  readonly isTerminal: boolean;
  /** Null where `NO_COLOR` is set or stdout is no terminal. */
  readonly color: boolean;
  /** Never throws: a closed or full output is ignored, as nobody is there to tell. */
  out(text: string): void;
  err(text: string): void;
  /** The whole of stdin as text, capped; throws `HostError` `too-large` beyond `maxBytes`. */
  readAllInput(maxBytes: number): Promise<string>;
  readonly inputIsTerminal: boolean;
  /** The next line a person types, without its end; `undefined` when there will be none. It cannot be taken back. */
  readLine(): Promise<string | undefined>;
  /** The same, of what nobody is to see: nothing that is typed is shown. Ctrl-C counts as no line. */
  readSecret(): Promise<string | undefined>;
  readonly stdin: ReadableStream<Uint8Array>;
  /** Raw bytes to stdout, awaited (for programs that speak a protocol there). */
  write(bytes: Uint8Array): Promise<void>;
}

/** To the service manager that started this process, where there is one that asked to be told (systemd's notify protocol). */
export interface ServiceNotices {
  /** Within what time it wants to hear `WATCHDOG=1` again, in ms; 0 = never. */
  readonly watchdogMs: number;
  /** One or more lines such as `READY=1`. Never throws; does nothing where nobody asked. */
  send(text: string): void;
}

export interface ReplaceRequest {
  /** Absolute. */
  readonly executable: string;
  /** From the name of the program on. */
  readonly argv: readonly string[];
  /** The whole environment. */
  readonly env: Env;
}

export interface Host {
  readonly clock: Clock;
  readonly random: Random;
  readonly processes: Processes;
  readonly launcher: Launcher;
  /**
   * This very process becomes another program: same pid, same start time, nothing of ours left. It only ever returns where
   * that was refused, and says why.
   */
  readonly becomeProgram: (request: ReplaceRequest) => string;
  readonly files: Files;
  readonly fingerprints: Fingerprints;
  readonly locks: Locks;
  readonly inspector: Inspector;
  readonly network: Network;
  readonly signals: Signals;
  readonly notices: ServiceNotices;
  readonly system: SystemInfo;
  readonly logs: Logs;
  readonly terminal: Terminal;
}

export type HostErrorCode =
  | "not-found"
  | "exists"
  | "permission"
  | "read-only"
  | "no-space"
  | "not-executable"
  | "no-such-cwd"
  | "address-in-use"
  | "refused"
  /** Of descriptors or of memory; there may be some again in a moment. */
  | "exhausted"
  | "too-large"
  | "other";

/** An effect that failed, with the one thing callers branch on. The message names the action, the subject and the cause. */
export class HostError extends Error {
  override readonly name = "HostError";
  constructor(readonly code: HostErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
