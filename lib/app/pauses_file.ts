/** `pauses.json`: which agent CLIs get no tasks for a while, and why; kept from daemon to daemon, and read by who shows it. */
import * as z from "zod/mini";
import type { Home } from "../core/home.ts";
import { type Files, HostError } from "../core/ports.ts";
import { isOver, type Pause, type Pauses } from "../core/runtime_pause.ts";
import type { PauseStore } from "../daemon/runtime_pauses.ts";

const File = z.lazy(() =>
  z.object({
    schemaVersion: z.literal(1),
    pauses: z.record(
      z.string(),
      z.discriminatedUnion("kind", [
        z.object({ kind: z.literal("quota"), since: z.number(), until: z.number(), why: z.string() }),
        z.object({
          kind: z.literal("login"),
          since: z.number(),
          why: z.string(),
          how: z.string(),
          signs: z.string(),
          seenOut: z.boolean(),
        }),
      ]),
    ),
  })
);

/** A damaged file says nothing: at worst one task fails once more. */
export async function readPauses(files: Files, home: Home): Promise<Pauses> {
  try {
    return File.parse(JSON.parse(await files.readText(home.pauses))).pauses;
  } catch (error) {
    if (error instanceof HostError || error instanceof SyntaxError || error instanceof z.core.$ZodError) return {};
    throw error;
  }
}

/** What holds at this moment. */
export async function currentPauses(files: Files, home: Home, now: number): Promise<ReadonlyMap<string, Pause>> {
  return new Map(Object.entries(await readPauses(files, home)).filter(([, pause]) => !isOver(pause, now)));
}

/** For the holder of the home. */
export function pauseStore(files: Files, home: Home): PauseStore {
  return {
    read: () => readPauses(files, home),
    write: (pauses) => files.writeAtomic(home.pauses, JSON.stringify({ schemaVersion: 1, pauses }, null, 2) + "\n"),
  };
}

/** While nobody holds the home. False when there is nothing to forget. */
export async function forgetPause(files: Files, home: Home, provider: string): Promise<boolean> {
  const { [provider]: pause, ...left } = await readPauses(files, home);
  if (pause) await pauseStore(files, home).write(left);
  return pause !== undefined;
}
