/** A whole daemon of one team server, whichever that is: fake agents, a home of its own, and a line to the server that a test can cut. */
import { assertEquals } from "@std/assert";
import { type Home, homeLayout } from "../../lib/core/home.ts";
import type { Permission, Runtime } from "../../lib/core/model.ts";
import type { Clock, Fetch } from "../../lib/core/ports.ts";
import type { Dial } from "../../lib/core/socket_port.ts";
import { type ConnectionConfig, createDaemon, type Daemon, type DaemonOptions } from "../../lib/daemon/daemon.ts";
import { fixedSurroundings } from "../../lib/daemon/surroundings.ts";
import { createFiles } from "../../lib/host/files.ts";
import { createRandom } from "../../lib/host/random.ts";
import { type FakeAgent, type FakeAgents, fakeAgents, fakeBackend } from "./fake_agent.ts";
import { type KeptLog, keptLog } from "./kept_log.ts";
import { later, until } from "./patience.ts";

export interface TeamDaemonOptions {
  readonly daemon?: Partial<DaemonOptions>;
  /** The agent CLIs of this machine. */
  readonly found?: readonly string[];
  /** Which workspaces the owner lets send tasks; absent = all. */
  readonly watched?: (id: string) => boolean;
  /** What the tasks of watched workspaces may do at most; absent = everything. */
  readonly policy?: () => Permission;
  /** Which agents the server is told of; absent = all. */
  readonly offers?: ConnectionConfig["offers"];
}

export interface Endpoint {
  readonly baseUrl: string;
  readonly fetch: Fetch;
  /** Absent: it has no WebSocket. */
  readonly dial?: Dial;
}

/** Time that a test lets pass. */
export interface TestClock extends Clock {
  advance(ms: number): Promise<void>;
  /** Lets everything that is ready go on. */
  settle(): Promise<void>;
  /** How many timers and sleeps are waiting. */
  readonly waiting: number;
}

/** One process's way to its server. */
export class Line {
  /** `POST /api/daemon/heartbeat` and the like, as they were sent. */
  readonly sent: string[] = [];
  /** What does not get through. */
  lost: "nothing" | "sockets" | "everything" = "nothing";
  readonly #endpoint: Endpoint;
  readonly #cuts = new Set<() => void>();

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /** Open WebSockets. */
  get sockets(): number {
    return this.#cuts.size;
  }

  /** How often a route was called; a part of its text is enough. */
  count(route: string): number {
    return this.sent.filter((one) => one.includes(route)).length;
  }

  /** From now on; ends the WebSockets that are open. */
  lose(lost: "sockets" | "everything"): void {
    this.lost = lost;
    this.cut();
  }

