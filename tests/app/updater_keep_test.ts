/** What a daemon does about updates besides its own: its updater is kept alive, and a trial of another home is waited for. */
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { reloadOptions } from "../../lib/app/reload.ts";
import { readUpdates, writeUpdates } from "../../lib/app/update_file.ts";
import { keepUpdater } from "../../lib/app/updater_keep.ts";
import { mergeSettings } from "../../lib/core/config.ts";
import { homeLayout } from "../../lib/core/home.ts";
import type { Host } from "../../lib/core/ports.ts";
import { stepTrial } from "../../lib/core/update.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { UpdateWorld } from "./update_world.ts";

async function eventually(condition: () => boolean, what: string): Promise<void> {
  for (const deadline = Date.now() + 10_000; !condition(); await new Promise((done) => setTimeout(done, 10))) {
    if (Date.now() > deadline) throw new Error(`Waiting in vain: ${what}`);
  }
}

Deno.test("a daemon starts an updater that is wanted and not there, also later, until it ends", async () => {
  await using world = await UpdateWorld.create("1.0.0");
  let waits = 0;
  const clock = new class extends FakeClock {
    override after(ms: number, fn: () => void): Disposable {
      waits++;
      return super.after(ms, fn);
    }
  }();
  const launches: string[] = [];
  const launcher: Host["launcher"] = {
    launch({ argv }) {
      launches.push(argv.slice(-1)[0]!);
      return { pid: 1, exit: Promise.resolve({ code: 0, signal: null }) };
    },
    signal: () => "gone",
  };
  const host: Host = { ...world.host, clock, launcher };
  const config = (auto: boolean) =>
    Deno.writeTextFile(world.home.config, JSON.stringify({ update: { auto } }), { mode: 0o600 });
  await config(false);
  const looked = (times: number) => eventually(() => waits === times, "it has looked");
  {
    using _kept = keepUpdater(host, world.home);
    await looked(1);
    assertEquals(launches, [], "nobody wants one");
    await config(true);
    await clock.advance(60_000);
    await looked(2);
    assertEquals(launches, ["__updater"]);
    await clock.advance(60_000);
    await looked(3);
    assertEquals(launches.length, 2, "the first one did not live");
  }
  await clock.advance(10 * 60_000);
  assertEquals([launches.length, waits], [2, 3]);
});

Deno.test("a daemon of another home does not take a release that is on trial", async () => {
  await using world = await UpdateWorld.create("1.0.0");
  const { installation, key } = world;
  const current = join(installation.current, "drover");
  const host: Host = { ...world.host, system: { ...world.host.system, selfCommand: [current] } };
  const settings = mergeSettings({ flags: {}, env: { DROVER_RELOAD_INTERVAL: "200ms" }, file: {} });
  const handOff = { prepare: () => Promise.resolve(undefined), launch: () => Promise.reject() } as never;
  const { own } = await reloadOptions(host, homeLayout(world.home.root + "-other"), { settings, handOff });
  const ending = new AbortController();
  let looks = 0;
  const running = own!.run(ending.signal, () => looks++);
  try {
    await eventually(() => looks > 0, "it knows what runs");
    await world.publish("1.1.0");
    await world.round({ keys: [key.publicKey] });
    await eventually(() => own!.waits()?.why.includes("updater") ?? false, "it leaves that to the updater");
    const seen = looks;
    await eventually(() => looks > seen + 3, "it has looked again");
    assertEquals(own!.changes(), []);
    const { state } = stepTrial(await readUpdates(host.files, installation), { kind: "unwanted" }, Date.now());
    await writeUpdates(host.files, installation, state);
    await eventually(() => own!.changes().length === 1, "the release is good, and taken");
  } finally {
    ending.abort();
    await running;
  }
});
