/** A whole daemon over the real coordinator in memory and a real home, on a clock that stands still, with fake agents. */
import { assertEquals } from "@std/assert";
import type { Coordinator } from "../../lib/coordinator/coordinator.ts";
import { createCoordinator } from "../../lib/coordinator/embedded.ts";
import { type Home, homeLayout } from "../../lib/core/home.ts";
import type { Ending } from "../../lib/core/phase.ts";
import type { Fetch, SpawnRequest } from "../../lib/core/ports.ts";
import { type ConnectionConfig, createDaemon, type Daemon, type DaemonOptions } from "../../lib/daemon/daemon.ts";
import { fixedSurroundings } from "../../lib/daemon/surroundings.ts";
import { createFiles } from "../../lib/host/files.ts";
import { createRandom } from "../../lib/host/random.ts";
import { type CreateTask, TaskView } from "../../lib/wire/control.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { type FakeAgent, type FakeAgents, fakeAgents, fakeBackend } from "./fake_agent.ts";
import { type KeptLog, keptLog } from "./kept_log.ts";
import { later, until } from "./patience.ts";

/** A look at each request on its way: an answer in the server's place, or `undefined` to let it pass. */
export type Intercept = (
  verb: string,
  request: Request,
  pass: () => Promise<Response>,
) => Response | Promise<Response> | undefined;

export interface WorldOptions {
  readonly slots?: number;
  readonly intercept?: Intercept;
  /** The hints of the coordinator get lost. */
  readonly deaf?: boolean;
  readonly refuse?: (request: SpawnRequest) => void;
  readonly daemon?: Partial<DaemonOptions>;
  /** Another server, beside the one of this process. */
  readonly remote?: Pick<ConnectionConfig, "fetch" | "token" | "wakeups">;
}

const DAEMON_ID = "11111111-1111-4111-8111-111111111111";
/** Heartbeats fall on whole milliseconds. */
const RANDOM = { ...createRandom(), fraction: () => 0.5 };

