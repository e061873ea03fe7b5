/** The life cycle under thousands of random interleavings of commands, crashes and slow machines: the real code on a simulated machine. */
import { fail } from "@std/assert";
import { isLong } from "../support/length.ts";
import { type Report, runSeed } from "./sim_scenario.ts";

const SEEDS = isLong() ? 10_000 : 1_500;
/** Another seed that fails with a shorter story is easier to read. */
const SEEDS_TO_SHORTEN = 400;

/** One seed to be looked at. */
const CHOSEN = Deno.env.get("DROVER_TEST_SEED");

Deno.test("no interleaving of commands and faults breaks a rule of the life cycle", async () => {
  if (CHOSEN) {
    const report = await runSeed(Number(CHOSEN), { trace: true });
    if (report.violation) fail(told(report));
    return;
  }
  for (let seed = 1; seed <= SEEDS; seed++) {
    const report = await runSeed(seed);
    if (report.violation) fail(told(await shortest(report)));
  }
});

async function shortest(found: Report): Promise<Report> {
  let best = found;
  for (let seed = found.seed + 1; seed <= found.seed + SEEDS_TO_SHORTEN; seed++) {
    const other = await runSeed(seed);
    if (other.violation && other.steps < best.steps) best = other;
  }
  return await runSeed(best.seed, { trace: true });
}

function told({ seed, violation, trace }: Report): string {
  return `seed ${seed}: ${violation}\n${trace.slice(-150).join("\n")}\nDROVER_TEST_SEED=${seed} shows it again`;
}
