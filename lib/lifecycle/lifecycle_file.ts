/** `lifecycle.json`: what outlives any daemon: whether one is wanted, how its starts went, and which verb was cut off in the middle. */
import * as z from "zod/mini";
import { type BreakerState, FRESH_BREAKER } from "../core/breaker.ts";
import type { Home } from "../core/home.ts";
import { START_REASONS } from "../core/launch.ts";
import { type Files, HostError } from "../core/ports.ts";

const Times = z.array(z.number());

const Breaker = z.object({
  digest: z.string(),
  failures: Times,
  trips: z.int().check(z.gte(0)),
  attempt: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("none") }),
    z.object({ kind: z.enum(["launched", "ready"]), at: z.number() }),
  ]),
  restarts: Times,
});

/** What somebody asked for last, and when (RFC 3339): nothing revives by itself what was stopped on purpose. */
const Desired = z.object({ state: z.enum(["running", "stopped"]), by: z.string(), at: z.string() });
export type Desired = z.infer<typeof Desired>;

/** A verb of several steps, written before each: whoever comes after a verb that was killed knows how to go on. */
const Operation = z.object({
  verb: z.literal("restart"),
  phase: z.enum(["stopping", "starting"]),
  reason: z.enum(START_REASONS),
  /** Of the daemon that is replaced: the next one gets the same. */
  args: z.array(z.string()),
  since: z.string(),
});
export type Operation = z.infer<typeof Operation>;

const Lifecycle = z.object({
  schemaVersion: z.literal(1),
  desired: z.catch(z.nullable(Desired), null),
  breaker: z.catch(Breaker, { ...FRESH_BREAKER, failures: [], restarts: [] }),
  operation: z.catch(z.nullable(Operation), null),
});

export interface LifecycleRecord {
  readonly desired: Desired | null;
  readonly breaker: BreakerState;
  readonly operation: Operation | null;
}

export const FRESH_LIFECYCLE: LifecycleRecord = { desired: null, breaker: FRESH_BREAKER, operation: null };

/** A damaged file says nothing, and stops nobody. */
export async function readLifecycle(files: Files, home: Home): Promise<LifecycleRecord> {
  let text: string;
  try {
    text = await files.readText(home.lifecycle);
  } catch (error) {
    if (error instanceof HostError) return FRESH_LIFECYCLE;
    throw error;
  }
  return parseLifecycle(text) ?? FRESH_LIFECYCLE;
}

function parseLifecycle(text: string): LifecycleRecord | undefined {
  try {
    const { desired, breaker, operation } = Lifecycle.parse(JSON.parse(text));
    return { desired, breaker, operation };
  } catch {
    return undefined;
  }
}

/** To be called under the restart lock only. */
export async function updateLifecycle(
  files: Files,
  home: Home,
  change: (record: LifecycleRecord) => Partial<LifecycleRecord>,
): Promise<LifecycleRecord> {
  const before = await readLifecycle(files, home);
  const after = { ...before, ...change(before) };
  await files.writeAtomic(home.lifecycle, JSON.stringify({ schemaVersion: 1, ...after }, null, 2) + "\n");
  return after;
}
