/** Measures every adapter: a real child prints a prepared transcript, and its messages are counted as they come out. */
import { join } from "@std/path";
import type { Session } from "../lib/agents/backend.ts";
import { readLines } from "../lib/agents/ndjson.ts";
import { backendFor } from "../lib/agents/registry.ts";
import type { Child } from "../lib/core/ports.ts";
import { createClock } from "../lib/host/clock.ts";
import { createProcesses } from "../lib/host/process.ts";
import { runScript } from "./command.ts";
import { plainTranscriptOf, SPEECHES, transcriptOf } from "./transcript.ts";

const MESSAGES = 200_000;
const ROUNDS = 3;

/** Of one provider each; the last one has no protocol. */
const PROVIDERS = [...Object.keys(SPEECHES), "llm"];

interface Round {
  readonly seconds: number;
  /** Growth of resident memory, at its highest against the beginning. */
  readonly grownMb: number;
}

/** A fresh process for each measurement: in one that did others before, memory does not grow any more. */
async function inProcess(provider: string, kind: "lines" | "adapter", path: string): Promise<Round> {
  const command = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--allow-all", "--quiet", "--v8-flags=--max-old-space-size=256,--max-semi-space-size=4"],
      ...[import.meta.filename!, provider, kind, path],
    ],
    stderr: "inherit",
  });
  const { success, stdout } = await command.output();
  if (!success) throw new Error(`Measuring ${kind} of ${provider} failed`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

async function measured(path: string, take: (child: Child) => Promise<number>): Promise<Round> {
  const processes = createProcesses({ clock: createClock() });
  const base = { cwd: "/", env: {}, stdin: "pipe", mark: `bench-${crypto.randomUUID()}` } as const;
  const before = Deno.memoryUsage().rss;
  let peak = before;
  const timer = setInterval(() => peak = Math.max(peak, Deno.memoryUsage().rss), 20);
  const from = performance.now();
  const child = processes.spawn({ executable: "/bin/cat", args: [path], ...base });
  const count = await take(child);
  const seconds = (performance.now() - from) / 1_000;
  clearInterval(timer);
  await child.stop();
  if (count < MESSAGES) throw new Error(`Measuring failed: ${count} of ${MESSAGES} came`);
  return { seconds, grownMb: (Math.max(peak, Deno.memoryUsage().rss) - before) / 1024 / 1024 };
}

/** The baseline: the same bytes, split into lines. */
async function readOnly(child: Child): Promise<number> {
  let count = 0;
  for await (const lines of readLines(child.stdout)) count += lines.length;
  return count;
}

async function throughAdapter(provider: string, child: Child): Promise<number> {
  const { stdin, stdout, exit } = child;
  const task = { id: "bench", prompt: "go", cwd: "/", permission: "full", newSession: "bench" } as const;
  const ask = () => Promise.resolve({ allow: false, why: "" });
  const io = { stdin, stdout, exit, stderrTail: () => child.stderrTail(), clock: createClock(), ask };
  const session: Session = backendFor(provider).run(io, task, new AbortController().signal);
  let count = 0;
  for await (const { kind } of session.messages) if (kind !== "session" && kind !== "usage") count++;
  const outcome = await session.outcome;
  if (outcome.kind !== "completed") throw new Error(`Measuring ${provider} failed: ${outcome.detail}`);
  return count;
}

/** The best of a few rounds, each with its baseline beside it: the others measure what else the machine does. */
async function benchProvider(provider: string, folder: string): Promise<string> {
  const path = join(folder, `${provider}.jsonl`);
  const speech = SPEECHES[provider];
  await Deno.writeTextFile(path, speech ? transcriptOf(MESSAGES, speech) : plainTranscriptOf(MESSAGES));
  const rounds: { lines: Round; adapter: Round }[] = [];
  for (let n = 0; n < ROUNDS; n++) {
    const lines = await inProcess(provider, "lines", path);
    rounds.push({ lines, adapter: await inProcess(provider, "adapter", path) });
  }
  await Deno.remove(path);
  const least = (kind: "lines" | "adapter", field: keyof Round) =>
    Math.min(...rounds.map((round) => round[kind][field]));
  const rate = (seconds: number) => Math.round(MESSAGES / seconds).toLocaleString("en");
  const ratio = least("adapter", "seconds") / least("lines", "seconds");
  return `${rate(least("adapter", "seconds"))} messages per s, ${ratio.toFixed(1)} × the time of its lines alone ` +
    `(${rate(least("lines", "seconds"))} per s); memory grew by ${least("adapter", "grownMb").toFixed(0)} MB, ` +
    `with the lines alone by ${least("lines", "grownMb").toFixed(0)} MB`;
}

async function main(): Promise<number> {
  const folder = await Deno.makeTempDir({ prefix: "drover-bench-" });
  try {
    console.log(`\nadapters, from source, ${MESSAGES.toLocaleString("en")} messages of a child, best of ${ROUNDS}`);
    for (const provider of PROVIDERS) {
      const { family } = backendFor(provider);
      console.log(`  ${family} as ${provider} speaks it: ${await benchProvider(provider, folder)}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return 0;
}

if (import.meta.main) {
  const [provider, kind, path] = Deno.args;
  if (provider && path) {
    const take = kind === "lines" ? readOnly : (child: Child) => throughAdapter(provider, child);
    console.log(JSON.stringify(await measured(path, take)));
  } else await runScript(main);
}