export class DaemonWorld implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly log: KeptLog;
  readonly agents: FakeAgents;
  readonly home: Home;
  readonly coordinator: Coordinator;
  /** Every call that reached the server's door, as its verb. */
  readonly calls: string[] = [];
  intercept: Intercept | undefined;
  daemon: Daemon;
  readonly #options: WorldOptions;
  #instances = 0;

  private constructor(
    options: WorldOptions,
    parts: { readonly clock: FakeClock; readonly log: KeptLog; readonly coordinator: Coordinator },
  ) {
    this.clock = parts.clock;
    this.log = parts.log;
    this.coordinator = parts.coordinator;
    this.#options = options;
    this.intercept = options.intercept;
    this.agents = fakeAgents({ refuse: options.refuse });
    this.home = homeLayout(Deno.makeTempDirSync({ prefix: "drover-test-" }));
    this.daemon = this.newDaemon();
  }

  /** With a daemon that has not started. */
  static async create(options: WorldOptions = {}): Promise<DaemonWorld> {
    const [clock, log] = [new FakeClock(), keptLog()];
    const database = { kind: "sqlite", path: ":memory:" } as const;
    const coordinator = await createCoordinator({ database, clock, random: RANDOM, log });
    return new DaemonWorld(options, { clock, log, coordinator });
  }

  static async started(options: WorldOptions = {}): Promise<DaemonWorld> {
    const world = await DaemonWorld.create(options);
    await world.daemon.start();
    return world;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closing = this.daemon.close();
    await this.clock.advance(60_000);
    await closing;
    await this.coordinator.close();
    await Deno.remove(this.home.root, { recursive: true });
    assertEquals(this.clock.waiting, 0, "timers were left behind");
    assertEquals(this.log.said("critical"), []);
  }

  /** The daemon of the next process of this home. */
  newDaemon(): Daemon {
    const runtime = {
      provider: "bot",
      family: "plain-text",
      executable: "/bin/bot",
      fixedArgs: ["--fixed"],
      version: "1.2.3",
    } as const;
    return createDaemon({
      home: this.home,
      daemonId: DAEMON_ID,
      instance: `instance-${++this.#instances}`,
      version: "9.9.9",
      deviceName: "box",
      os: "linux",
      surroundings: fixedSurroundings({ HOME: "/home/me", PATH: "/bin", SESSION: "1" }),
      slots: this.#options.slots ?? 2,
      timeLimitMs: 3_600_000,
      connections: [
        {
          name: "embedded",
          baseUrl: "http://embedded.test",
          token: () => this.coordinator.token,
          fetch: this.#fetch,
          wakeups: this.#options.deaf ? { async *subscribe() {} } : this.coordinator,
        },
        ...(this.#options.remote
          ? [{ name: "away", baseUrl: "http://away.test", remote: true, ...this.#options.remote }]
          : []),
      ],
      discover: () => Promise.resolve({ found: [runtime], skipped: [] }),
      backendFor: () => fakeBackend(this.agents),
      sessionVariables: ["SESSION"],
      clock: this.clock,
      random: RANDOM,
      files: createFiles(),
      processes: this.agents,
      getLogger: () => this.log,
      ...this.#options.daemon,
    });
  }

  readonly #fetch: Fetch = (request) => {
    const verb = new URL(request.url).pathname.split("/").at(-1)!;
    this.calls.push(verb);
    const pass = () => this.coordinator.fetch(request);
    const answer = this.intercept?.(verb, request, pass);
    return answer === undefined ? pass() : Promise.resolve(answer);
  };

  count(verb: string): number {
    return this.calls.filter((call) => call === verb).length;
  }

  async submit(prompt = "do it", change: Partial<CreateTask> = {}, instance?: string): Promise<string> {
    // The queue orders by time of submission.
    this.clock.shiftWall(1);
    const body: CreateTask = { prompt, directory: { mode: "scratch" }, permission: "full", ...change };
    const answer = await this.#user("/v1/tasks", { method: "POST", body: JSON.stringify(body) }, instance);
    assertEquals(answer.status, 201);
    return TaskView.parse(await answer.json()).id;
  }

  async show(id: string): Promise<TaskView> {
    return TaskView.parse(await (await this.#user(`/v1/tasks/${id}`)).json());
  }

  async messages(id: string): Promise<{ seq: number; type: string; content: string | null }[]> {
    return (await (await this.#user(`/v1/tasks/${id}/messages?since=0`)).json()).messages;
  }

  async cancel(id: string): Promise<void> {
    await this.#user(`/v1/tasks/${id}/cancel`, { method: "POST", body: "{}" });
  }

  #user(path: string, init: RequestInit = {}, instance = ""): Promise<Response> {
    const headers = { "content-type": "application/json", "x-drover-instance": instance };
    return this.coordinator.userApi(new Request(`http://user.test${path}`, { ...init, headers }));
  }

  /** Waits, with time standing still, until something is so. */
  until(what: string, so: () => boolean | Promise<boolean>): Promise<void> {
    return until(what, { clock: this.clock, so, story: () => this.#story() });
  }

  /** The same, with second after second passing meanwhile. */
  later(what: string, so: () => boolean | Promise<boolean>): Promise<void> {
    return later(what, { clock: this.clock, so, story: () => this.#story() });
  }

  /** How the daemon ended, as soon as it has. */
  async left(): Promise<Ending> {
    let ending: Ending | undefined;
    void this.daemon.ended.then((how) => ending = how);
    await this.later("the daemon ended", () => ending !== undefined);
    return ending!;
  }

  #story(): string {
    const records = this.log.records.map(({ message, fields }) => `${message} ${JSON.stringify(fields)}`);
    return ["", ...records, this.calls.join(" "), JSON.stringify(this.daemon.status())].join("\n");
  }

  /** The nth agent, as soon as it is started. */
  async agent(nth = 0): Promise<FakeAgent> {
    await this.until(`agent ${nth} is started`, () => this.agents.started[nth]?.task !== undefined);
    return this.agents.started[nth]!;
  }

  async ended(id: string, status: TaskView["status"]): Promise<TaskView> {
    await this.until(`task ${id} is ${status}`, async () => (await this.show(id)).status === status);
    return await this.show(id);
  }

  /** All runs are over and their slots free. */
  idle(): Promise<void> {
    return this.until("the daemon is idle", () => this.daemon.status().tasks.length === 0);
  }
}