  /** Ends every WebSocket; another one may be opened. */
  cut(): void {
    for (const cut of [...this.#cuts]) cut();
  }

  readonly fetch: Fetch = async (request) => {
    this.sent.push(`${request.method} ${new URL(request.url).pathname}`);
    if (this.lost === "everything") throw new TypeError("Connection refused");
    return await this.#endpoint.fetch(request);
  };

  readonly dial: Dial = async (url, { handlers, ...options }) => {
    if (this.lost !== "nothing") throw new Error("Connection refused");
    let over = false;
    const end = (why?: string) => {
      if (over) return;
      over = true;
      this.#cuts.delete(cut);
      if (why !== undefined) handlers.closed(why);
    };
    const text = (frame: string) => over || handlers.text(frame);
    const socket = await this.#endpoint.dial!(url, { ...options, handlers: { text, closed: end } });
    const cut = () => (end("cut on its way"), socket.close());
    this.#cuts.add(cut);
    return {
      send: (frame) => {
        this.sent.push(`WS ${JSON.parse(frame).type}`);
        return !over && socket.send(frame);
      },
      close: () => (end(), socket.close()),
    };
  };
}

const RANDOM = { ...createRandom(), fraction: () => 0.5 };

export class TeamDaemon<C extends TestClock> implements AsyncDisposable {
  readonly clock: C;
  readonly log: KeptLog = keptLog();
  readonly agents: FakeAgents = fakeAgents();
  readonly home: Home = homeLayout(Deno.makeTempDirSync({ prefix: "drover-team-" }));
  found: readonly string[];
  daemon: Daemon;
  /** Of the daemon of this moment. */
  line!: Line;
  /** What the daemon shows. */
  token: string;
  readonly #endpoint: Endpoint;
  readonly #options: TeamDaemonOptions;
  #consents: (() => void)[] = [];
  #instances = 0;

  /** Nothing is started yet. */
  constructor(clock: C, endpoint: Endpoint & { readonly token: string }, options: TeamDaemonOptions) {
    this.clock = clock;
    this.token = endpoint.token;
    this.found = options.found ?? ["bot"];
    this.#endpoint = endpoint;
    this.#options = options;
    this.daemon = this.newDaemon();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.closed();
    await Deno.remove(this.home.root, { recursive: true });
    assertEquals(this.log.said("critical"), []);
  }

  /** The daemon of the next process of this home, with a line of its own. */
  newDaemon(): Daemon {
    const runtime = (provider: string): Runtime => ({
      provider,
      family: "plain-text",
      executable: `/bin/${provider}`,
      fixedArgs: [],
      version: "1.2.3",
    });
    const { watched = () => true, policy = () => "full", offers, daemon } = this.#options;
    const { baseUrl, dial } = this.#endpoint;
    const line = this.line = new Line(this.#endpoint);
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
        baseUrl,
        token: () => this.token,
        fetch: line.fetch,
        wakeups: { async *subscribe() {} },
        remote: true,
        consent: {
          watched: (id) => watched(id) ? { policy: policy() } : undefined,
          found() {},
          onChange: (listener) => {
            this.#consents.push(listener);
            return { [Symbol.dispose]() {} };
          },
        },
        ...(offers ? { offers } : {}),
        ...(dial ? { dial: line.dial } : {}),
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
      ...daemon,
    });
  }

  /** The daemon ends as it does when it is told to. */
  async closed(): Promise<void> {
    let closed = false;
    void this.daemon.close().then(() => closed = true);
    await this.later("the daemon is closed", () => closed);
  }

  /** Nothing that it still says arrives, and what it writes down is lost: as good as killed. The next one is started. */
  async killedAndRestarted(): Promise<void> {
    this.line.lose("everything");
    await this.closed();
    Deno.removeSync(this.home.outboxDb);
    this.daemon = this.newDaemon();
    await this.daemon.start();
  }

  /** The owner has changed his mind. */
  consentChanged(): void {
    for (const listener of this.#consents) listener();
  }

  /** As this daemon has them. */
  ids(): string[] {
    return this.daemon.status().connections[0]!.runtimes.map(({ id }) => id);
  }

  until(what: string, so: () => boolean | Promise<boolean>): Promise<void> {
    return until(what, { clock: this.clock, so, story: () => this.story() });
  }

  /** The same, with second after second passing meanwhile. */
  later(what: string, so: () => boolean | Promise<boolean>): Promise<void> {
    return later(what, { clock: this.clock, so, story: () => this.story() });
  }

  /** The nth agent, as soon as it is started. */
  async agent(nth = 0): Promise<FakeAgent> {
    await this.later(`agent ${nth} is started`, () => this.agents.started[nth]?.task !== undefined);
    return this.agents.started[nth]!;
  }

  idle(): Promise<void> {
    return this.later("the daemon is idle", () => this.daemon.status().tasks.length === 0);
  }

  /** What there is to know when it does not come to what was waited for. */
  story(): string {
    const records = this.log.records.map(({ message, fields }) => `${message} ${JSON.stringify(fields)}`);
    return ["", ...records, ...this.line.sent.slice(-40)].join("\n");
  }
}
