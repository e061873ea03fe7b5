/** A whole daemon of one team server, which is the strict fake: fake agents, time that stands still, no network. */
import { assertEquals } from "@std/assert";
import { createNetwork } from "../../lib/host/network.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { FakeMultica, type FakeMulticaOptions, type FakeRuntime } from "../support/fake_multica.ts";
import type { FakeTask, TaskStatus } from "../support/fake_multica_tasks.ts";
import { TeamDaemon, type TeamDaemonOptions } from "./team_daemon.ts";

export interface TeamOptions extends Omit<FakeMulticaOptions, "now">, TeamDaemonOptions {
  /** Over TCP instead of in memory. */
  readonly tcp?: boolean;
  /** No WebSocket. */
  readonly deaf?: boolean;
}

export class TeamWorld extends TeamDaemon<FakeClock> {
  readonly server: FakeMultica;

  private constructor(server: FakeMultica, clock: FakeClock, { tcp, deaf, ...options }: TeamOptions) {
    const network = createNetwork();
    const baseUrl = tcp ? server.listen() : "http://team.test";
    const dial = tcp ? network.outwardDial({}) : server.hub.dial;
    const fetch = tcp ? network.fetch : server.fetch;
    super(clock, { baseUrl, fetch, token: server.token, ...(deaf ? {} : { dial }) }, options);
    this.server = server;
  }

  /** Registered, and heard over its WebSocket where it has one. */
  static async started(options: TeamOptions = {}): Promise<TeamWorld> {
    const clock = new FakeClock();
    const world = new TeamWorld(new FakeMultica({ ...options, now: () => clock.monotonic() }), clock, options);
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

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    await this.server.close();
    assertEquals(this.clock.waiting, 0, "timers were left behind");
    assertEquals(this.server.violations, []);
  }

  get runtime(): FakeRuntime {
    return this.server.runtimeOf(this.found[0]!);
  }

  async is(task: FakeTask, status: TaskStatus): Promise<void> {
    await this.later(`the task is ${status}`, () => task.status === status);
  }

  override story(): string {
    return [super.story(), ...this.server.calls.slice(-40).map(({ route }) => route)].join("\n");
  }
}
