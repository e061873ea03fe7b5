/** A conformance test: one daemon, and one server after the other that it is tried against. */
import { assert, assertEquals } from "@std/assert";
import { createClock } from "../../lib/host/clock.ts";
import { createNetwork } from "../../lib/host/network.ts";
import { World } from "../coordinator/world.ts";
import { TeamDaemon, type TeamDaemonOptions, type TestClock } from "../daemon/team_daemon.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { NotOffered, type ServerSide, type SideRuntime, type SideTask } from "./server_side.ts";
import { FakeSide } from "./server_side_fake.ts";
import { HttpSide } from "./server_side_http.ts";

/** A server to try the daemon against, for as long as it takes in real time. */
const URL_OF_SERVER = Deno.env.get("DROVER_TEST_SERVER_URL");
const TOKEN = Deno.env.get("DROVER_TEST_SERVER_TOKEN") ?? "";
/** Of several workspaces the one that is meant. */
const WORKSPACE = Deno.env.get("DROVER_TEST_SERVER_WORKSPACE");
/** What a server far away may take: two beats and a look without a hint. */
const PATIENCE_MS = 90_000;

/** A name that servers know; who is started here is a fake. */
export const PROVIDER = "claude";

interface Opened {
  readonly side: ServerSide;
  readonly clock: TestClock;
}

interface Kind {
  readonly name: string;
  /** In real time: what takes long is made shorter. */
  readonly slow: boolean;
  readonly open: () => Promise<Opened>;
}

const KINDS: readonly Kind[] = [
  {
    name: "fake",
    slow: false,
    open() {
      const clock = new FakeClock();
      return Promise.resolve({ clock, side: new FakeSide(() => clock.monotonic()) });
    },
  },
  {
    name: "coordinator",
    slow: false,
    async open() {
      const clock = new FakeClock();
      const world = await World.create({ clock });
      const { publicApi: fetch, token } = world.coordinator;
      const endpoint = { baseUrl: "http://coordinator.test", fetch, token };
      const close = () => world[Symbol.asyncDispose]();
      return { clock, side: new HttpSide({ name: "coordinator", endpoint, close }) };
    },
  },
  ...(URL_OF_SERVER ? [{ name: "server", slow: true, open: () => Promise.resolve(openUrl(URL_OF_SERVER)) }] : []),
];

function openUrl(url: string): Opened {
  const network = createNetwork();
  const endpoint = {
    baseUrl: url.replace(/\/+$/, ""),
    token: TOKEN,
    fetch: network.fetch,
    dial: network.outwardDial({}),
  };
  const side = new HttpSide({ name: url, endpoint, ...(WORKSPACE ? { workspace: WORKSPACE } : {}) });
  return { side, clock: { ...createClock(), waiting: 0, advance: pause, settle: () => pause(20) } };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export class ConformanceWorld extends TeamDaemon<TestClock> {
  readonly side: ServerSide;
  /** In real time. */
  readonly slow: boolean;
  readonly daemonId: string;

  constructor({ side, clock }: Opened, slow: boolean, { daemon, ...options }: TeamDaemonOptions) {
    // What an earlier test left on a server is another daemon's.
    const daemonId = crypto.randomUUID();
    super(clock, side.endpoint, { found: [PROVIDER], ...options, daemon: { ...daemon, daemonId } });
    this.side = side;
    this.slow = slow;
    this.daemonId = daemonId;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    await this.side[Symbol.asyncDispose]();
    assertEquals(this.clock.waiting, 0, "timers were left behind");
  }

  /** As the server has it. */
  async runtime(provider = PROVIDER): Promise<SideRuntime> {
    const mine = new Set(this.ids());
    const found = (await this.side.runtimes()).find((one) => one.provider === provider && mine.has(one.id));
    assert(found, `the server has no runtime ${provider} of ours`);
    return found;
  }

  /** A task for our agent. */
  async enqueue(options: { readonly after?: string } = {}): Promise<string> {
    return await this.side.enqueue((await this.runtime()).id, options);
  }

  async is(task: string, status: string): Promise<SideTask> {
    await this.later(`the task is ${status}`, async () => (await this.side.task(task)).status === status);
    return await this.side.task(task);
  }

  async statuses(tasks: readonly string[]): Promise<string[]> {
    return await Promise.all(tasks.map(async (id) => (await this.side.task(id)).status));
  }

  /** With a WebSocket, over which the daemon beats by now. */
  async withSocket(): Promise<void> {
    if (!this.side.endpoint.dial) throw new NotOffered("it has no WebSocket");
    await this.later("the socket is open", () => this.line.sockets === 1);
  }

  /** Profiles have changed: without a hint the daemon looks as seldom as it looks for workspaces. */
  async noticed(what: string, so: () => boolean): Promise<void> {
    if (!this.side.endpoint.dial && this.slow) {
      throw new NotOffered("it has no WebSocket, which would tell of profiles");
    }
    if (!this.side.endpoint.dial) await this.clock.advance(40 * 60_000);
    await this.later(what, so);
  }

  /** As long as that; where time is real, a little. */
  async pass(ms: number): Promise<void> {
    await this.clock.advance(this.slow ? Math.min(ms, 40_000) : ms);
  }

  override async until(what: string, so: () => boolean | Promise<boolean>): Promise<void> {
    if (!this.slow) return await super.until(what, so);
    const end = performance.now() + PATIENCE_MS;
    while (!await so()) {
      assert(performance.now() < end, `It did not come to this: ${what}; ${this.story()}`);
      await this.clock.settle();
    }
  }

  override later(what: string, so: () => boolean | Promise<boolean>): Promise<void> {
    return this.slow ? this.until(what, so) : super.later(what, so);
  }
}

/** The same test against each server; where one cannot do what it takes, it is left out and says why. */
export function conform(
  title: string,
  test: (w: ConformanceWorld) => Promise<void>,
  options: TeamDaemonOptions = {},
): void {
  for (const { name, slow, open } of KINDS) {
    Deno.test(`${title} [${name}]`, async () => {
      try {
        await using w = new ConformanceWorld(await open(), slow, options);
        await w.daemon.start();
        await w.later("the daemon is registered", () => w.ids().length === w.found.length);
        await test(w);
      } catch (error) {
        if (!(error instanceof NotOffered)) throw error;
        console.log(`left out [${name}]: ${error.message}`);
      }
    });
  }
}
