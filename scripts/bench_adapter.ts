/** Measures one adapter: a real child prints a prepared transcript, and its messages are counted as they come out. */
import { join } from "@std/path";
import { claudeStreamJson } from "../lib/agents/claude_stream_json.ts";
import { createClock } from "../lib/host/clock.ts";
import { createProcesses } from "../lib/host/process.ts";
import { runScript } from "./command.ts";
import { transcriptOf } from "./transcript.ts";

const MESSAGES = 400_000;

/** Messages per second from the start of the process to the outcome. */
export async function benchAdapter(): Promise<{ name: string; perSecond: number }[]> {
  const folder = await Deno.makeTempDir({ prefix: "drover-bench-" });
  try {
    const path = join(folder, "transcript.jsonl");
    await Deno.writeTextFile(path, transcriptOf(MESSAGES));
    const from = performance.now();
    const child = createProcesses({ clock: createClock() }).spawn({
      executable: "/bin/cat",
      args: [path],
      cwd: folder,
      env: {},
      stdin: "pipe",
      mark: "bench",
    });
    const { stdin, stdout, exit } = child;
    const task = { id: "bench", prompt: "go", cwd: folder, permission: "full", newSession: "" } as const;
    const ask = () => Promise.resolve({ allow: false, why: "" });
    const io = { stdin, stdout, exit, stderrTail: () => child.stderrTail(), clock: createClock(), ask };
    const session = claudeStreamJson.run(io, task, new AbortController().signal);
    let count = 0;
    for await (const message of session.messages) if (message.kind.startsWith("tool")) count++;
    const { kind } = await session.outcome;
    const seconds = (performance.now() - from) / 1_000;
    await child.stop();
    if (count !== MESSAGES || kind !== "completed") throw new Error(`Measuring the adapter failed: ${count}, ${kind}`);
    return [{ name: "messages through the claude stream-json adapter, from a child", perSecond: count / seconds }];
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  await runScript(async () => {
    for (const { name, perSecond } of await benchAdapter()) {
      console.log(`${name}: ${Math.round(perSecond).toLocaleString("en")} per s`);
    }
    return 0;
  });
}
