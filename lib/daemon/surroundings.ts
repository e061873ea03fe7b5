/** What agents inherit, as the daemon sees it: it may become richer while the daemon runs. */
import type { Env } from "../core/ports.ts";

/** `failed`: nobody could say, and what was known stays. */
export type Refreshed = "changed" | "same" | "failed";

export interface Surroundings {
  /** The environment that agents are looked for in and inherit. */
  env(): Env;
  /** Finds out what may have changed since. Bounded in time; rejects only with the signal's reason. */
  refresh(signal: AbortSignal): Promise<Refreshed>;
}

export function fixedSurroundings(env: Env): Surroundings {
  return { env: () => env, refresh: () => Promise.resolve("same") };
}
