/** One look at a home: its record, whether its lock is held, and who answers on its control socket. Changes nothing. */
import type { Observation, SeenControl, SeenRecord } from "../core/handshake.ts";
import type { Home } from "../core/home.ts";
import { type Env, type Files, HostError, type Locks, type ProcessIdentity } from "../core/ports.ts";
import type { Hello } from "../wire/control.ts";
import { lookAtPidfile, type Pidfile, type PidfileLook, sameProcess } from "./pidfile.ts";

/** The control socket of the holder, as far as the life cycle needs it. */
export interface ControlPort extends Disposable {
  readonly hello: Hello;
  stop(mode: StopMode): Promise<void>;
  cancelDrain(): Promise<void>;
  status(): Promise<Record<string, unknown>>;
  /** For people: each running task in a few words. */
  runningTasks(): Promise<readonly string[]>;
  launch(): Promise<{ readonly args: readonly string[]; readonly env: Env }>;
  /** Has it write its record again. */
  adopt(): Promise<void>;
}

export type StopMode = "drain" | "now";

export type Contact =
  | { readonly kind: "answers"; readonly control: ControlPort }
  | { readonly kind: "silent" }
  | { readonly kind: "absent" };

export interface ObservePorts {
  readonly files: Files;
  readonly locks: Locks;
  readonly identityOf: (pid: number) => ProcessIdentity | undefined;
  /** Looks for the holder where the record says, else in the home. */
  readonly contact: (record: PidfileLook) => Promise<Contact>;
}

export interface Look extends Disposable {
  readonly observation: Observation;
  readonly record: Pidfile | undefined;
  /** While somebody answers; closed with the look. */
  readonly control: ControlPort | undefined;
}

/**
 * Liveness is the kernel's: holding the daemon lock is being the daemon. The lock is tried and given back at once, which
 * a process that is about to take it waits out.
 */
export async function observe(
  ports: ObservePorts,
  home: Home,
  /** Whoever only shows what there is takes the lock of a daemon that answers for held. */
  { onlyLooking = false }: { onlyLooking?: boolean } = {},
): Promise<Look> {
  const look = await lookAtPidfile(ports.files, home.pidfile);
  const contact = await ports.contact(look);
  const control = contact.kind === "answers" ? contact.control : undefined;
  try {
    // The record may have been replaced while the socket was tried.
    const after = control && look.kind !== "record" ? await lookAtPidfile(ports.files, home.pidfile) : look;
    const record = after.kind === "record" ? after.record : undefined;
    const seen = seenRecord(after, ports.identityOf);
    return {
      observation: {
        lock: (onlyLooking && control) || await isHeld(ports, home, seen) ? "held" : "free",
        record: seen,
        control: seenControl(contact, record),
      },
      record,
      control,
      [Symbol.dispose]: () => control?.[Symbol.dispose](),
    };
  } catch (error) {
    control?.[Symbol.dispose]();
    throw error;
  }
}

async function isHeld({ locks }: ObservePorts, home: Home, record: SeenRecord): Promise<boolean> {
  try {
    const lock = await locks.tryLock(home.daemonLock);
    lock?.release();
    return lock === undefined;
  } catch (error) {
    // A file system that has become read-only: then the record is the best there is.
    if (error instanceof HostError) return record.kind === "live";
    throw error;
  }
}

function seenRecord(look: PidfileLook, identityOf: ObservePorts["identityOf"]): SeenRecord {
  if (look.kind !== "record") return { kind: look.kind };
  const { record } = look;
  const kind = sameProcess(record, identityOf(record.pid)) ? "live" : "stale";
  return { kind, mode: record.mode, pid: record.pid };
}

function seenControl(contact: Contact, record: Pidfile | undefined): SeenControl {
  if (contact.kind !== "answers") return { kind: contact.kind };
  const { instance, phase } = contact.control.hello;
  return { kind: "answers", phase, instance: instance === record?.instance ? "matches" : "differs" };
}
