/** A release was taken back and no daemon is there: whoever is left of updater and guard starts the old one, and nobody does it against a person's wish. */
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { instancePorts } from "../../lib/app/instance.ts";
import { readUpdates, writeUpdates } from "../../lib/app/update_file.ts";
import { sightOf } from "../../lib/app/update_sight.ts";
import { runUpdater } from "../../lib/app/updater.ts";
import { guardTrial } from "../../lib/app/updater_guard.ts";
import type { Env, Host } from "../../lib/core/ports.ts";
import { beginTrial, stepTrial } from "../../lib/core/update.ts";
import type { LifecycleRecord } from "../../lib/lifecycle/lifecycle_file.ts";
import { UpdateWorld } from "./update_world.ts";

const BAD = "1.1.0-bbbbbbbbbbbb";
const AT = "2026-01-15T12:00:00Z";

type Journal = Partial<Pick<LifecycleRecord, "desired" | "operation">>;

const wanted: Journal = { desired: { state: "running", by: "start", at: AT } };
const unwanted: Journal = { desired: { state: "stopped", by: "stop", at: AT } };

function cutOff(reason: "update" | "user"): Journal {
  return { ...wanted, operation: { verb: "restart", phase: "starting", reason, args: ["--foo"], since: AT } };
}

class Restore implements AsyncDisposable {
  readonly launches: { argv: readonly string[]; env: Env }[] = [];
  readonly host: Host;

  private constructor(readonly world: UpdateWorld) {
    const { clock } = world.host;
    this.host = {
      ...world.host,
      // What is waited for is looked for often.
      clock: { ...clock, sleep: (ms, options) => clock.sleep(Math.min(ms, 20), options) },
      signals: { on: () => ({ [Symbol.dispose]() {} }) },
      launcher: {
        launch: ({ argv, env }) => {
          this.launches.push({ argv, env });
          // One that finds that it is wanted no more ends with 0.
          Deno.writeTextFileSync(world.home.lifecycle, journalText(unwanted));
          return { pid: 2 ** 30, exit: Promise.resolve({ code: 0, signal: null }) };
        },
        signal: () => "gone",
      },
    };
  }

  static async create(journal: Journal): Promise<Restore> {
    const world = await UpdateWorld.create("1.0.0");
    await Deno.writeTextFile(world.home.lifecycle, journalText(journal), { mode: 0o600 });
    return new Restore(world);
  }

  async onTrial(): Promise<void> {
    const { installation, first, home } = this.world;
    const state = await readUpdates(this.host.files, installation);
    const trial = { name: BAD, before: first, home: home.root };
    await writeUpdates(this.host.files, installation, beginTrial(state, trial, 0));
  }

  async takenBack(): Promise<void> {
    const { installation } = this.world;
    let state = await readUpdates(this.host.files, installation);
    while (state.trial) state = stepTrial(state, { kind: "failed", why: "it crashed" }, 0).state;
    await writeUpdates(this.host.files, installation, state);
  }

  /** What was started, and why. */
  get started(): readonly (readonly string[])[] {
    return this.launches.map(({ argv, env }) => [...argv, env.DROVER_LAUNCH_REASON ?? ""]);
  }

  daemon(reason: string, args: readonly string[] = []): readonly string[] {
    return [join(this.world.installation.current, "drover"), "daemon", "--quiet", ...args, reason];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.world[Symbol.asyncDispose]();
  }
}

function journalText(journal: Journal): string {
  return JSON.stringify({ schemaVersion: 1, ...journal });
}

for (
  const [what, journal, restored] of [
    ["a restart for a release that was cut off", cutOff("update"), ["rollback", "--foo"]],
    ["a daemon that crashed", wanted, ["rollback"]],
    ["a daemon that somebody stopped", unwanted, undefined],
  ] as const
) {
  Deno.test(`a guard that finds the release taken back and no updater sees to ${what}`, async () => {
    await using restore = await Restore.create(journal);
    await restore.onTrial();
    const { clock } = restore.host;
    const sleep: typeof clock.sleep = async (...args) => {
      await restore.takenBack();
      await clock.sleep(...args);
    };
    await guardTrial({ ...restore.host, clock: { ...clock, sleep } }, restore.world.home, { once: true });
    const [reason, ...args] = restored ?? [];
    assertEquals(restore.started, reason ? [restore.daemon(reason, args)] : []);
  });
}

Deno.test("a guard takes the release back and starts the daemon that its updater had stopped", async () => {
  await using restore = await Restore.create(cutOff("update"));
  await restore.onTrial();
  // The link leads to the old one already, so that there is nothing to become.
  const { host } = restore;
  const launcher: Host["launcher"] = {
    ...host.launcher,
    launch: (request) =>
      request.argv.includes("__updater")
        ? { pid: 2 ** 30, exit: Promise.resolve({ code: 0, signal: null }) }
        : host.launcher.launch(request),
  };
  const monotonic = () => 20 * host.clock.monotonic();
  await guardTrial({ ...host, launcher, clock: { ...host.clock, monotonic } }, restore.world.home, { once: true });
  assertEquals(restore.started, [restore.daemon("rollback", ["--foo"])]);
});

for (
  const [what, journal, started] of [
    ["completes a restart for an update", cutOff("update"), true],
    ["leaves that of a person to them", cutOff("user"), false],
    ["starts no daemon that died", wanted, false],
  ] as const
) {
  Deno.test(`where no release was taken back, an updater ${what}`, async () => {
    await using restore = await Restore.create(journal);
    await runUpdater(restore.host, restore.world.home, { once: true });
    assertEquals(restore.started, started ? [restore.daemon("update", ["--foo"])] : []);
  });
}

Deno.test("while somebody restarts the daemon it is not missing, and a stop on purpose is none of a release's faults", async () => {
  await using restore = await Restore.create(cutOff("user"));
  const { host, world: { home, first: name } } = restore;
  const look = async () => (await sightOf(instancePorts(host, home), home, { name })).kind;
  assertEquals(await look(), "missing");
  const restarting = await host.locks.tryLock(home.restartLock);
  assertEquals(await look(), "busy");
  restarting?.release();
  const held = await host.locks.tryLock(home.daemonLock);
  assertEquals(await look(), "unclear");
  await Deno.writeTextFile(home.lifecycle, journalText(unwanted));
  assertEquals(await look(), "busy");
  held?.release();
  assertEquals(await look(), "unwanted");
});
