/** Measures eight agents at once in the compiled daemon, each writing long lines at full speed: peak memory, speed, and that all of it arrives in order. */
import { join } from "@std/path";
import { DatabaseSync } from "node:sqlite";
import { reachSocket } from "../lib/app/control_client.ts";
import { createHost } from "../lib/host/host.ts";
import { type RunningDaemon, TestHome } from "../tests/support/drover.ts";
import { compiledForm } from "../tests/support/program.ts";
import { runScript } from "./command.ts";

/** Two CLIs that speak the same lines: the agent of one runs at most six tasks at once. */
const AGENTS = ["claude", "amp"];
const TASKS_EACH = 4;
/** Of each agent; LINES=20000 writes 3.2 GB in all and takes some minutes. */
const LINES = Number(Deno.env.get("LINES") ?? 4_000);
const LINE_BYTES = 20_000;
const LIMIT_MS = 1_800_000;
const LOOK_MS = 500;

const WORKLOADS = {
  /** Nothing of it is cut, and the answer that ends the run would be all of it. */
  "texts": `{"type":"assistant","message":{"content":[{"type":"text","text":"@ PAD"}]}}`,
  /** The result of a tool is cut to 8 KiB before it is kept. */
  "tool results":
    `{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"@ PAD"}]}}`,
} as const;

type Workload = keyof typeof WORKLOADS;

/** Ordinary prose: with spaces, as the search for secrets looks at words. */
const WORDS = "what an agent has to say about the files that it has read ";

/** A shell script that numbers its lines; awk makes them far faster than anybody takes them. */
function agentScript(workload: Workload): string {
  const [before, after] = WORKLOADS[workload].replace("PAD", "\x00").split("@") as [string, string];
  const [between, end] = after.split("\x00") as [string, string];
  const size = LINE_BYTES - before.length - after.length - 12;
  const quote = (text: string) => `"${text.replaceAll('"', '\\"')}"`;
  const init = `{"type":"system","subtype":"init","session_id":"bench","tools":[]}`;
  const result = `{"type":"result","subtype":"success","is_error":false,"result":"done","session_id":"bench"}`;
  return `[ "$1" = --version ] && { echo "2.1.0 (Claude Code)"; exit 0; }
exec awk 'BEGIN {
  pad = ${quote(WORDS)}; while (length(pad) < ${size}) pad = pad pad; pad = substr(pad, 1, ${size})
  print ${quote(init)}
  for (n = 1; n <= ${LINES}; n++) print ${quote(before)} "#" n "#" ${quote(between)} pad ${quote(end)}
  print ${quote(result)}
}'`;
}

interface Memory {
  readonly peakMb: number;
  /** Without what the kernel maps of files, such as the program itself. */
  readonly ownPeakMb: number;
}

/** The kernel keeps the peak itself, so that no sample can miss it; of its anonymous part there are only samples. */
async function watchMemory(pid: number, until: Promise<unknown>): Promise<Memory> {
  let ownPeakMb = 0;
  let over = false;
  until.finally(() => over = true).catch(() => {});
  const field = (text: string, name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(text)?.[1]) / 1024;
  for (;;) {
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    ownPeakMb = Math.max(ownPeakMb, field(status, "RssAnon"));
    if (over) return { peakMb: field(status, "VmHWM"), ownPeakMb };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function runTasks(home: TestHome, daemon: RunningDaemon): Promise<Memory & { seconds: number }> {
  const host = createHost();
  const { controlSocket } = JSON.parse(await Deno.readTextFile(join(home.home, "daemon.json")));
  const reached = await reachSocket(host, controlSocket);
  if (reached.kind !== "answers") throw new Error(`Measuring failed: the daemon is ${reached.kind}`);
  using control = reached.connection;
  const from = performance.now();
  for (let n = 0; n < TASKS_EACH; n++) {
    for (const agent of AGENTS) {
      await control.createTask({ agent, prompt: "go", directory: { mode: "scratch" }, permission: "full" });
    }
  }
  const ended = async () => {
    const tasks = await control.listTasks({ limit: 100 });
    const failed = tasks.find(({ status }) => status === "failed" || status === "cancelled");
    if (failed) throw new Error(`Measuring failed: a task ended with ${JSON.stringify(failed)}`);
    return tasks.filter(({ status }) => status === "completed").length === TASKS_EACH * AGENTS.length;
  };
  // Not more often: answering takes time and memory of the daemon, too.
  const completion = async () => {
    while (!(await ended())) {
      if (performance.now() - from > LIMIT_MS) throw new Error(`Measuring failed: not done within ${LIMIT_MS} ms`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  };
  const done = completion();
  const memory = await watchMemory(daemon.pid, done);
  await done;
  return { ...memory, seconds: (performance.now() - from) / 1000 };
}

/** Looks at what was stored: every line of every agent once, in the order it was written. */
function checkOrder(home: TestHome): { messages: number; mb: number } {
  using db = new DatabaseSync(join(home.home, "coordinator.db"), { readOnly: true });
  const tasks = db.prepare("SELECT id FROM tasks").all() as { id: string }[];
  const rows = db.prepare(
    "SELECT coalesce(content, '') || coalesce(output, '') AS text FROM messages WHERE task_id = ? ORDER BY seq",
  );
  let [messages, chars] = [0, 0];
  for (const { id } of tasks) {
    let last = 0;
    for (const row of rows.iterate(id)) {
      const text = String(row.text);
      messages++;
      chars += text.length;
      for (const [, number] of text.matchAll(/#(\d+)#/g)) {
        if (Number(number) !== ++last) throw new Error(`Measuring failed: line ${number} came in the place of ${last}`);
      }
    }
    if (last !== LINES) throw new Error(`Measuring failed: ${last} of ${LINES} lines of task ${id} were stored`);
  }
  return { messages, mb: chars / 1e6 };
}

async function measure(workload: Workload): Promise<void> {
  const [form] = compiledForm();
  await using home = await TestHome.create(form!);
  for (const agent of AGENTS) await home.script(agent, agentScript(workload));
  const daemon = await home.daemon({ args: ["--max-concurrent-tasks", String(TASKS_EACH * AGENTS.length)] });
  const { seconds, peakMb, ownPeakMb } = await runTasks(home, daemon);
  await daemon.stop();
  const { messages, mb } = checkOrder(home);
  const lines = LINES * TASKS_EACH * AGENTS.length;
  console.log(
    `  ${workload}: peak ${peakMb.toFixed(0)} MB resident (${ownPeakMb.toFixed(0)} MB without mapped files); ` +
      `${Math.round(lines / seconds).toLocaleString("en")} lines per s, ${
        (lines * LINE_BYTES / seconds / 1e6).toFixed(0)
      } MB/s; ` +
      `all in order, ${messages.toLocaleString("en")} messages of ${mb.toFixed(0)} MB stored, ` +
      `${Math.round(messages / seconds).toLocaleString("en")} messages per s`,
  );
}

async function main(): Promise<number> {
  const count = TASKS_EACH * AGENTS.length;
  console.log(`\n${count} agents at once, compiled, each ${LINES.toLocaleString("en")} lines of ${LINE_BYTES} bytes`);
  for (const workload of Object.keys(WORKLOADS) as Workload[]) await measure(workload);
  return 0;
}

if (import.meta.main) await runScript(main);
