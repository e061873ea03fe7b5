/** One look at the daemon of a home, for those who see a release through: whose it is, whether it serves, and who is at work on it. */
import type { Home } from "../core/home.ts";
import { releaseOfName } from "../core/installation.ts";
import { HostError } from "../core/ports.ts";
import type { Sight } from "../core/update_watch.ts";
import { type LifecycleRecord, readLifecycle } from "../lifecycle/lifecycle_file.ts";
import { observe } from "../lifecycle/observe.ts";
import type { InstancePorts } from "../lifecycle/verb.ts";

export interface SightOptions {
  /** Of the release that is looked for. */
  readonly name: string;
  /** An instance that is known to be of that release. */
  readonly watched?: string;
}

export async function sightOf(ports: InstancePorts, home: Home, options: SightOptions): Promise<Sight> {
  const before = await readLifecycle(ports.files, home);
  const seen = await see(ports, home, { ...options, before });
  if (seen.kind === "this" || seen.kind === "other") {
    if (seen.instance === options.watched) return seen;
    return { ...seen, ended: await hasEnded(ports, home, options.watched) };
  }
  if (seen.kind !== "missing" && seen.kind !== "unclear") return seen;
  const lock = await ports.locks.tryLock(home.restartLock);
  lock?.release();
  const after = await readLifecycle(ports.files, home);
  // A look is no snapshot: who restarted it may be done by now.
  if (!lock || intentOf(before) !== intentOf(after)) return { kind: "busy" };
  if (seen.kind !== "missing") return seen;
  const ended = await hasEnded(ports, home, options.watched);
  return { kind: "missing", cutOff: after.operation !== null, ended };
}

/** In good order: one that was cut off leaves no word of its end. */
async function hasEnded({ files }: InstancePorts, home: Home, instance: string | undefined): Promise<boolean> {
  if (instance === undefined) return false;
  try {
    return JSON.parse(await files.readText(home.lastExit))?.instance === instance;
  } catch (error) {
    if (error instanceof HostError || error instanceof SyntaxError) return false;
    throw error;
  }
}

async function see(
  ports: InstancePorts,
  home: Home,
  { name, watched, before: { desired } }: SightOptions & { before: LifecycleRecord },
): Promise<Sight> {
  using look = await observe(ports, home);
  const { observation, control, record } = look;
  if (!control) {
    if (observation.lock === "held") return { kind: desired?.state === "stopped" ? "busy" : "unclear" };
    return desired?.state === "running" ? { kind: "missing", cutOff: false } : { kind: "unwanted" };
  }
  const { hello } = control;
  if (hello.mode !== "daemon") return { kind: "unclear" };
  if (hello.phase === "draining" || hello.phase === "stopped") return { kind: "busy" };
  if (hello.phase === "starting") return { kind: "unclear" };
  const status = await control.status().catch(() => undefined) as { slots?: { running?: number } } | undefined;
  const known = hello.instance === watched;
  // The digest is read a moment after the start.
  if (!status || (!known && !record?.digest)) return { kind: "unclear" };
  const digest = releaseOfName(name)?.digest ?? "-";
  return {
    kind: known || record?.digest.startsWith(digest) ? "this" : "other",
    instance: hello.instance,
    running: status.slots?.running ?? 0,
    reason: record?.startReason ?? "user",
    supervised: record !== undefined && record.launch.supervisor !== "none",
    askedAt: desired?.at ?? "",
  };
}

function intentOf({ desired, operation }: LifecycleRecord): string {
  return JSON.stringify([desired, operation]);
}
