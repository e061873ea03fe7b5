/** A whole daemon against the real coordinator, with faults in between: real agent processes, time on a fake clock. */
import { join } from "@std/path";
import { backendFor } from "../../lib/agents/registry.ts";
import type { Coordinator } from "../../lib/coordinator/coordinator.ts";
import { createCoordinator } from "../../lib/coordinator/embedded.ts";
import { homeLayout } from "../../lib/core/home.ts";
import type { Runtime } from "../../lib/core/model.ts";
import { createDaemon, type Daemon } from "../../lib/daemon/daemon.ts";
import { createClock } from "../../lib/host/clock.ts";
import { fixedSurroundings } from "../../lib/daemon/surroundings.ts";
import { createFiles } from "../../lib/host/files.ts";
import { createProcesses } from "../../lib/host/process.ts";
import { createRandom } from "../../lib/host/random.ts";
import type { MessageView, TaskView } from "../../lib/wire/control.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { type KeptLog, keptLog } from "./kept_log.ts";
import { placeScriptSync } from "../support/program_file.ts";

/** What may stand between daemon and server. `real` carries the request out; without it the server hears nothing. */
export type Fault = (real: () => Promise<Response>, route: string) => Promise<Response>;

/** The calls of the protocol by their short names. */
const ENDPOINTS: Readonly<Record<string, RegExp>> = {
  workspaces: /^GET .*\/daemon\/workspaces$/,
  register: /\/register$/,
  "recover-orphans": /\/recover-orphans$/,
  heartbeat: /\/heartbeat$/,
  claim: /\/tasks\/claim$/,
  start: /\/start$/,
  status: /\/status$/,
  messages: /\/messages$/,
  usage: /\/usage$/,
  session: /\/session$/,
  complete: /\/complete$/,
  fail: /\/fail$/,
  "cancel-ack": /\/cancel-ack$/,
  deregister: /\/deregister$/,
};

/** Whole milliseconds only: the fake clock adds up what it is given, and no real one tells fractions. */
const RANDOM = { ...createRandom(), fraction: () => 0.5 };

/** Beyond this the test is stuck, whatever the fake clock says. */
const REAL_LIMIT_MS = 90_000;

