/** `claim_pause.json` and `today.json`: what a person said of claiming, and what each agent CLI did today; kept from daemon to daemon. */
import * as z from "zod/mini";
import { hasPassed, type PersonPause } from "../core/claim_hold.ts";
import { bookOf, type DayBook } from "../core/day_limits.ts";
import type { Home } from "../core/home.ts";
import { type Files, HostError } from "../core/ports.ts";
import type { PersonPauseStore } from "../daemon/claim_gate.ts";
import type { DayStore } from "../daemon/day_ledger.ts";

const PauseFile = z.lazy(() =>
  z.object({
    schemaVersion: z.literal(1),
    since: z.number(),
    until: z.nullable(z.number()),
    reason: z.string(),
  })
);

const DayFile = z.lazy(() =>
  z.object({
    schemaVersion: z.literal(1),
    day: z.string(),
    counts: z.record(z.string(), z.object({ tasks: z.number(), tokens: z.number(), costUsdTicks: z.number() })),
  })
);

/** What holds at this moment. A damaged file counts as none: who paused sees it in the status, and can say it again. */
export async function readClaimPause(files: Files, home: Home, now: number): Promise<PersonPause | undefined> {
  const pause = await readAs(PauseFile, files, home.claimPause);
  return pause && !hasPassed(pause, now) ? { since: pause.since, until: pause.until, reason: pause.reason } : undefined;
}

export async function readToday(files: Files, home: Home, now: number): Promise<DayBook> {
  const kept = await readAs(DayFile, files, home.today);
  return bookOf(kept && { day: kept.day, counts: kept.counts }, now);
}

/** For the holder of the home. */
export function claimPauseStore(files: Files, home: Home, now: () => number): PersonPauseStore {
  return {
    read: () => readClaimPause(files, home, now()),
    write: async (pause) => {
      if (!pause) return await files.remove(home.claimPause);
      await files.writeAtomic(home.claimPause, text({ ...pause }));
    },
  };
}

/** For the holder of the home. After a power cut the last seconds may be missing. */
export function dayStore(files: Files, home: Home, now: () => number): DayStore {
  return {
    read: () => readToday(files, home, now()),
    write: (book) => files.writeAtomic(home.today, text({ ...book }), { sync: false }),
  };
}

function text(value: Record<string, unknown>): string {
  return JSON.stringify({ schemaVersion: 1, ...value }, null, 2) + "\n";
}

async function readAs<T>(shape: z.ZodMiniType<T>, files: Files, path: string): Promise<T | undefined> {
  try {
    return shape.parse(JSON.parse(await files.readText(path)));
  } catch (error) {
    if (error instanceof HostError || error instanceof SyntaxError || error instanceof z.core.$ZodError) {
      return undefined;
    }
    throw error;
  }
}
