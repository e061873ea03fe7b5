/** Waiting for a daemon on a fake clock: with time standing still, or second after second, and never for ever. */
import { assert } from "@std/assert";
import type { FakeClock } from "../support/fake_clock.ts";

/** Of real time; a machine that is busy with other tests takes seconds for what else takes milliseconds. */
const PATIENCE_MS = 30_000;
/** What is not so after so many turns of the event loop waits for files or processes, which a loop without a pause would slow. */
const TURNS = 20;
const PAUSE_MS = 5;

export interface Waiting {
  readonly clock: Pick<FakeClock, "advance" | "settle">;
  readonly so: () => boolean | Promise<boolean>;
  /** What there is to know about it when it does not come to that. */
  readonly story: () => string;
}

/** With time standing still. */
export async function until(what: string, { clock, so, story }: Waiting): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  for (let turn = 0; !(await so()); turn++) {
    assert(performance.now() < end, `It did not come to this: ${what}; ${story()}`);
    if (turn < TURNS) await clock.settle();
    else await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** The same, with second after second passing meanwhile. */
export function later(what: string, { clock, so, story }: Waiting): Promise<void> {
  return until(what, {
    clock,
    story,
    so: async () => {
      if (await so()) return true;
      await clock.advance(1_000);
      return false;
    },
  });
}