export class FaultyWorld implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly log: KeptLog;
  readonly coordinator: Coordinator;
  readonly root: string;
  /** Of its own: a daemon that starts ends every process that carries its id. */
  readonly #daemonId = crypto.randomUUID();
  readonly #started: Daemon[] = [];
  #fault: { readonly matches: RegExp; readonly fault: Fault } | undefined;
  #lifted = true;
  /** How often the fault was met. */
  met = 0;

  private constructor(
    root: string,
    parts: { readonly clock: FakeClock; readonly log: KeptLog; readonly coordinator: Coordinator },
  ) {
    this.root = root;
    this.clock = parts.clock;
    this.log = parts.log;
    this.coordinator = parts.coordinator;
    this.coordinator.start();
  }

  static async create(): Promise<FaultyWorld> {
    const [clock, log] = [new FakeClock(), keptLog()];
    const database = { kind: "sqlite", path: ":memory:" } as const;
    const coordinator = await createCoordinator({ database, clock, random: RANDOM, log });
    return new FaultyWorld(await Deno.makeTempDir({ prefix: "drover-faults-" }), { clock, log, coordinator });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.lift();
    try {
      for (const daemon of this.#started) await this.close(daemon);
    } finally {
      await this.coordinator.close();
      await Deno.remove(this.root, { recursive: true });
    }
  }

  /** A daemon that is starting, with an agent that does as the shell script says. Several in a row are lives of the same one. */
  daemon(script: string, runtime: Partial<Runtime> = {}): Daemon {
    const executable = join(this.root, "agent");
    placeScriptSync(executable, `#!/bin/sh\necho run >>'${this.root}/runs'\n${script}\n`);
    const home = homeLayout(join(this.root, "home"));
    Deno.mkdirSync(home.root, { recursive: true, mode: 0o700 });
    const found: Runtime = {
      provider: "claude",
      family: "claude-stream-json",
      executable,
      fixedArgs: [],
      version: "2.1.0",
      ...runtime,
    };
    const daemon = createDaemon({
      home,
      daemonId: this.#daemonId,
      instance: `i${this.#started.length}`,
      version: "0.0.0",
      deviceName: "test",
      os: "linux",
      surroundings: fixedSurroundings({ PATH: "/usr/bin:/bin", HOME: this.root }),
      slots: 2,
      timeLimitMs: 3_600_000,
      connections: [{
        name: "server",
        baseUrl: "http://server.test",
        token: () => this.coordinator.token,
        fetch: (request) => this.#answer(request),
        wakeups: this.coordinator,
      }],
      discover: () => Promise.resolve({ found: [found], skipped: [] }),
      backendFor,
      sessionVariables: [],
      clock: this.clock,
      random: RANDOM,
      files: createFiles(),
      processes: createProcesses({ clock: createClock() }),
      getLogger: () => this.log,
    });
    this.#started.push(daemon);
    return daemon;
  }

  /** Lets time pass until a daemon runs. */
  async started(daemon: Daemon): Promise<void> {
    const start = daemon.start();
    // Where it never comes to run, that is what fails the test.
    start.catch(() => {});
    await this.until(() => daemon.phase.kind === "running", "the daemon runs");
    await start;
  }

  /** Lets time pass until a daemon has closed everything. */
  async close(daemon: Daemon): Promise<void> {
    let closed = false;
    const closing = daemon.close().then(() => closed = true);
    await this.until(() => closed, "the daemon is closed");
    await closing;
  }

  /** Puts a fault before one kind of call, until it is lifted. */
  impose(endpoint: string, fault: Fault): void {
    const matches = ENDPOINTS[endpoint];
    if (!matches) throw new Error(`There is no endpoint ${endpoint}`);
    this.#fault = { matches, fault };
    this.#lifted = false;
    this.met = 0;
  }

  imposeOnAll(fault: Fault): void {
    this.#fault = { matches: /./, fault };
    this.#lifted = false;
    this.met = 0;
  }

  /** On every other call of each kind, beginning with the first. */
  imposeOnHalf(fault: Fault): void {
    const counts = new Map<string, number>();
    const half: Fault = (real, route) => {
      const count = counts.get(route) ?? 0;
      counts.set(route, count + 1);
      return count % 2 === 0 ? fault(real, route) : real();
    };
    this.imposeOnAll(half);
  }

  /** For one call, or for so long; then it is lifted by itself. */
  imposeFor(endpoint: string, fault: Fault, lastsMs: number): void {
    this.impose(endpoint, (real, route) => {
      if (lastsMs === 0) this.lift();
      return fault(real, route);
    });
    if (lastsMs > 0) this.clock.after(lastsMs, () => this.lift());
  }

  isLifted(): boolean {
    return this.#lifted;
  }

  lift(): void {
    this.#fault = undefined;
    this.#lifted = true;
  }

  async submit(prompt = "hi"): Promise<TaskView> {
    const response = await this.user("/v1/tasks", { prompt, directory: { mode: "scratch" }, permission: "full" });
    if (response.status !== 201) throw new Error(await response.text());
    return await response.json();
  }

  /** The task, or the last attempt that repeats it. */
  async view(id: string): Promise<TaskView> {
    const view: TaskView = await (await this.user(`/v1/tasks/${id}`)).json();
    return view.retried_by ? await this.view(view.retried_by) : view;
  }

  async messages(id: string): Promise<MessageView[]> {
    return (await (await this.user(`/v1/tasks/${id}/messages`)).json()).messages;
  }

  async cancel(id: string): Promise<void> {
    await (await this.user(`/v1/tasks/${id}/cancel`, {})).body?.cancel();
  }

  /** A task that an earlier life of the daemon was running when it was killed. */
  async orphan(): Promise<TaskView> {
    const [{ id: workspace }] = await this.#call("/api/daemon/workspaces");
    const { runtimes } = await this.#call("/api/daemon/register", {
      workspace_id: workspace,
      daemon_id: this.#daemonId,
      runtimes: [{ type: "claude", version: "2.1.0" }],
    });
    const task = await this.submit();
    await this.#call("/api/daemon/tasks/claim", {
      daemon_id: this.#daemonId,
      runtime_ids: [runtimes[0].id],
      max_tasks: 1,
    });
    await this.#call(`/api/daemon/tasks/${task.id}/start`, {});
    return await this.view(task.id);
  }

  /** How often the agent was started. */
  runs(): number {
    try {
      return Deno.readTextFileSync(join(this.root, "runs")).trim().split("\n").length;
    } catch {
      return 0;
    }
  }

  /**
   * Lets time pass until something is so: slowly while an agent runs, as that takes real time, else quickly. Throws
   * when `limitMs` of the fake time have passed.
   */
  async until(
    condition: () => boolean | Promise<boolean>,
    what: string,
    { limitMs = 20 * 60_000 }: { limitMs?: number } = {},
  ): Promise<void> {
    const [end, realEnd] = [this.clock.now() + limitMs, performance.now() + REAL_LIMIT_MS];
    while (!(await condition())) {
      if (this.clock.now() > end || performance.now() > realEnd) {
        const warnings = this.log.records.filter(({ level }) => level !== "debug" && level !== "info").slice(-5);
        throw new Error(`It never came to this: ${what}; the last warnings: ${JSON.stringify(warnings)}`);
      }
      if (this.#isWorking()) await this.pass(100, { realMs: 5 });
      else await this.pass(5_000);
    }
  }

  /** Lets time pass, and processes go on: for them it is the time of this machine that counts. */
  async pass(ms: number, { realMs = 1 } = {}): Promise<void> {
    await this.clock.advance(ms);
    await new Promise((resolve) => setTimeout(resolve, realMs));
  }

  /** Whether anything is under way that real time must pass for. */
  #isWorking(): boolean {
    const views = this.#started.flatMap((daemon) => daemon.status().tasks);
    return views.some(({ stage }) => stage === "preparing" || stage === "running");
  }

  user(path: string, body?: unknown): Promise<Response> {
    return this.coordinator.userApi(
      new Request(
        `http://server.test${path}`,
        body === undefined ? {} : { method: "POST", body: JSON.stringify(body) },
      ),
    );
  }

  // deno-lint-ignore no-explicit-any
  async #call(path: string, body?: unknown): Promise<any> {
    const response = await this.coordinator.fetch(
      new Request(`http://server.test${path}`, {
        headers: { authorization: `Bearer ${this.coordinator.token}` },
        ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
      }),
    );
    return await response.json();
  }

  #answer(request: Request): Promise<Response> {
    const real = () => this.coordinator.fetch(request);
    const imposed = this.#fault;
    const route = `${request.method} ${new URL(request.url).pathname}`;
    if (!imposed || !imposed.matches.test(route)) return real();
    this.met++;
    return imposed.fault(real, route);
  }
}
