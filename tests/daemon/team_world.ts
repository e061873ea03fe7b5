/** A whole daemon of one team server, which is the strict fake: fake agents, time that stands still, no network. */
import { assert, assertEquals } from "@std/assert";
import { type Home, homeLayout } from "../../lib/core/home.ts";
import type { Runtime } from "../../lib/core/model.ts";
import { createDaemon, type Daemon, type DaemonOptions } from "../../lib/daemon/daemon.ts";
import { fixedSurroundings } from "../../lib/daemon/surroundings.ts";
import { createFiles } from "../../lib/host/files.ts";
import { createNetwork } from "../../lib/host/network.ts";
import { createRandom } from "../../lib/host/random.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { FakeMultica, type FakeMulticaOptions, type FakeRuntime } from "../support/fake_multica.ts";
import type { FakeTask, TaskStatus } from "../support/fake_multica_tasks.ts";
import { type FakeAgent, type FakeAgents, fakeAgents, fakeBackend } from "./fake_agent.ts";
import { type KeptLog, keptLog } from "./kept_log.ts";

export interface TeamOptions extends Omit<FakeMulticaOptions, "now"> {
  readonly daemon?: Partial<DaemonOptions>;
  /** The agent CLIs of this machine. */
  readonly found?: readonly string[];
  /** Over TCP instead of in memory. */
  readonly tcp?: boolean;
  /** No WebSocket. */
  readonly deaf?: boolean;
  /** Which workspaces the owner lets send tasks; absent = all. */
  readonly watched?: (id: string) => boolean;
}

const RANDOM = { ...createRandom(), fraction: () => 0.5 };
const PATIENCE_MS = 10_000;

export class TeamWorld implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly log: KeptLog = keptLog();
  readonly agents: FakeAgents = fakeAgents();
  readonly home: Home = homeLayout(Deno.makeTempDirSync({ prefix: "drover-team-" }));
  readonly server: FakeMultica;
  found: readonly string[];
  daemon: Daemon;
  /** What the daemon shows; the server lets only its own in. */
  token: string;
  #changed: (() => void)[] = [];
  readonly #options: TeamOptions;
  #instances = 0;

  private constructor(options: TeamOptions) {
    this.#options = options;
    this.found = options.found ?? ["bot"];
    this.server = new FakeMultica({ ...options, now: () => this.clock.monotonic() });
    this.token = this.server.token;
    this.daemon = this.newDaemon();
  }

  /** Registered, and heard over its WebSocket where it has one. */
  static async started(options: TeamOptions = {}): Promise<TeamWorld> {
    const world = new TeamWorld(options);
    await world.daemon.start();
    if (world.found.length > 0) {
      await world.later("the daemon is registered", () => world.daemon.status().connections[0]!.runtimes.length > 0);
    }
    if (!options.deaf && options.dialect !== "april") {
      await world.later("the socket serves them", () => {
        const served = [...world.server.hub.peers].map(({ runtimes }) => runtimes.length);
        return served.includes(world.daemon.status().connections[0]!.runtimes.length);
      });
    }
    return world;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    let closed = false;
    void this.daemon.close().then(() => closed = true);
    await this.later("the daemon is closed", () => closed);
    await this.server.close();
    await Deno.remove(this.home.root, { recursive: true });
    assertEquals(this.clock.waiting, 0, "timers were left behind");
    assertEquals(this.server.violations, []);
    assertEquals(this.log.said("critical"), []);
  }

  /** The daemon of the next process of this home. */
  newDaemon(): Daemon {
    const runtime = (provider: string): Runtime => ({
      provider,
      family: "plain-text",
      executable: `/bin/${provider}`,
      fixedArgs: [],
      version: "1.2.3",
    });
    const { deaf, tcp, watched = () => true } = this.#options;
    const network = createNetwork();
    return createDaemon({
      home: this.home,
      daemonId: "0198a0de-0000-7000-8000-000000000001",
      instance: `instance-${++this.#instances}`,
      version: "9.9.9",
      deviceName: "box",
      os: "linux",
      surroundings: fixedSurroundings({ HOME: this.home.root, PATH: "/bin" }),
      slots: 2,
      timeLimitMs: 3_600_000,
      connections: [{
        name: "team",
        baseUrl: tcp ? this.server.listen() : "http://team.test",
        token: () => this.token,
        fetch: tcp ? network.fetch : this.server.fetch,
        wakeups: { async *subscribe() {} },
        remote: true,
        consent: {
          watched: (id) => watched(id) ? { policy: "full" } : undefined,
          found() {},
          onChange: (listener) => {
            this.#changed.push(listener);
            return { [Symbol.dispose]() {} };
          },
        },
        ...(deaf ? {} : { dial: tcp ? network.outwardDial({}) : this.server.hub.dial }),
      }],
      discover: () => Promise.resolve({ found: this.found.map(runtime), skipped: [] }),
      findProfile: ({ id, displayName, provider }) =>
        Promise.resolve({ ...runtime(provider), profile: { id, name: displayName } }),
      backendFor: () => fakeBackend(this.agents),
      sessionVariables: [],
      clock: this.clock,
      random: RANDOM,
      files: createFiles(),
      processes: this.agents,
      getLogger: () => this.log,
      ...this.#options.daemon,
    });
  }

  /** The owner has changed his mind. */
  consentChanged(): void {
    for (const listener of this.#changed) listener();
  }

  get runtime(): FakeRuntime {
    return this.server.runtimeOf(this.found[0]!);
  }

  /** As this daemon has them. */
  ids(): string[] {
    return this.daemon.status().connections[0]!.runtimes.map(({ id }) => id);
  }

  async until(what: string, so: () => boolean | Promise<boolean>): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    while (!(await so())) {
      assert(performance.now() < end, `It did not come to this: ${what}; ${this.#story()}`);
      await this.clock.settle();
    }
  }

  /** The same, with second after second passing meanwhile. */
  later(what: string, so: () => boolean | Promise<boolean>): Promise<void> {
    return this.until(what, async () => {
      if (await so()) return true;
      await this.clock.advance(1_000);
      return false;
    });
  }

  /** The nth agent, as soon as it is started. */
  async agent(nth = 0): Promise<FakeAgent> {
    await this.later(`agent ${nth} is started`, () => this.agents.started[nth]?.task !== undefined);
    return this.agents.started[nth]!;
  }

  async is(task: FakeTask, status: TaskStatus): Promise<void> {
    await this.later(`the task is ${status}`, () => task.status === status);
  }

  idle(): Promise<void> {
    return this.later("the daemon is idle", () => this.daemon.status().tasks.length === 0);
  }

  #story(): string {
    const records = this.log.records.map(({ message, fields }) => `${message} ${JSON.stringify(fields)}`);
    return ["", ...records, this.server.calls.slice(-40).map(({ route }) => route).join("\n")].join("\n");
  }
}
