/** Measures one coordinator process under fleets of simulated daemons: heartbeats and claims over the WebSocket, latency, CPU and memory. */
import { join } from "@std/path";
import { median } from "./measure.ts";
import { BINARY } from "./project.ts";
import { runScript } from "./command.ts";
import { eventually } from "../tests/support/drover.ts";

const RUNTIMES = 10;
/** The interval of the real daemon. */
const BEAT_MS = 15_000;
const TASKS_PER_SECOND = 20;
const MEASURED_MS = Number(Deno.env.get("DROVER_BENCH_FLEET_SECONDS") ?? 45) * 1_000;
/** Registrations under way at once: a fleet does not come all in one moment, nor one by one. */
const AT_ONCE = 32;
const FLEETS = [10, 100, 1_000];
const CLOCK_TICKS = 100;

// deno-lint-ignore no-explicit-any
type Json = any;

const pause = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms));

interface Server extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  readonly token: string;
}

/** `drover serve` as people run it, with a token of one user. */
async function serve(): Promise<Server> {
  const home = await Deno.makeTempDir({ prefix: "drover-fleet-" });
  const env = { DROVER_HOME: join(home, "home"), HOME: home };
  const data = join(home, "data");
  const created = await new Deno.Command(BINARY, {
    args: ["token", "create", "fleet", "--workspace", "fleet", "--data", data],
    env,
    stdout: "piped",
    stderr: "null",
  }).output();
  const token = new TextDecoder().decode(created.stdout).trim();
  const child = new Deno.Command(BINARY, {
    args: ["serve", "--listen", "127.0.0.1:0", "--data", data],
    env,
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const lines = child.stderr.pipeThrough(new TextDecoderStream());
  let said = "";
  const reading = (async () => {
    for await (const text of lines) said += text;
  })();
  const address = () => /http:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0];
  await eventually(() => address() !== undefined, "the server listens");
  return {
    url: address()!,
    token,
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
      await reading;
      await Deno.remove(home, { recursive: true });
    },
  };
}

/** What the daemons of a fleet have in common, and what is counted of them. */
class Fleet {
  readonly claimMs: number[] = [];
  readonly waitMs: number[] = [];
  readonly beatMs: number[] = [];
  /** When, by issue. */
  readonly submitted = new Map<string, number>();
  readonly claimed = new Map<string, number>();
  beats = 0;
  ended = 0;
  readonly stop = new AbortController();

  constructor(readonly server: Server) {}

  async call(method: string, path: string, body?: unknown): Promise<Json> {
    const response = await fetch(`${this.server.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.server.token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} failed with ${response.status}: ${text}`);
    return text ? JSON.parse(text) : undefined;
  }
}

/** One daemon as the server sees it: registered, connected, beating, claiming on a hint, ending each task at once. */
class Daemon {
  readonly #fleet: Fleet;
  readonly #id: string;
  #runtimes: string[] = [];
  #socket: WebSocket | undefined;
  readonly #calls = new Map<string, (body: Json) => void>();
  readonly #sent = new Map<string, number>();
  readonly #timers: ReturnType<typeof setTimeout>[] = [];
  #asked = 0;
  #claiming = false;
  #again = false;

  constructor(fleet: Fleet, index: number) {
    this.#fleet = fleet;
    this.#id = `fleet-${index}`;
  }

  async connect(workspace: string): Promise<void> {
    const { runtimes } = await this.#fleet.call("POST", "/api/daemon/register", {
      workspace_id: workspace,
      daemon_id: this.#id,
      device_name: this.#id,
      runtimes: Array.from({ length: RUNTIMES }, (_, n) => ({ type: `cli${n}`, version: "1.0.0", status: "online" })),
    });
    this.#runtimes = runtimes.map(({ id }: { id: string }) => id).sort();
    const { url, token } = this.#fleet.server;
    const address = `${url.replace("http", "ws")}/api/daemon/ws?runtime_ids=${this.#runtimes.join(",")}`;
    const socket = new WebSocket(address, { headers: { authorization: `Bearer ${token}` } } as unknown as string[]);
    socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    await new Promise<void>((resolve, reject) => {
      socket.onopen = () => resolve();
      socket.onerror = (event) => reject(new Error(`Connecting ${this.#id} failed: ${(event as ErrorEvent).message}`));
    });
    this.#socket = socket;
    for (const [at, id] of this.#runtimes.entries()) {
      const offset = Math.random() * BEAT_MS / RUNTIMES + at * BEAT_MS / RUNTIMES;
      this.#timers.push(setTimeout(() => {
        this.#beat(id);
        this.#timers.push(setInterval(() => this.#beat(id), BEAT_MS));
      }, offset));
    }
  }

  close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    const socket = this.#socket;
    if (!socket || socket.readyState === WebSocket.CLOSED) return Promise.resolve();
    return new Promise((resolve) => {
      socket.onclose = () => resolve();
      socket.close();
    });
  }

  #send(type: string, payload: unknown): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type, payload }));
  }

  #beat(runtime: string): void {
    this.#sent.set(runtime, performance.now());
    this.#send("daemon:heartbeat", { runtime_id: runtime, supports_batch_import: true });
  }

  #hear({ type, payload }: { type: string; payload: Json }): void {
    if (type === "daemon:heartbeat_ack") {
      this.#fleet.beats++;
      const sent = this.#sent.get(payload.runtime_id);
      if (sent !== undefined) this.#fleet.beatMs.push(performance.now() - sent);
    } else if (type === "daemon:task_available") void this.#claim();
    else if (type === "daemon:rpc_response") this.#calls.get(payload.request_id)?.(payload);
  }

  async #claim(): Promise<void> {
    this.#again = true;
    if (this.#claiming) return;
    this.#claiming = true;
    try {
      while (this.#again && !this.#fleet.stop.signal.aborted) {
        this.#again = false;
        const from = performance.now();
        const request_id = `${this.#id}-${++this.#asked}`;
        const answer = new Promise<Json>((resolve) => this.#calls.set(request_id, resolve));
        const body = { daemon_id: this.#id, runtime_ids: this.#runtimes, max_tasks: 4 };
        this.#send("daemon:rpc_request", { request_id, method: "tasks.claim", body, timeout_ms: 5_000 });
        const { status, body: given } = await answer;
        this.#calls.delete(request_id);
        this.#fleet.claimMs.push(performance.now() - from);
        if (status !== 200) throw new Error(`A claim was answered with ${status}`);
        for (const task of given.tasks) await this.#work(task);
        if (given.tasks.length > 0) this.#again = true;
      }
    } finally {
      this.#claiming = false;
    }
  }

  async #work({ id, issue_id }: { id: string; issue_id: string }): Promise<void> {
    this.#fleet.claimed.set(issue_id, performance.now());
    const path = `/api/daemon/tasks/${id}`;
    await this.#fleet.call("POST", `${path}/start`, {});
    await this.#fleet.call("POST", `${path}/messages`, { messages: [{ seq: 1, type: "text", content: "done" }] });
    await this.#fleet.call("POST", `${path}/complete`, { output: "done", session_id: "s", work_dir: "/w" });
    this.#fleet.ended++;
  }
}

