/** The holder's own record: published, completed, put back when it is lost, and taken away at the end; and whether the home is still ours. */
import { BREAKER, stepBreaker } from "../core/breaker.ts";
import { BUILD } from "../core/build_info.ts";
import type { Home } from "../core/home.ts";
import { claimedVersion, configurationEnv, startReasonOf, type SupervisorKind } from "../core/launch.ts";
import type { FileInfo, Host, Lock, Logger } from "../core/ports.ts";
import { updateLifecycle } from "../lifecycle/lifecycle_file.ts";
import { type Pidfile, PIDFILE_SCHEMA, readPidfile, removePidfile, writePidfile } from "../lifecycle/pidfile.ts";
import { CONTROL_PROTOCOL } from "../wire/control.ts";

/** How often the home is looked at. */
const CHECK_MS = 30_000;
/** A little more than the breaker asks for: it counts from when a command saw the daemon ready. */
const STABLE_MS = BREAKER.stableMs + 5_000;
/** What the record tells of the program's bytes may come a moment later than the daemon itself. */
const DIGEST_DELAY_MS = 1_000;
const RESTART_LOCK_MS = 75_000;
/** Long enough to tell values apart, too short to be searched for. */
const MARK_DIGITS = 12;

export interface OwnRecordOptions {
  readonly instance: string;
  readonly mode: "daemon" | "run";
  readonly args: readonly string[];
  readonly controlSocket: string;
  readonly supervisor: SupervisorKind;
  /** Called once when somebody else has the home now: whoever serves it still would be a second one. */
  readonly onSuperseded: () => void;
}

export interface OwnRecord {
  value(): Pidfile;
  /** What of it belongs into status. */
  view(): Record<string, unknown>;
  write(): Promise<void>;
  /** Writes it and watches over it, until it is disposed. */
  publish(): Promise<AsyncDisposable>;
}

export function createOwnRecord(host: Host, home: Home, options: OwnRecordOptions): OwnRecord {
  const { files, system, clock } = host;
  const log = host.logs.getLogger("app");
  let record: Pidfile = {
    schemaVersion: PIDFILE_SCHEMA,
    ...system.self(),
    instance: options.instance,
    version: claimedVersion(system.env, BUILD.version),
    protocol: CONTROL_PROTOCOL,
    mode: options.mode,
    binary: system.selfCommand[0] ?? "",
    digest: "",
    controlSocket: options.controlSocket,
    launch: { args: [...options.args], cwd: system.cwd, env: {}, supervisor: options.supervisor },
    startedAt: new Date(clock.now()).toISOString(),
    startReason: startReasonOf(system.env),
  };
  const write = () => writePidfile(files, home.pidfile, record);
  const watch = async (signal: AbortSignal) => {
    await clock.sleep(DIGEST_DELAY_MS, { signal });
    record = { ...record, digest: await digestOf(host, signal), launch: await withMarks(host, record) };
    await write();
  };
  return {
    value: () => record,
    view: () => ({
      protocol: record.protocol,
      binary: record.binary,
      digest: record.digest || null,
      controlSocket: record.controlSocket,
      startReason: record.startReason,
      supervisor: record.launch.supervisor,
    }),
    write,
    async publish() {
      await write();
      const ending = new AbortController();
      const { signal } = ending;
      const loops = [watch(signal), guard(host, home, { ...options, log, write, signal })];
      if (options.mode === "daemon") loops.push(noteStable(host, home, signal));
      const watching = loops.map((loop) =>
        loop.catch((error) => {
          if (!signal.aborted) log.warn("watching the record failed", { error: String(error) });
        })
      );
      return {
        async [Symbol.asyncDispose]() {
          ending.abort();
          await Promise.all(watching);
          await noteExit(host, home, record).catch((error) =>
            log.warn("cannot note the end", { error: String(error) })
          );
          await removePidfile(files, home.pidfile, options.instance);
        },
      };
    },
  };
}

