/** Runs the tests, the end-to-end ones also on the compiled program, and ends with one plain line: `12 passed, 0 failed`. */
import { join } from "@std/path";
import { runScript } from "./command.ts";
import { build } from "./build.ts";
import { ROOT } from "./project.ts";

/**
 * Nearly half of all the time is waiting for other processes and for real limits, so that it takes three times as many
 * files as there are cores to keep them busy. Chosen tests, such as those with real agent CLIs, run with as many as the
 * runtime thinks right.
 */
const JOBS = String(3 * navigator.hardwareConcurrency);

/** They take longest, and a run is over when its last file is: these begin first, then all others by their names. */
export const FIRST = [
  ...["tests/e2e/lifecycle_signals_test.ts", "tests/e2e/own_binary_test.ts", "tests/e2e/launch_test.ts"],
  ...["tests/daemon/server_faults_test.ts", "tests/lifecycle/model_check_test.ts", "tests/e2e/faults_test.ts"],
  ...[
    "tests/e2e/hand_off_test.ts",
    "tests/e2e/update_test.ts",
    "tests/e2e/version_test.ts",
    "tests/e2e/team_server_test.ts",
    "tests/e2e/home_faults_test.ts",
  ],
];

/** Needs agent CLIs that are installed from npm. */
const REAL = "tests/real";

/** How many tests of a run passed and failed. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
}

/** From the last summary line of `deno test`; undefined when there is none, as after a crash. */
export function readTally(output: string): Tally | undefined {
  // deno-lint-ignore no-control-regex
  const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
  const last = [...plain.matchAll(/^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed/gm)].at(-1);
  return last && { passed: Number(last[1]), failed: Number(last[2]) };
}

/** The arguments of `deno`: what `args` name, else everything but the tests that need real agent CLIs. */
export function testCommand(args: readonly string[]): string[] {
  const chosen = args.some((arg) => !arg.startsWith("-"));
  return [
    ...["test", "--allow-all", "--parallel", "--sanitize-ops", "--sanitize-resources"],
    ...args,
    // Not `--ignore`: the runtime forgets it where files are named.
    ...(chosen ? [] : [...FIRST, ...foldersOfSuite()]),
  ];
}

function foldersOfSuite(): string[] {
  const folders = [...Deno.readDirSync(join(ROOT, "tests"))].filter(({ isDirectory }) => isDirectory);
  return folders.map(({ name }) => `tests/${name}`).filter((folder) => folder !== REAL).sort();
}

async function main(): Promise<number> {
  const binary = await build({ ifChanged: true });
  const jobs = Deno.env.get("DENO_JOBS") || (Deno.args.length > 0 ? undefined : JOBS);
  const child = new Deno.Command(Deno.execPath(), {
    args: testCommand(Deno.args),
    cwd: ROOT,
    // Coloured as if there were no pipe in between.
    env: {
      DROVER_TEST_BINARY: binary,
      // An empty one would mean a single job.
      ...(jobs ? { DENO_JOBS: jobs } : {}),
      ...(Deno.stdout.isTerminal() ? { FORCE_COLOR: "1" } : {}),
    },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  let tail = "";
  const text = new TextDecoder();
  for await (const bytes of child.stdout) {
    await writeAll(bytes);
    tail = (tail + text.decode(bytes, { stream: true })).slice(-16_384);
  }
  const { code } = await child.status;
  const tally = readTally(tail);
  if (!tally) console.error("The test run ended without a summary");
  console.log(`${tally?.passed ?? 0} passed, ${tally?.failed ?? 1} failed`);
  return tally ? code : code || 1;
}

async function writeAll(bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}

if (import.meta.main) await runScript(main);