/** User and system time of a process, in ms. */
async function cpuOf(pid: number): Promise<number> {
  const fields = (await Deno.readTextFile(`/proc/${pid}/stat`)).split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 1_000 / CLOCK_TICKS;
}

async function memoryOf(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1_024;
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  }));
}

async function measure(size: number): Promise<string> {
  await using server = await serve();
  const fleet = new Fleet(server);
  const [workspace] = (await fleet.call("GET", "/api/workspaces")) as { id: string; name: string }[];
  const daemons = Array.from({ length: size }, (_, index) => new Daemon(fleet, index));
  const from = performance.now();
  await eachOf(daemons, AT_ONCE, (daemon) => daemon.connect(workspace!.id));
  const joined = performance.now() - from;
  try {
    const agents = (await fleet.call("GET", "/api/agents")) as { id: string }[];
    // Everybody has beaten once before anything is counted.
    await pause(BEAT_MS);
    fleet.beats = 0;
    fleet.beatMs.length = 0;
    const [begin, cpu] = [performance.now(), await cpuOf(server.pid)];
    const memory: number[] = [];
    for (let n = 0; performance.now() - begin < MEASURED_MS; n++) {
      const agent = agents[Math.floor(Math.random() * agents.length)]!;
      const at = performance.now();
      const issue = await fleet.call("POST", "/api/issues", { title: `Task ${n}`, agent_id: agent.id });
      fleet.submitted.set(issue.id, at);
      if (n % TASKS_PER_SECOND === 0) memory.push(await memoryOf(server.pid));
      const due = begin + (n + 1) * 1_000 / TASKS_PER_SECOND;
      await pause(Math.max(0, due - performance.now()));
    }
    const elapsed = performance.now() - begin;
    await eventually(() => fleet.ended >= fleet.submitted.size, "all tasks are over", 30_000);
    const busy = (await cpuOf(server.pid)) - cpu;
    const waits = [...fleet.submitted].map(([id, at]) => fleet.claimed.get(id)! - at).filter((ms) => ms >= 0);
    const ms = (value: number) => value.toFixed(1);
    return [
      size,
      `${size * RUNTIMES}`,
      `${ms(joined / 1_000)} s`,
      `${Math.round(fleet.beats / (elapsed / 1_000))}/s of ${Math.round(size * RUNTIMES * 1_000 / BEAT_MS)}/s`,
      `${ms(median(fleet.beatMs))} / ${ms(percentile(fleet.beatMs, 0.99))} ms`,
      `${ms(median(fleet.claimMs))} / ${ms(percentile(fleet.claimMs, 0.99))} ms (n = ${fleet.claimMs.length})`,
      `${ms(median(waits))} / ${ms(percentile(waits, 0.99))} ms`,
      `${Math.round(busy / elapsed * 100)} %`,
      `${Math.round(Math.max(...memory))} MB`,
    ].join(" | ");
  } finally {
    fleet.stop.abort();
    await Promise.all(daemons.map((daemon) => daemon.close()));
  }
}

if (import.meta.main) {
  await runScript(async () => {
    const sizes = Deno.args.length > 0 ? Deno.args.map(Number) : FLEETS;
    console.log(`${TASKS_PER_SECOND} tasks a second; median / 99th percentile; daemons and server share the machine`);
    console.log("daemons | runtimes | all joined | beats | beat | claim | submitted to claimed | server CPU | memory");
    for (const size of sizes) console.log(await measure(size));
    return 0;
  });
}
