/** The pidfile: what the holder of the daemon lock says about itself. Descriptive only: the lock and the socket are the authority. */
import {
  type Check,
  type Checks,
  isInteger,
  isListOf,
  isMapOf,
  isName,
  isObject,
  isOneOf,
  isPositive,
  isText,
  pick,
} from "../core/fields.ts";
import { START_REASONS, type StartReason, type SupervisorKind, SUPERVISORS } from "../core/launch.ts";
import type { Files, ProcessIdentity } from "../core/ports.ts";
import { HostError } from "../core/ports.ts";

export const PIDFILE_SCHEMA = 1;

export interface Pidfile {
  readonly schemaVersion: typeof PIDFILE_SCHEMA;
  readonly pid: number;
  readonly startTicks: string;
  readonly bootId: string;
  readonly instance: string;
  readonly version: string;
  readonly protocol: number;
  /** `daemon`, or `run` for an in-process `drover run`. */
  readonly mode: "daemon" | "run";
  /** The program's own path. */
  readonly binary: string;
  /** SHA-256 of that file in hex; empty until it has been read. */
  readonly digest: string;
  readonly controlSocket: string;
  /** How it was started, without secrets. */
  readonly launch: {
    readonly args: readonly string[];
    readonly cwd: string;
    /** The variables it was started with: name and a mark of the value, never the value. */
    readonly env: Readonly<Record<string, string>>;
    readonly supervisor: SupervisorKind;
  };
  readonly startedAt: string;
  readonly startReason: StartReason;
}

/** Versions after the first added some fields and may add words to others: these are completed before they are checked. */
const LAUNCH: Checks<Pidfile["launch"]> = {
  args: isListOf(isText),
  cwd: isText,
  env: isMapOf(isText),
  supervisor: isOneOf(...SUPERVISORS),
};

const RECORD: Checks<Omit<Pidfile, "launch">> & { readonly launch: Check<Readonly<Record<string, unknown>>> } = {
  schemaVersion: isOneOf(PIDFILE_SCHEMA),
  pid: isPositive,
  startTicks: isText,
  bootId: isText,
  instance: isName,
  version: isText,
  protocol: isInteger,
  mode: isOneOf("daemon", "run"),
  binary: isText,
  digest: isText,
  controlSocket: isName,
  launch: isObject,
  startedAt: isText,
  startReason: isOneOf(...START_REASONS),
};

/** The record, or the name of the field that is not as it must be (`""`: no object). */
function recordIn(value: unknown): { readonly value: Pidfile } | { readonly wrong: string } {
  if (!isObject(value)) return { wrong: "" };
  const startReason = START_REASONS.find((reason) => reason === value.startReason) ?? "user";
  const record = pick({ digest: "", ...value, startReason }, RECORD);
  if ("wrong" in record) return record;
  const { launch } = record.value;
  const supervisor = SUPERVISORS.find((kind) => kind === launch.supervisor) ?? "none";
  const picked = pick({ env: {}, ...launch, supervisor }, LAUNCH);
  return "wrong" in picked ? { wrong: `launch.${picked.wrong}` } : { value: { ...record.value, launch: picked.value } };
}

export type PidfileLook =
  | { readonly kind: "none" }
  /** Something is there that says nothing about a process. */
  | { readonly kind: "corrupt"; readonly why: string }
  | { readonly kind: "record"; readonly record: Pidfile };

export async function lookAtPidfile(files: Files, path: string): Promise<PidfileLook> {
  let text: string;
  try {
    text = await files.readText(path);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return error.code === "not-found" ? { kind: "none" } : { kind: "corrupt", why: error.message };
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: "corrupt", why: "it is no JSON" };
  }
  const found = recordIn(value);
  if ("value" in found) return { kind: "record", record: found.value };
  return { kind: "corrupt", why: `it is no record: ${found.wrong || "not an object"}` };
}

/** `undefined` when there is none or it cannot be read as one: then the lock and the socket decide. */
export async function readPidfile(files: Files, path: string): Promise<Pidfile | undefined> {
  const look = await lookAtPidfile(files, path);
  return look.kind === "record" ? look.record : undefined;
}

export async function writePidfile(files: Files, path: string, record: Pidfile): Promise<void> {
  await files.writeAtomic(path, JSON.stringify(record, null, 2) + "\n");
}

/** Removes the file only while it is still ours: a successor may have written its own. */
export async function removePidfile(files: Files, path: string, instance: string): Promise<void> {
  const found = await readPidfile(files, path);
  if (found?.instance === instance) await files.remove(path);
}

/** Whether a record speaks of the very process that an identity was read from. */
export function sameProcess(record: ProcessIdentity, identity: ProcessIdentity | undefined): boolean {
  return identity !== undefined && record.pid === identity.pid && record.startTicks === identity.startTicks &&
    record.bootId === identity.bootId;
}
