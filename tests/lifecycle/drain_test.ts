/** A drain beside other verbs: it asks whoever serves once its turn has come, and what it notes is true of that one. */
import { assertEquals, assertRejects } from "@std/assert";
import { homeLayout } from "../../lib/core/home.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import type { Phase } from "../../lib/core/phase.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createLocks } from "../../lib/host/lock.ts";
import { cancelDrain, drainDaemon } from "../../lib/lifecycle/instance.ts";
import { readLifecycle } from "../../lib/lifecycle/lifecycle_file.ts";
import type { ControlPort } from "../../lib/lifecycle/observe.ts";
import { withRestartLock } from "../../lib/lifecycle/restart_lock.ts";
import type { InstancePorts } from "../../lib/lifecycle/verb.ts";
import { testHost } from "../app/test_host.ts";
import { tempDirectory } from "../host/temp_directory.ts";

const locks = createLocks(createClock());
{
  // The library stays loaded for the life of a process: it is before any test counts what was left open.
  await using dir = await tempDirectory();
  (await locks.tryLock(dir.at("first")))?.release();
}

async function world(dir: { at(name: string): string }) {
  const { host } = testHost();
  const home = homeLayout(dir.at("home"));
  await host.files.makeDirectory(home.root);
  const asked: string[] = [];
  const holder = (instance: string, mode: "daemon" | "run" = "daemon", phase: Phase["kind"] = "running") => ({
    hello: { instance, mode, phase },
    stop: () => Promise.resolve(void asked.push(`${instance}: drain`)),
    cancelDrain: () => Promise.resolve(void asked.push(`${instance}: go on`)),
    [Symbol.dispose]: () => {},
  } as unknown as ControlPort);
  const serves: { one: ControlPort | undefined } = { one: holder("first") };
  const { self, identityOf } = host.system;
  const ports = {
    ...{ files: host.files, clock: createClock(), locks, self, identityOf },
    contact: () => Promise.resolve(serves.one ? { kind: "answers", control: serves.one } : { kind: "absent" as const }),
  } as unknown as InstancePorts;
  return {
    ports,
    home,
    serves,
    holder,
    asked,
    /** Begins while another verb is at work, whose end changes who serves. */
    async during(verb: () => Promise<unknown>, next?: ControlPort) {
      let begun: Promise<unknown> = Promise.resolve();
      await withRestartLock(ports, home, {
        command: "restart",
        timeoutMs: 1_000,
        async run() {
          begun = verb();
          begun.catch(() => {});
          await ports.clock.sleep(50);
          serves.one = next;
        },
      });
      return await begun;
    },
    desired: async () => (await readLifecycle(host.files, home)).desired?.state,
  };
}

Deno.test("a drain that waits for a restart drains the daemon that is there then", async () => {
  await using dir = await tempDirectory();
  const w = await world(dir);
  await w.during(() => drainDaemon(w.ports, w.home, {}), w.holder("second"));
  assertEquals([w.asked, await w.desired()], [["second: drain"], "stopped"]);
});

Deno.test("a drain that finds nobody, or a run, when its turn has come says so and notes nothing", async () => {
  await using dir = await tempDirectory();
  const w = await world(dir);
  const drain = () => drainDaemon(w.ports, w.home, {});
  assertEquals((await assertRejects(() => w.during(drain), DroverError)).code, "not_running");
  const run = w.holder("third", "run");
  assertEquals((await assertRejects(() => w.during(drain, run), DroverError)).code, "busy");
  assertEquals((await assertRejects(() => cancelDrain(w.ports, w.home, {}), DroverError)).code, "busy");
  assertEquals([w.asked, await w.desired()], [[], undefined]);
});

Deno.test("a drain is taken back at once, and noted as wanted is only a daemon that still serves when that is written", async () => {
  await using dir = await tempDirectory();
  const w = await world(dir);
  const cancel = () => cancelDrain(w.ports, w.home, {});
  assertEquals((await assertRejects(() => w.during(cancel), DroverError)).code, "not_running");
  assertEquals([w.asked, await w.desired()], [["first: go on"], undefined]);
  for (const [phase, desired] of [["draining", undefined], ["running", "running"]] as const) {
    w.serves.one = w.holder("first");
    await w.during(cancel, w.holder("first", "daemon", phase));
    assertEquals(await w.desired(), desired);
  }
});
