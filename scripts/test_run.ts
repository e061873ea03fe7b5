/** Runs test files in several `deno test` at once, a few files each, and adds up what they say. */
import { ROOT } from "./project.ts";

/** How many tests passed and failed, how many steps they had, and how many were left out. */
export interface Tally {
  readonly passed: number;
  readonly steps: number;
  readonly failed: number;
  readonly ignored: number;
}

export interface TestRun {
  /** The files of one process each; they begin in this order. */
  readonly groups: readonly (readonly string[])[];
  /** For every one of the processes. */
  readonly options?: readonly string[];
  readonly jobs: number;
  readonly env?: Record<string, string>;
  readonly signal?: AbortSignal;
}

export const NOTHING: Tally = { passed: 0, steps: 0, failed: 0, ignored: 0 };
/** Whoever looks on is told which tests these are. */
const LATE_MS = 5 * 60_000;
const REST_MS = 5_000;
const FAIL_FAST = /^--fail-fast(=|$)/;

/** From the last summary line of `deno test`; undefined when there is none, as after a crash. */
export function readTally(output: string): Tally | undefined {
  const last = [...plain(output).matchAll(/^(?:ok|FAILED) \| (\d+) passed(.*?) \| (\d+) failed(.*)/gm)].at(-1);
  if (!last) return undefined;
  const [, passed, steps, failed, rest] = last;
  const numberIn = (text: string | undefined, pattern: RegExp) => Number(pattern.exec(text ?? "")?.[1] ?? 0);
  return {
    passed: Number(passed),
    steps: numberIn(steps, /\((\d+) steps?\)/),
    failed: Number(failed),
    ignored: numberIn(rest, /\| (\d+) ignored/),
  };
}

/** What the runtime tells of failures at the end of its output; the whole of it when it came to no end. */
export function failuresIn(output: string): string {
  const lines = plain(output).split("\n");
  const from = lines.lastIndexOf(" ERRORS ");
  return lines.slice(Math.max(0, from)).join("\n").trim();
}

/**
 * Processes instead of the threads of `--parallel`: to start another process copies the memory of the one that does, and
 * one with all the tests in it has a lot. Prints the output of each when it has ended, and all failures once more at the end.
 * When the signal aborts it ends those that run, which counts as a failure of each.
 */
export async function runTests({ groups, options = [], jobs, env = {}, signal }: TestRun): Promise<Tally> {
  const from = performance.now();
  const waiting = [...groups];
  const failures: string[] = [];
  let tally = NOTHING;
  const work = async () => {
    for (let group = waiting.shift(); group && !signal?.aborted; group = waiting.shift()) {
      const output = await testsOf(group, options, { env, signal });
      await print(output.text);
      tally = sum(tally, output.tally);
      if (output.tally.failed === 0) continue;
      failures.push(failuresIn(output.text));
      if (options.some((option) => FAIL_FAST.test(option))) waiting.length = 0;
    }
  };
  await Promise.all(Array.from({ length: Math.min(jobs, groups.length) }, work));
  for (const failure of failures) await print(`\n${failure}\n`);
  const { passed, steps, failed, ignored } = tally;
  const seconds = Math.round((performance.now() - from) / 1000);
  const took = `${Math.floor(seconds / 60)}m${seconds % 60}s`;
  await print(
    `\n${
      failed === 0 ? "ok" : "FAILED"
    } | ${passed} passed (${steps} steps) | ${failed} failed | ${ignored} ignored (${took})\n`,
  );
  return tally;
}

/** What ends without a summary, or fails beside its tests, counts as one failure. */
async function testsOf(
  files: readonly string[],
  options: readonly string[],
  { env, signal }: Pick<TestRun, "env" | "signal">,
): Promise<{ text: string; tally: Tally }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "--allow-all", "--no-check", "--sanitize-ops", "--sanitize-resources", ...options, ...files],
    cwd: ROOT,
    // Coloured as if there were no pipe in between.
    env: { ...env, ...(Deno.stdout.isTerminal() ? { FORCE_COLOR: "1" } : {}) },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  const late = setTimeout(() => {
    console.error(`Still at it after ${LATE_MS / 60_000} minutes: ${files.join(" ")}\n${stdout.text()}`);
  }, LATE_MS);
  const end = () => child.kill("SIGTERM");
  signal?.addEventListener("abort", end, { once: true });
  const { code, success } = await child.status;
  signal?.removeEventListener("abort", end);
  clearTimeout(late);
  // A process that a test has left may hold them open.
  await Promise.all([stdout.end(), stderr.end()]);
  const said = readTally(stdout.text());
  if (success && said) return { text: stdout.text(), tally: said };
  const note = said ? "" : `The tests of ${files.join(" ")} ended with code ${code} and no summary\n`;
  const tally = said && said.failed > 0 ? said : sum(said ?? NOTHING, { ...NOTHING, failed: 1 });
  return { text: stdout.text() + stderr.text() + note, tally };
}

/** What comes out of a stream; `end` waits for the rest of it, for a moment. */
function collect(stream: ReadableStream<Uint8Array>): { text: () => string; end: () => Promise<void> } {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  const reading = (async () => {
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      text += decoder.decode(value, { stream: true });
    }
  })();
  return {
    text: () => text,
    async end() {
      const enough = setTimeout(() => void reader.cancel(), REST_MS);
      await reading;
      clearTimeout(enough);
    },
  };
}

function sum(one: Tally, other: Tally): Tally {
  return {
    passed: one.passed + other.passed,
    steps: one.steps + other.steps,
    failed: one.failed + other.failed,
    ignored: one.ignored + other.ignored,
  };
}

function plain(output: string): string {
  // deno-lint-ignore no-control-regex
  return output.replace(/\x1b\[[0-9;]*m/g, "");
}

async function print(text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}
