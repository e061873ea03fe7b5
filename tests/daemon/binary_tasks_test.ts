/** Tasks of a program that is being replaced: those that run are left alone, those that would start wait, none is lost. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Runtime, SkippedProvider } from "../../lib/core/model.ts";
import { HostError } from "../../lib/core/ports.ts";
import { ELF, fingerprints, Machine } from "../agents/program_layouts.ts";
import { DaemonWorld, type WorldOptions } from "./daemon_world.ts";

const native = (version: string) => ({ "bin/bot": `${ELF} ${version}` });

class Box implements AsyncDisposable {
  private constructor(readonly machine: Machine, readonly world: DaemonWorld) {}

  static async started(options: WorldOptions = {}): Promise<Box> {
    const machine = await Machine.of(native("1.2.3"));
    const executable = machine.at("bin/bot");
    const found = async (): Promise<Runtime | SkippedProvider> => {
      const version = /\d+\.\d+\.\d+/.exec(await Deno.readTextFile(executable).catch(() => ""))?.[0];
      if (version === undefined) return { provider: "bot", why: "version-probe-failed", detail: "no version" };
      return { provider: "bot", family: "plain-text", executable, fixedArgs: [], version };
    };
    const world = await DaemonWorld.started({
      ...options,
      daemon: {
        discover: async ({ known }) => {
          const one = await found();
          return { found: known.length === 0 && "version" in one ? [one] : [], skipped: [] };
        },
        binaries: { mode: "runtime", intervalMs: 30_000, fingerprints, probe: found },
        ...options.daemon,
      },
    });
    const box = new Box(machine, world);
    await world.later("the files were read", () => box.digest !== "");
    return box;
  }

  get runtime() {
    return this.world.daemon.status().connections[0]!.runtimes[0];
  }

  get digest(): string {
    return this.runtime?.digest ?? "";
  }

  /** In small steps, so that real files keep up with a time that is limited. */
  slowly(what: string, so: () => boolean): Promise<void> {
    return this.world.until(what, async () => {
      if (so()) return true;
      await this.world.clock.advance(100);
      return false;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
    await this.machine[Symbol.asyncDispose]();
  }
}

Deno.test("a daemon registers a replaced program in place: what runs goes on, no orphans are recovered, the next task gets it", async () => {
  await using box = await Box.started();
  const { world, machine } = box;
  const { id, digest } = box.runtime!;
  const task = await world.submit();
  const agent = await world.agent();
  const recovered = world.count("recover-orphans");
  await machine.put(native("2.0.0"));
  await world.later("the new version is registered", () => box.runtime?.version === "2.0.0");
  await world.later("it is what all is compared with", () => box.runtime?.state === undefined);
  assertEquals([box.runtime?.id, box.digest === digest, agent.stops], [id, false, 0]);
  assertEquals(world.count("recover-orphans"), recovered);
  assertEquals(world.daemon.status().reloadPending, null);
  agent.end();
  assertEquals((await world.ended(task, "completed")).attempt, 1);
  const next = await world.submit("again");
  (await world.agent(1)).end();
  await world.ended(next, "completed");
});

Deno.test("a daemon claims no task for a program that is being replaced, and all of them when it is there", async () => {
  await using box = await Box.started();
  const { world, machine } = box;
  await Deno.remove(machine.at("bin/bot"));
  await world.later("it is missed", () => box.runtime?.state === "missing");
  const task = await world.submit();
  for (let n = 0; n < 40; n++) await world.clock.advance(1_000);
  assertEquals([(await world.show(task)).status, world.agents.started.length], ["queued", 0]);
  await machine.put(native("2.0.0"));
  await world.later("it is started", () => world.agents.started.length === 1);
  (await world.agent()).end();
  await world.ended(task, "completed");
});

Deno.test("a task whose program vanishes between two looks waits before its start, under its lease", async () => {
  await using box = await Box.started();
  const { world, machine } = box;
  await Deno.remove(machine.at("bin/bot"));
  const task = await world.submit();
  await box.slowly("its lease was renewed", () => world.count("prepare-lease") > 0);
  assertEquals([(await world.show(task)).status, world.count("start"), world.agents.started.length], [
    "dispatched",
    0,
    0,
  ]);
  await machine.put(native("1.2.3"));
  await box.slowly("it is started", () => world.agents.started.length === 1);
  (await world.agent()).end();
  assertEquals((await world.ended(task, "completed")).attempt, 1);
});

Deno.test("a task whose program stays away fails after a minute for a reason that is tried again", async () => {
  await using box = await Box.started();
  const { world, machine } = box;
  await Deno.remove(machine.at("bin/bot"));
  const task = await world.submit();
  await world.later("it failed", async () => (await world.show(task)).status === "failed");
  const { failure_reason, error, retried_by } = await world.show(task);
  assertEquals([failure_reason, retried_by !== null, world.agents.started.length], ["runtime_offline", true, 0]);
  assertEquals(world.count("start"), 0, "it was never begun");
  assertStringIncludes(error!, "is missing");
  await machine.put(native("1.2.3"));
  await world.later("the next attempt is started", () => world.agents.started.length === 1);
  (await world.agent()).end();
  assertEquals((await world.ended(retried_by!, "completed")).attempt, 2);
});

Deno.test("a task withdraws its program's runtime only after it has ended, and the runtime returns with its program", async () => {
  await using box = await Box.started();
  const { world, machine } = box;
  const task = await world.submit();
  const agent = await world.agent();
  await Deno.remove(machine.at("bin/bot"));
  await world.later("it is given up", () => box.runtime?.state === "absent");
  assertEquals(world.daemon.status().reloadPending?.blockedBy, {
    active: 1,
    claims: 0,
    why: "its tasks are not done yet",
  });
  agent.end();
  await world.ended(task, "completed");
  await world.later("it is withdrawn", () => box.runtime === undefined);
  const recovered = world.count("recover-orphans");
  assertEquals(world.count("deregister"), 1);
  await machine.put(native("1.2.3"));
  await world.later("it is back", () => box.runtime !== undefined);
  assertEquals(world.count("recover-orphans"), recovered);
  const next = await world.submit("again");
  (await world.agent(1)).end();
  await world.ended(next, "completed");
});

for (const code of ["not-found", "not-executable"] as const) {
  Deno.test(`a start that the system refuses as ${code} is tried once more, then left to the next attempt`, async () => {
    let refusals = 1;
    await using box = await Box.started({
      refuse() {
        if (refusals-- > 0) throw new HostError(code, "Cannot start /bin/bot: it is being written right now");
      },
    });
    const { world } = box;
    const first = await world.submit();
    (await world.agent()).end();
    assertEquals((await world.ended(first, "completed")).attempt, 1);
    refusals = 2;
    const second = await world.submit("again");
    await world.later("it failed", async () => (await world.show(second)).status === "failed");
    const { failure_reason, retried_by } = await world.show(second);
    assertEquals([failure_reason, retried_by !== null, refusals <= 0], ["runtime_offline", true, true]);
    await world.later("the next attempt is started", () => world.agents.started.length === 2);
    (await world.agent(1)).end();
    await world.ended(retried_by!, "completed");
  });
}

Deno.test("a daemon that ends while a task waits for its program gives the task back", async () => {
  await using box = await Box.started();
  const { world, machine } = box;
  await Deno.remove(machine.at("bin/bot"));
  const task = await world.submit();
  await world.later("it waits", () => world.log.records.some(({ message }) => message.includes("waits for its agent")));
  world.daemon.stop();
  world.daemon.cancelTasks();
  await world.left();
  const { status, retried_by } = await world.show(task);
  assert(status !== "failed" || retried_by !== null, status);
  assertEquals(world.agents.started.length, 0);
});
