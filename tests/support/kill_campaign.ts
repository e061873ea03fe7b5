/** A team server and a machine's daemon, both killed again and again while they work: what became of each task, and whether one ran twice at once. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { eventually, TestHome } from "./drover.ts";
import type { ProgramForm } from "./program.ts";

export interface CampaignOptions {
  readonly tasks: number;
  /** Between two kills, on average; the sides take turns. Milliseconds. */
  readonly everyMs: number;
  readonly random: () => number;
  /** Until every task is over. Milliseconds. */
  readonly limitMs: number;
}

export interface CampaignTally {
  readonly tasks: number;
  readonly completed: number;
  readonly failed: number;
  readonly attempts: number;
  readonly kills: { readonly server: number; readonly daemon: number };
}

const SETTLE_MS = 60_000;
const WORKSPACE = "kills";

// deno-lint-ignore no-explicit-any
type Json = any;

/** `drover serve` on a port that it keeps over its lives. */
class Server {
  readonly #home: TestHome;
  #child: Deno.ChildProcess | undefined;
  #port = 0;
  token = "";

  constructor(home: TestHome) {
    this.#home = home;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get #data(): string {
    return join(this.#home.root, "data");
  }

  async begin(): Promise<void> {
    const args = ["token", "create", "alice", "--workspace", WORKSPACE, "--data", this.#data];
    const { code, stdout, stderr } = await this.#home.drover(args);
    assertEquals(code, 0, stderr);
    this.token = stdout.trim();
    await this.start();
  }

  async start(): Promise<void> {
    const child = this.#home.spawn(["serve", "--listen", `127.0.0.1:${this.#port}`, "--data", this.#data], {
      stdout: "null",
    });
    this.#child = child;
    let said = "";
    const reading = (async () => {
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) said += text;
    })();
    reading.catch(() => {});
    const port = () => /http:\/\/127\.0\.0\.1:(\d+)/.exec(said)?.[1];
    await eventually(() => port() !== undefined, `the server listens: ${said}`);
    this.#port = Number(port());
  }

  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#child?.status;
  }

  async stop(): Promise<void> {
    this.#child?.kill("SIGTERM");
    await this.#child?.status;
  }

  async call(method: string, path: string, body?: unknown): Promise<Json> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} was answered with ${response.status}: ${text}`);
    return JSON.parse(text);
  }

  /** The same, also while the server is down for a moment. A task that was perhaps submitted is not submitted again. */
  async ask(path: string): Promise<Json> {
    let answer: Json;
    await eventually(async () => {
      answer = await this.call("GET", path).catch(() => undefined);
      return answer !== undefined;
    }, `the server answers ${path}`);
    return answer;
  }
}

/**
 * An agent CLI that works for a moment and notes when it meets itself: another process that still lives and works on the same
 * task.
 */
function agentScript(notes: string): string {
  return `[ "$1" = --version ] && { echo "llm, version 1.0.0"; exit; }
name=$(echo "$* $(cat)" | grep -o 'task-[0-9]*' | head -n 1)
lock='${notes}'/"$name"
other=$(cat "$lock" 2>/dev/null)
[ -n "$other" ] && kill -0 "$other" 2>/dev/null && echo "$name $other $$" >> '${notes}/twice'
echo $$ > "$lock"
sleep 0.3
rm -f "$lock"
echo "$name" >> '${notes}/ended'
echo "$name is done"`;
}

/** Plays the campaign; throws when a task was lost, ended twice, or ran twice at once. */
export async function killBothSides(form: ProgramForm, options: CampaignOptions): Promise<CampaignTally> {
  await using there = await TestHome.create(form);
  await using here = await TestHome.create(form);
  const server = new Server(there);
  await server.begin();
  const notes = join(here.root, "notes");
  await Deno.mkdir(notes);
  await here.script("llm", agentScript(notes));
  const login = await here.drover(["login", "--server", server.url, "--token", "-"], { stdin: `${server.token}\n` });
  assertEquals(login.code, 0, login.stderr);
  const enable = await here.drover(["enable", "remote", "--workspace", WORKSPACE, "--policy", "full", "--yes"]);
  assertEquals(enable.code, 0, enable.stderr);
  let daemon = await here.daemon();
  const agent = async () => {
    const agents = (await server.ask("/v1/agents")).agents as { name: string; status: string }[];
    return agents.find(({ name, status }) => name === "llm" && status === "online");
  };
  await eventually(async () => await agent() !== undefined, "the agent is online");

  const kills = { server: 0, daemon: 0 };
  const submitted: string[] = [];
  const submitting = (async () => {
    for (let n = 0; n < options.tasks; n++) {
      const body = { prompt: `Do task-${n}`, agent: "llm", directory: { mode: "scratch" }, permission: "full" };
      // One that was answered with nothing may be there or not: it is found in the list at the end.
      const task = await server.call("POST", "/v1/tasks", body).catch(() => undefined);
      if (task) submitted.push(task.id);
      await pause(options.everyMs / 4);
    }
  })();
  const until = performance.now() + options.limitMs;
  let over = false;
  void submitting.then(() => over = true);
  const open = async () => (await server.ask("/v1/tasks?status=queued,deferred,dispatched,running&limit=1000")).tasks;
  while (!over || (await open()).length > 0) {
    assert(performance.now() < until, `never over: ${JSON.stringify((await open()).slice(0, 3))}`);
    await pause(options.everyMs * (0.5 + options.random()));
    if (kills.server <= kills.daemon) {
      await server.kill();
      kills.server++;
      await server.start();
    } else {
      await daemon.kill();
      kills.daemon++;
      daemon = await here.daemon();
    }
    // From now on both are left alone, or tasks that need longer than a life would never be over.
    if (over && kills.server > 1 && kills.daemon > 1) {
      await eventually(async () => (await open()).length === 0, "all tasks are over", options.limitMs);
    }
  }
  await eventually(async () => (await here.seen())?.outbox?.waiting === 0, "all is delivered", SETTLE_MS);

  const tasks: Json[] = (await server.ask("/v1/tasks?limit=1000")).tasks;
  const byId = new Map(tasks.map((task) => [task.id, task]));
  for (const id of submitted) assert(byId.has(id), `task ${id} was lost`);
  let [completed, failed] = [0, 0];
  for (const first of tasks.filter(({ retry_of }) => retry_of === null)) {
    let last = first;
    while (last.retried_by !== null) last = byId.get(last.retried_by);
    const done = tasks.filter(({ thread_id, status }) => thread_id === first.thread_id && status === "completed");
    assert(done.length <= 1, `${first.prompt} was completed ${done.length} times`);
    if (last.status === "completed") completed++;
    else {
      failed++;
      assertEquals(
        [last.status, last.failure_reason],
        ["failed", "runtime_recovery"],
        `${first.prompt}: ${last.error}`,
      );
      assertEquals(last.attempt, last.max_attempts, `${first.prompt} was given up too early`);
    }
  }
  const twice = await Deno.readTextFile(join(notes, "twice")).catch(() => "");
  assertEquals(twice, "", "two processes worked on one task");
  await daemon.stop();
  await server.stop();
  await Promise.all([here.assertNoProcessLeft(), there.assertNoProcessLeft()]);
  return { tasks: completed + failed, completed, failed, attempts: tasks.length, kills };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
