/** Real processes under random commands of several terminals, some of them killed: the rules that the model check tries on a simulated machine. */
import { concurrentVerbs, stopStartLoop } from "../../scripts/soak.ts";
import { randomFrom, seedOfRun } from "../core/seed.ts";
import { TestHome } from "../support/drover.ts";
import { isLong } from "../support/length.ts";
import { campaign } from "../support/lifecycle_campaign.ts";
import { compiledForm } from "../support/program.ts";

const TERMINALS = 3;
/** Then what has begun comes to its end and the home is put in order, which takes some seconds more. */
const FOR_MS = isLong() ? 6_000 : 4_000;
/** Every run of the suite draws the same commands; `deno task soak` draws others each time. */
const SEED = 20261121;

for (const form of compiledForm()) {
  Deno.test(`[${form.kind}] random commands of ${TERMINALS} terminals leave one daemon or none, and a home in order`, async () => {
    const seed = Deno.env.get("DROVER_TEST_SEED") ? seedOfRun() : SEED;
    await using home = await TestHome.create(form);
    try {
      await campaign(home, { random: randomFrom(seed), terminals: TERMINALS, forMs: FOR_MS });
    } catch (error) {
      throw new Error(`DROVER_TEST_SEED=${seed} draws the same commands: ${(error as Error).message}`, {
        cause: error,
      });
    }
  });

  Deno.test(`[${form.kind}] a short soak: stop and start in a loop, verbs of many terminals at once`, async () => {
    await stopStartLoop(form, isLong() ? 5 : 1);
    await concurrentVerbs(form, isLong() ? 5 : 3);
  });
}
