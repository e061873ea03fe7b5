/** Runs the tests, the end-to-end ones also on the compiled program, and ends with one plain line: `12 passed, 0 failed`. */
import { join } from "@std/path";
import { runScript } from "./command.ts";
import { build } from "./build.ts";
import { ROOT } from "./project.ts";
import { removeTestDirectory, testDirectory } from "./test_directory.ts";
import { runTests, type Tally } from "./test_run.ts";

/**
 * Nearly half of all the time is waiting for other processes and for real limits, so that it takes more processes than
 * there are cores to keep them busy; with four for each it was slower again. Those with real agent CLIs are busy themselves.
 */
const JOBS = 3 * navigator.hardwareConcurrency;
const REAL_JOBS = navigator.hardwareConcurrency;

/** They take longest, and a run is over when its last file is: these begin first, each alone, then all others. */
export const FIRST = [
  ...["tests/e2e/hand_off_test.ts", "tests/e2e/own_binary_test.ts", "tests/coordinator/postgres_test.ts"],
  ...["tests/e2e/lifecycle_signals_test.ts", "tests/e2e/faults_test.ts", "tests/daemon/server_faults_test.ts"],
  ...["tests/e2e/update_test.ts", "tests/e2e/held_home_test.ts", "tests/e2e/launch_test.ts"],
  ...["tests/wire/daemon_conformance_registration_test.ts", "tests/lifecycle/model_check_test.ts"],
];

/** How many files of a folder are one process: as many as take some ten seconds. The folders begin in this order. */
const TOGETHER: Readonly<Record<string, number>> = { e2e: 1, install: 1, daemon: 3, coordinator: 3, wire: 3, app: 6 };
const OTHERS_TOGETHER = 12;

/** Needs agent CLIs that are installed from npm. */
export const REAL = "tests/real";

/** The test files that `paths` name, below folders too, by their names; with none all but those that need real agent CLIs. */
export function testFiles(paths: readonly string[]): readonly string[] {
  const found = (paths.length > 0 ? paths : ["tests"]).flatMap(filesAt);
  return [...new Set(found)].filter((path) => paths.length > 0 || !path.startsWith(`${REAL}/`)).sort();
}

function filesAt(path: string): readonly string[] {
  const name = path.replace(/\/+$/, "");
  let info: Deno.FileInfo;
  try {
    info = Deno.statSync(join(ROOT, name));
  } catch (cause) {
    throw new Error(`Cannot find tests at ${name}: name files or folders below tests`, { cause });
  }
  if (!info.isDirectory) return [name];
  return [...Deno.readDirSync(join(ROOT, name))].flatMap((entry) => {
    if (entry.isDirectory) return filesAt(`${name}/${entry.name}`);
    return entry.name.endsWith("_test.ts") ? [`${name}/${entry.name}`] : [];
  });
}

/** Each file once; what takes longest begins first. */
export function groupsOf(files: readonly string[]): readonly (readonly string[])[] {
  const alone = FIRST.filter((path) => files.includes(path)).map((path) => [path]);
  const folders = Map.groupBy(files.filter((path) => !FIRST.includes(path)), folderOf);
  const order = Object.keys(TOGETHER);
  const rank = (folder: string) => order.includes(folder) ? order.indexOf(folder) : order.length;
  const sorted = [...folders].sort(([one], [other]) => rank(one) - rank(other) || (one < other ? -1 : 1));
  return [...alone, ...sorted.flatMap(([folder, paths]) => chunks(paths, TOGETHER[folder] ?? OTHERS_TOGETHER))];
}

function folderOf(path: string): string {
  return /tests\/([^/]+)\//.exec(path)?.[1] ?? "";
}

function chunks(paths: readonly string[], size: number): string[][] {
  return Array.from({ length: Math.ceil(paths.length / size) }, (_, i) => paths.slice(i * size, (i + 1) * size));
}

async function main(): Promise<number> {
  const options = Deno.args.filter((arg) => arg.startsWith("-"));
  const files = testFiles(Deno.args.filter((arg) => !arg.startsWith("-")));
  if (files.length === 0) throw new Error(`No tests were found at ${Deno.args.join(" ")}: test files end in _test.ts`);
  const binary = await build({ ifChanged: true });
  const isReal = files.every((path) => path.startsWith(`${REAL}/`));
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) Deno.addSignalListener(signal, () => stop.abort());
  const directory = await testDirectory();
  let left: readonly string[] = [];
  let tally: Tally;
  try {
    tally = await runTests({
      groups: isReal ? chunks(files, 1) : groupsOf(files),
      options,
      jobs: jobsOf(Deno.env.get("DENO_JOBS")) ?? (isReal ? REAL_JOBS : JOBS),
      env: { DROVER_TEST_BINARY: binary, TMPDIR: directory },
      signal: stop.signal,
    });
  } finally {
    left = await removeTestDirectory(directory);
  }
  if (left.length > 0) console.log(`The tests left behind, which counts as a failure: ${left.join(", ")}`);
  const failed = tally.failed + (left.length > 0 || stop.signal.aborted ? 1 : 0);
  console.log(`${tally.passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

/** `undefined` for what is no number of processes. */
function jobsOf(text: string | undefined): number | undefined {
  return /^[1-9]\d{0,2}$/.test(text ?? "") ? Number(text) : undefined;
}

if (import.meta.main) await runScript(main);
