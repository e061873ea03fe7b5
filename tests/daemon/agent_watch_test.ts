/** The agent watch: how often it looks and asks, what it takes for news, and what it says. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Runtime } from "../../lib/core/model.ts";
import { type AgentWatch, createAgentWatch } from "../../lib/daemon/agent_watch.ts";
import type { Refreshed } from "../../lib/daemon/surroundings.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { type KeptLog, keptLog } from "./kept_log.ts";

const MINUTE = 60_000;

function runtime(provider: string, version = "1.2.3"): Runtime {
  return { provider, family: "plain-text", executable: `/bin/${provider}`, fixedArgs: [], version };
}

class World implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly log: KeptLog = keptLog();
  readonly watch: AgentWatch;
  /** What is on the machine. */
  there: Runtime[];
  refreshed: Refreshed = "same";
  fault: Error | undefined;
  /** Minutes at which a shell was asked, and at which agents were looked for. */
  readonly asked: number[] = [];
  readonly looked: number[] = [];
  found = 0;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(there: readonly string[]) {
    this.there = there.map((name) => runtime(name));
    this.watch = createAgentWatch({
      clock: this.clock,
      log: this.log,
      surroundings: {
        env: () => ({ PATH: `/asked/${this.asked.length}` }),
        refresh: () => {
          this.asked.push(this.clock.monotonic() / MINUTE);
          return Promise.resolve(this.refreshed);
        },
      },
      discover: ({ env, known }) => {
        this.looked.push(this.clock.monotonic() / MINUTE);
        assertEquals(env.PATH, `/asked/${this.asked.length}`);
        if (this.fault) return Promise.reject(this.fault);
        const found = this.there.filter(({ provider }) => known.every((one) => one.provider !== provider));
        return Promise.resolve({ found, skipped: [] });
      },
    });
  }

  static async started(there: readonly string[], refreshed: Refreshed = "same"): Promise<World> {
    const world = new World(there);
    world.refreshed = refreshed;
    await world.watch.look(world.#stop.signal);
    world.#running = world.watch.run(world.#stop.signal, () => world.found++);
    await world.clock.settle();
    return world;
  }

  names(): string[] {
    return this.watch.runtimes.map(({ provider }) => provider);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    assertEquals(this.clock.waiting, 0);
  }
}

Deno.test("AgentWatch asks at once and every 30 minutes, and looks whenever it has asked, but not twice at the start", async () => {
  await using w = await World.started(["claude", "demo"]);
  assertEquals([w.asked, w.looked], [[0], [0]]);
  await w.clock.advance(60 * MINUTE);
  assertEquals([w.asked, w.looked], [[0, 30, 60], [0, 30, 60]]);
  assertEquals([w.found, w.watch.waitsFor], [0, undefined]);
});

Deno.test("AgentWatch looks at once when the first answer brings another PATH", async () => {
  await using w = await World.started(["claude"], "changed");
  assertEquals(w.looked, [0, 0]);
});

Deno.test("AgentWatch asks a shell that did not answer again after 5 minutes", async () => {
  await using w = await World.started(["claude"], "failed");
  await w.clock.advance(5 * MINUTE);
  w.refreshed = "same";
  await w.clock.advance(60 * MINUTE);
  assertEquals(w.asked, [0, 5, 10, 40]);
});

Deno.test("AgentWatch without an agent looks every 15 seconds and asks every 5 minutes, until there is one", async () => {
  await using w = await World.started(["demo"]);
  assertStringIncludes(w.watch.waitsFor!, "install one, claude or");
  await w.clock.advance(MINUTE);
  assertEquals(w.looked, [0, 0.25, 0.5, 0.75, 1]);
  await w.clock.advance(5 * MINUTE);
  assertEquals(w.asked, [0, 5]);
  w.there.push(runtime("claude"));
  await w.clock.advance(MINUTE);
  assertEquals([w.found, w.names(), w.watch.waitsFor], [1, ["claude", "demo"], undefined]);
  await w.clock.advance(60 * MINUTE);
  assertEquals(w.looked.filter((at) => at > 6), [6.25, 10, 40]);
  assertEquals(w.found, 1);
});

Deno.test("AgentWatch logs that it waits, once, and what it finds, once", async () => {
  await using w = await World.started(["demo"]);
  await w.clock.advance(20 * MINUTE);
  const waiting = w.watch.waitsFor;
  w.there.push(runtime("claude"));
  await w.clock.advance(60 * MINUTE);
  assertEquals(w.log.records.map(({ message, fields }) => [message, fields.agents ?? fields.why]), [
    ["agents found", ["demo 1.2.3"]],
    ["waiting for an agent CLI", waiting],
    ["agents found", ["claude 1.2.3"]],
  ]);
});

Deno.test("AgentWatch adds what is new, and leaves what it knows as it is, also when that is gone or another", async () => {
  await using w = await World.started(["claude"]);
  w.there = [runtime("claude", "9.9.9"), runtime("llm")];
  await w.clock.advance(30 * MINUTE);
  assertEquals(w.watch.runtimes.map(({ version }) => version), ["1.2.3", "1.2.3"]);
  w.there = [];
  await w.clock.advance(30 * MINUTE);
  assertEquals([w.names(), w.found], [["claude", "llm"], 1]);
});

Deno.test("AgentWatch takes what it is given, and looks at once when something is dropped that leaves it without any", async () => {
  await using w = await World.started(["claude", "demo"]);
  w.watch.put(runtime("claude", "2.0.0"));
  w.watch.put(runtime("llm"));
  assertEquals(w.watch.runtimes.map(({ provider, version }) => `${provider} ${version}`), [
    "claude 2.0.0",
    "llm 1.2.3",
    "demo 1.2.3",
  ]);
  w.there = [];
  w.watch.drop({ provider: "llm", why: "not-found", detail: "gone" });
  await w.clock.settle();
  w.watch.drop({ provider: "claude", why: "version-too-old", detail: "old" });
  assertEquals([w.names(), w.watch.skipped.at(-1)?.detail], [["demo"], "old"]);
  await w.clock.settle();
  assertStringIncludes(w.watch.waitsFor!, "install one, claude or");
  const { length } = w.looked;
  await w.clock.advance(MINUTE);
  assertEquals(w.looked.length, length + 4);
});

Deno.test("AgentWatch goes on after a look that failed", async () => {
  await using w = await World.started(["demo"]);
  w.fault = new Error("no table");
  await w.clock.advance(MINUTE);
  assertEquals(w.log.said("error").length, 4);
  assert(String(w.log.records.at(-1)!.fields.error).includes("no table"));
  w.fault = undefined;
  w.there.push(runtime("claude"));
  await w.clock.advance(MINUTE);
  assertEquals(w.found, 1);
});
