/** `reload.json`: which restarts for changed programs there were, and which change is not acted upon; kept from daemon to daemon. */
import * as z from "zod/mini";
import type { Home } from "../core/home.ts";
import { type Files, HostError } from "../core/ports.ts";
import type { ReloadHistory } from "../core/reload_gate.ts";

const History = z.object({
  schemaVersion: z.literal(1),
  restarts: z.array(z.number()),
  putOff: z.optional(z.object({ set: z.string(), why: z.enum(["restarts-spent", "cancelled"]) })),
  refused: z.optional(z.string()),
});

/** A damaged file says nothing: at worst there is one restart too many. */
export async function readReloadHistory(files: Files, home: Home): Promise<ReloadHistory> {
  try {
    const { restarts, putOff, refused } = History.parse(JSON.parse(await files.readText(home.reload)));
    return { restarts, ...(putOff ? { putOff } : {}), ...(refused === undefined ? {} : { refused }) };
  } catch (error) {
    if (error instanceof HostError || error instanceof SyntaxError || error instanceof z.core.$ZodError) {
      return { restarts: [] };
    }
    throw error;
  }
}

/** By the holder of the home only. Throws `HostError`. */
export async function writeReloadHistory(files: Files, home: Home, history: ReloadHistory): Promise<void> {
  await files.writeAtomic(home.reload, JSON.stringify({ schemaVersion: 1, ...history }, null, 2) + "\n");
}
