/** Daemon and team server killed in the middle of their work: each task has exactly one outcome, and none runs twice at once. */
import { assert } from "@std/assert";
import { randomFrom, seedOfRun } from "../core/seed.ts";
import { killBothSides } from "../support/kill_campaign.ts";
import { isLong } from "../support/length.ts";
import { compiledForm } from "../support/program.ts";

for (const form of compiledForm()) {
  Deno.test({
    name: `daemon and serve that are killed every second or two end each task once and run none twice [${form.kind}]`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      const random = randomFrom(seedOfRun());
      const size = isLong() ? { tasks: 300, everyMs: 3_000 } : { tasks: 8, everyMs: 1_500 };
      const tally = await killBothSides(form, { ...size, random, limitMs: 20_000 + size.tasks * 5_000 });
      if (isLong()) console.log(JSON.stringify(tally));
      assert(tally.kills.server > 0 && tally.kills.daemon > 0, JSON.stringify(tally));
      assert(tally.completed > 0, JSON.stringify(tally));
    },
  });
}
