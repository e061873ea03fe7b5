/** A long trial on this machine: the long tests in full, stop and start in a loop, concurrent verbs, random campaigns, fresh seeds of the model check. */
import { assertEquals } from "@std/assert";
import { randomFrom } from "../tests/core/seed.ts";
import { runSeed } from "../tests/lifecycle/sim_scenario.ts";
import { eventually, TestHome } from "../tests/support/drover.ts";
import { LONG_VARIABLE } from "../tests/support/length.ts";
import { assertStops, campaign, type Tally } from "../tests/support/lifecycle_campaign.ts";
import { type ProgramForm, programForms } from "../tests/support/program.ts";
import { runScript } from "./command.ts";
import { groupsOf, testFiles } from "./test.ts";
import { runTests } from "./test_run.ts";

/** Those of which the suite runs a part. */
const LONG_TESTS = [
  "tests/coordinator/fuzz_test.ts",
  "tests/coordinator/postgres_test.ts",
  "tests/daemon/server_faults_test.ts",
  "tests/e2e/fault_points_test.ts",
  "tests/e2e/faults_test.ts",
  "tests/e2e/hand_off_test.ts",
  "tests/e2e/home_faults_test.ts",
  "tests/e2e/kill_both_sides_test.ts",
  "tests/e2e/launch_test.ts",
  "tests/e2e/own_binary_test.ts",
  "tests/e2e/random_state_test.ts",
  "tests/e2e/update_service_test.ts",
  "tests/e2e/update_test.ts",
  "tests/e2e/version_test.ts",
  "tests/install",
  "tests/scripts/release_program_test.ts",
  "tests/wire/daemon_faults_test.ts",
  "tests/wire/fuzz_daemon_test.ts",
  "tests/wire/fuzz_test.ts",
  "tests/lifecycle/model_check_test.ts",
];
const LOOPS = 50;
const CONCURRENT = 20;
const CAMPAIGN_MS = 20_000;
const DEFAULT_MINUTES = 5;
/** Between two looks at the time. */
const SEEDS_AT_ONCE = 1_000;

/** Stops and starts a daemon `loops` times; each time both must do their work, and one daemon more has been there. */
export async function stopStartLoop(form: ProgramForm, loops: number): Promise<string> {
  await using home = await TestHome.create(form);
  const from = performance.now();
  for (let i = 0; i < loops; i++) {
    const started = await home.json(["start"]);
    assertEquals(started.value.status, "started", `start ${i + 1}: ${JSON.stringify(started.value)}`);
    await assertStops(home);
  }
  const holders = (await home.log()).split("\n").filter((line) => line.includes("holding the home")).length;
  assertEquals(holders, loops, "as many daemons as starts");
  return `${loops} starts and stops in ${seconds(from)}`;
}

/** Many terminals give the same verb at once: all succeed, with the same daemon in the end. */
export async function concurrentVerbs(form: ProgramForm, terminals: number): Promise<string> {
  await using home = await TestHome.create(form);
  const from = performance.now();
  for (const verb of ["start", "restart"]) {
    const all = await Promise.all(Array.from({ length: terminals }, () => home.json([verb])));
    for (const { code, value } of all) assertEquals(code, 0, `${verb}: ${JSON.stringify(value)}`);
  }
  await eventually(async () => (await home.processes()).length === 1, "there is one daemon");
  await assertStops(home);
  return `${terminals} starts at once, then ${terminals} restarts at once, in ${seconds(from)}`;
}

async function longTests(): Promise<void> {
  const groups = groupsOf(testFiles(LONG_TESTS));
  const { failed } = await runTests({ groups, jobs: navigator.hardwareConcurrency, env: { [LONG_VARIABLE]: "1" } });
  if (failed > 0) throw new Error("The long tests failed, as told above");
}

async function randomCampaign(form: ProgramForm, seed: number): Promise<string> {
  await using home = await TestHome.create(form);
  const tally = await campaign(home, { random: randomFrom(seed), terminals: 4, forMs: CAMPAIGN_MS });
  return `seed ${seed}: ${shown(tally)}`;
}

async function modelCheck(from: number, count: number): Promise<string> {
  let steps = 0;
  for (let seed = from; seed < from + count; seed++) {
    const report = await runSeed(seed);
    steps += report.steps;
    if (report.violation) throw new Error(`Model check, seed ${seed}: ${report.violation}`);
  }
  return `seeds ${from} to ${from + count - 1}, ${steps.toLocaleString("en")} steps`;
}

function seconds(from: number): string {
  return `${((performance.now() - from) / 1000).toFixed(1)} s`;
}

function shown(tally: Tally): string {
  return [...tally].sort().map(([what, times]) => `${what} × ${times}`).join(", ");
}

async function main(): Promise<number> {
  const minutes = Number(Deno.args[0] ?? DEFAULT_MINUTES);
  if (!(minutes >= 0)) throw new Error(`Cannot soak for ${Deno.args[0]} minutes: it must be a number`);
  await longTests();
  const until = Date.now() + minutes * 60_000;
  for (const form of programForms()) {
    console.log(`${form.kind}: ${await stopStartLoop(form, LOOPS)}`);
    console.log(`${form.kind}: ${await concurrentVerbs(form, CONCURRENT)}`);
  }
  // Other seeds than those of the suite and of the last time.
  let seed = 1_000_000 + crypto.getRandomValues(new Uint32Array(1))[0]! % 1_000_000_000;
  for (let round = 0; Date.now() < until; round++) {
    const form = programForms()[round % 2]!;
    console.log(`${form.kind}: ${await randomCampaign(form, seed)}`);
    console.log(`model check: ${await modelCheck(seed, SEEDS_AT_ONCE)}`);
    seed += SEEDS_AT_ONCE;
  }
  console.log("nothing wrong was found");
  return 0;
}

if (import.meta.main) await runScript(main);
