/** Measures how fast JSON lines of a real child process are read, split and parsed. */
import { readLines } from "../lib/agents/ndjson.ts";
import { createClock } from "../lib/host/clock.ts";
import { createProcesses } from "../lib/host/process.ts";

const LINES = 2_000_000;
const ROUNDS = 3;

/** The best of a few rounds: the others measure what else the machine does. */
export async function benchNdjson(): Promise<{ name: string; perSecond: number }[]> {
  const results: { name: string; perSecond: number }[] = [];
  for (const bytes of [100, 200]) {
    let best = 0;
    for (let round = 0; round < ROUNDS; round++) best = Math.max(best, await measure(bytes));
    results.push({ name: `JSON lines of ${bytes} bytes from a child`, perSecond: Math.round(best) });
  }
  return results;
}

async function measure(bytes: number): Promise<number> {
  const processes = createProcesses({ clock: createClock() });
  const line = JSON.stringify({ type: "assistant", n: 1, text: "" });
  const filled = JSON.stringify({ type: "assistant", n: 1, text: "x".repeat(bytes - 1 - line.length) });
  const child = processes.spawn({
    executable: "/bin/sh",
    args: ["-c", `yes "$LINE" | head -n ${LINES}`],
    cwd: "/",
    env: { PATH: "/usr/bin:/bin", LINE: filled },
    stdin: "null",
    mark: `bench-${crypto.randomUUID()}`,
  });
  const start = performance.now();
  let sum = 0;
  for await (const lines of readLines(child.stdout)) {
    for (const text of lines) if (typeof text === "string") sum += JSON.parse(text).n;
  }
  const seconds = (performance.now() - start) / 1000;
  await child.stop();
  if (sum !== LINES) throw new Error(`Reading ${LINES} lines gave ${sum}`);
  return LINES / seconds;
}

if (import.meta.main) {
  for (const { name, perSecond } of await benchNdjson()) {
    console.log(`${name}: ${perSecond.toLocaleString("en")} per s`);
  }
}
