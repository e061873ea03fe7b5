/** `update.json` beside the releases: the trial, what is quarantined, and the last rounds; written under the install lock. */
import * as z from "zod/mini";
import type { Installation } from "../core/installation.ts";
import { type Files, HostError } from "../core/ports.ts";
import { FRESH_UPDATES, ROUND_RESULTS, type UpdateState } from "../core/update.ts";

const Round = z.lazy(() =>
  z.object({
    at: z.number(),
    by: z.enum(["loop", "person", "server"]),
    result: z.enum(ROUND_RESULTS),
    version: z.string(),
    code: z.string(),
    detail: z.string(),
    home: z.optional(z.string()),
  })
);

const File = z.lazy(() =>
  z.object({
    schema: z.literal(1),
    lastGood: z.catch(z.nullable(z.string()), null),
    trial: z.catch(
      z.nullable(z.object({
        name: z.string(),
        before: z.string(),
        home: z.string(),
        begun: z.number(),
        failures: z.array(z.string()),
        up: z.nullable(z.number()),
      })),
      null,
    ),
    quarantined: z.catch(z.array(z.object({ name: z.string(), at: z.number(), why: z.string() })), () => []),
    nextAt: z.catch(z.nullable(z.number()), null),
    rounds: z.catch(z.array(Round), () => []),
  })
);

/** A damaged file says nothing: at worst a release is tried once more. */
export async function readUpdates(files: Files, installation: Installation): Promise<UpdateState> {
  try {
    const { lastGood, trial, quarantined, nextAt, rounds } = File.parse(
      JSON.parse(await files.readText(installation.updates)),
    );
    return { lastGood, trial, quarantined, nextAt, rounds };
  } catch (error) {
    if (error instanceof HostError || error instanceof SyntaxError || error instanceof z.core.$ZodError) {
      return FRESH_UPDATES;
    }
    throw error;
  }
}

/** Under the install lock. Throws `HostError`. */
export async function writeUpdates(files: Files, installation: Installation, state: UpdateState): Promise<void> {
  await files.writeAtomic(installation.updates, JSON.stringify({ schema: 1, ...state }, null, 2) + "\n");
}