async function digestOf({ fingerprints, system }: Host, signal: AbortSignal): Promise<string> {
  try {
    return await fingerprints.hashFile(system.image, { signal });
  } catch (error) {
    if (signal.aborted) throw error;
    // Where the system keeps no image of a file that was removed, there is nothing true to say.
    return "";
  }
}

async function withMarks({ fingerprints, system }: Host, { launch }: Pidfile): Promise<Pidfile["launch"]> {
  const marks = await Promise.all(
    configurationEnv(system.env).map(async ([name, value]) =>
      [name, (await fingerprints.hashText(value)).slice(0, MARK_DIGITS)] as const
    ),
  );
  return { ...launch, env: Object.fromEntries(marks) };
}

interface GuardOptions extends OwnRecordOptions {
  readonly log: Logger;
  readonly write: () => Promise<void>;
  readonly signal: AbortSignal;
}

/**
 * The lock file and the record, looked at again and again: both are files, and anybody may have removed or replaced them. A
 * look that fails is only put off: what was locked anew is given back at the end or to a successor, and never before.
 */
async function guard(host: Host, home: Home, options: GuardOptions): Promise<void> {
  const { log, signal } = options;
  const lockFile = () => host.files.stat(home.daemonLock);
  /** `undefined` until a look has told, and again after a lock of a new file. */
  let own: { readonly file: FileInfo | undefined } | undefined;
  const regained: Lock[] = [];
  const look = async (): Promise<"ours" | "superseded"> => {
    const now = await lockFile();
    own ??= { file: now };
    if (!sameFile(own.file, now)) {
      const lock = await host.locks.tryLock(home.daemonLock);
      if (!lock) return "superseded";
      regained.push(lock);
      own = undefined;
      log.warn("the lock file was replaced: locked the new one", { lock: home.daemonLock });
      own = { file: await lockFile() };
    }
    const record = await readPidfile(host.files, home.pidfile);
    if (record?.instance === options.instance) return "ours";
    log.warn("the record was lost: written again", { found: record?.instance ?? "none" });
    await options.write();
    return "ours";
  };
  try {
    own = await lockFile().then((file) => ({ file }), () => undefined);
    for (;;) {
      await host.clock.sleep(CHECK_MS, { signal });
      const found = await look().catch((error) => {
        if (signal.aborted) throw error;
        log.warn("cannot look at the home, trying again", { error: String(error) });
      });
      if (found !== "superseded") continue;
      log.error("another process holds the home: leaving it", { instance: options.instance });
      return options.onSuperseded();
    }
  } finally {
    for (const lock of regained) lock.release();
  }
}

function sameFile(a: FileInfo | undefined, b: FileInfo | undefined): boolean {
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}

/** What ends the row of failed starts that the breaker counts. Tried again while the start has not proved itself yet. */
async function noteStable(host: Host, home: Home, signal: AbortSignal): Promise<void> {
  for (let proven = false; !proven;) {
    await host.clock.sleep(STABLE_MS, { signal });
    using lock = await host.locks.lock(home.restartLock, { timeoutMs: RESTART_LOCK_MS, signal });
    if (!lock) continue;
    const { breaker } = await updateLifecycle(host.files, home, (record) => ({
      breaker: stepBreaker(record.breaker, { kind: "alive" }, host.clock.now()).state,
    }));
    proven = breaker.attempt.kind === "none";
  }
}

/** By its absence whoever comes next knows that the last one was cut off. */
async function noteExit({ files, clock }: Host, home: Home, record: Pidfile): Promise<void> {
  const { instance, pid, version, mode, startedAt, startReason } = record;
  const exit = { instance, pid, version, mode, startedAt, startReason, endedAt: new Date(clock.now()).toISOString() };
  await files.writeAtomic(home.lastExit, JSON.stringify(exit, null, 2) + "\n", { sync: false });
}
