/** Measures the running program: start to registered, enqueue to agent started, messages through the whole pipe, idle cost. */
import { join } from "@std/path";
import { runScript } from "./command.ts";
import { compileScript, spread } from "./measure.ts";
import { transcriptOf } from "./transcript.ts";
import { programForms } from "../tests/support/program.ts";
import { eventually, TestHome } from "../tests/support/drover.ts";

const STARTS = 15;
const TASKS = 20;
const PIPE_MESSAGES = 200_000;
/** The collector tidies up after the start for some seconds. */
const SETTLE_MS = 20_000;
const IDLE_MS = 30_000;

interface Measured {
  readonly name: string;
  readonly value: string;
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** From spawning the process to the line it prints when its runtimes are registered and it claims. */
async function startToRegistered(form: ReturnType<typeof programForms>[number]): Promise<Measured> {
  const times: number[] = [];
  await using home = await TestHome.create(form);
  for (let i = 0; i < STARTS; i++) {
    const from = performance.now();
    const daemon = await home.daemon();
    times.push(performance.now() - from);
    await daemon.stop();
  }
  return { name: "start to registered", value: spread(times, "ms") };
}

async function versionCommand(form: ReturnType<typeof programForms>[number]): Promise<Measured> {
  const times: number[] = [];
  await using home = await TestHome.create(form);
  for (let i = 0; i < STARTS; i++) {
    const from = performance.now();
    await home.drover(["version"]);
    times.push(performance.now() - from);
  }
  return { name: "drover version, whole command", value: spread(times, "ms") };
}

/** By the clock of the daemon: the task's creation in the database to the log line after the spawn. */
async function enqueueToSpawn(form: ReturnType<typeof programForms>[number]): Promise<Measured> {
  await using home = await TestHome.create(form);
  const daemon = await home.daemon();
  for (let i = 0; i < TASKS; i++) {
    await home.drover(["run", "--agent", "demo", "--scratch", "@demo:fast"]);
  }
  const { value } = await home.json(["tasks", "list", "--limit", "100"]);
  const log = (await home.log()).trim().split("\n").map((line) => JSON.parse(line));
  const times = value.tasks.map((task: { id: string; created_at: string }) => {
    const started = log.find((line) => line.message === "agent started" && line.task === task.id);
    return Date.parse(started["@timestamp"]) - Date.parse(task.created_at);
  });
  await daemon.stop();
  return { name: "enqueue to agent process started, idle", value: spread(times, "ms") };
}

/** A CLI that prints a prepared transcript at full speed; from its start to the task's completion. */
async function wholePipe(form: ReturnType<typeof programForms>[number]): Promise<Measured> {
  await using home = await TestHome.create(form);
  const transcript = join(home.root, "transcript.jsonl");
  await Deno.writeTextFile(transcript, transcriptOf(PIPE_MESSAGES));
  await home.script(
    "claude",
    `[ "$1" = --version ] && { echo "2.1.0 (Claude Code)"; exit 0; }\nexec cat ${transcript}`,
  );
  const daemon = await home.daemon();
  const { value } = await home.json(["run", "--agent", "claude", "--scratch", "go"]);
  const ms = Date.parse(value.task.completed_at) - Date.parse(value.task.started_at);
  if (value.messages.length !== PIPE_MESSAGES) {
    throw new Error(`Measuring the pipe failed: ${value.messages.length} messages came`);
  }
  const rss = await memoryOf(daemon.pid);
  await daemon.stop();
  return {
    name: `messages through the whole pipe (${PIPE_MESSAGES.toLocaleString("en")}, each a tool use or result)`,
    value: `${Math.round(PIPE_MESSAGES / ms * 1000).toLocaleString("en")} per s; resident afterwards ${
      rss.toFixed(0)
    } MB`,
  };
}

async function memoryOf(pid: number): Promise<number> {
  const found = /VmRSS:\s+(\d+) kB/.exec(await Deno.readTextFile(`/proc/${pid}/status`));
  return Number(found?.[1] ?? 0) / 1024;
}

/** CPU time of all threads so far, in ms. */
async function cpuOf(pid: number): Promise<number> {
  let nanoseconds = 0;
  for await (const thread of Deno.readDir(`/proc/${pid}/task`)) {
    const text = await Deno.readTextFile(`/proc/${pid}/task/${thread.name}/schedstat`).catch(() => "0");
    nanoseconds += Number(text.split(" ")[0]);
  }
  return nanoseconds / 1e6;
}

async function idleOf(pid: number): Promise<string> {
  await pause(SETTLE_MS);
  const before = await cpuOf(pid);
  const from = performance.now();
  await pause(IDLE_MS);
  const percent = (await cpuOf(pid) - before) / (performance.now() - from) * 100;
  return `${percent.toFixed(3)} % CPU over ${IDLE_MS / 1000} s, ${(await memoryOf(pid)).toFixed(0)} MB resident`;
}

async function idleDaemon(form: ReturnType<typeof programForms>[number]): Promise<Measured> {
  await using home = await TestHome.create(form);
  const daemon = await home.daemon();
  const value = await idleOf(daemon.pid);
  await daemon.stop();
  return { name: "idle daemon", value };
}

const EMPTY =
  `Deno.serve({ path: Deno.args[0], onListen() {} }, () => new Response("ok")); setInterval(() => {}, 1000);`;

/** The baseline for memory: a server on a Unix socket and a timer, in the same form as the program. */
async function idleBaseline(kind: "source" | "compiled"): Promise<Measured> {
  const folder = await Deno.makeTempDir({ prefix: "drover-bench-" });
  const source = join(folder, "empty.ts");
  await Deno.writeTextFile(source, EMPTY);
  const argv = kind === "source"
    ? [Deno.execPath(), "run", "-A", "--quiet", source]
    : [await compileScript(folder, { name: "empty", source: EMPTY })];
  const child = new Deno.Command(argv[0]!, { args: [...argv.slice(1), join(folder, "s.sock")] }).spawn();
  try {
    await eventually(
      () => Deno.stat(join(folder, "s.sock")).then(() => true, () => false),
      "the empty program listens",
    );
    return { name: "idle empty program with a server and a timer", value: await idleOf(child.pid) };
  } finally {
    child.kill("SIGKILL");
    await child.status;
    await Deno.remove(folder, { recursive: true });
  }
}

async function main(): Promise<number> {
  for (const form of programForms()) {
    console.log(`\n${form.kind}`);
    const measures = [
      () => versionCommand(form),
      () => startToRegistered(form),
      () => enqueueToSpawn(form),
      () => wholePipe(form),
      () => idleBaseline(form.kind),
      () => idleDaemon(form),
    ];
    for (const measure of measures) {
      const { name, value } = await measure();
      console.log(`  ${name}: ${value}`);
    }
  }
  return 0;
}

if (import.meta.main) await runScript(main);
