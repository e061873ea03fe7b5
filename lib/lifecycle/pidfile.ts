/** The pidfile: what the holder of the daemon lock says about itself. Descriptive only: the lock and the socket are the authority. */
import * as z from "zod";
import type { Files, ProcessIdentity } from "../core/ports.ts";
import { HostError } from "../core/ports.ts";

export const PIDFILE_SCHEMA = 1;

export const Pidfile = z.object({
  schemaVersion: z.literal(PIDFILE_SCHEMA),
  pid: z.number().int().positive(),
  startTicks: z.string(),
  bootId: z.string(),
  instance: z.string().min(1),
  version: z.string(),
  protocol: z.number().int(),
  /** `daemon`, or `run` for an in-process `drover run`. */
  mode: z.enum(["daemon", "run"]),
  /** The program's own path. */
  binary: z.string(),
  controlSocket: z.string().min(1),
  /** How it was started, without secrets. */
  launch: z.object({ args: z.array(z.string()), cwd: z.string() }),
  startedAt: z.string(),
  startReason: z.enum(["user"]),
});
export type Pidfile = z.infer<typeof Pidfile>;

/** `undefined` when there is none or it cannot be read as one: then the lock and the socket decide. */
export async function readPidfile(files: Files, path: string): Promise<Pidfile | undefined> {
  let text: string;
  try {
    text = await files.readText(path);
  } catch (error) {
    if (error instanceof HostError) return undefined;
    throw error;
  }
  try {
    return Pidfile.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
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
export function sameProcess(record: Pidfile, identity: ProcessIdentity | undefined): boolean {
  return identity !== undefined && record.pid === identity.pid && record.startTicks === identity.startTicks &&
    record.bootId === identity.bootId;
}
