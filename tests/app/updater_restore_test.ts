/** A release was taken back and no daemon is there: whoever is left of updater and guard starts the old one, and nobody does it against a person's wish. */
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { tryInstallLock } from "../../lib/app/install_lock.ts";
import { instancePorts } from "../../lib/app/instance.ts";
import { readUpdates, writeUpdates } from "../../lib/app/update_file.ts";
import { sightOf } from "../../lib/app/update_sight.ts";
import { ReleaseTrial } from "../../lib/app/update_trial.ts";
import { runUpdater } from "../../lib/app/updater.ts";
import { guardTrial } from "../../lib/app/updater_guard.ts";
import type { Env, Host, Lock } from "../../lib/core/ports.ts";
import { beginTrial, stepTrial } from "../../lib/core/update.ts";
import type { LifecycleRecord } from "../../lib/lifecycle/lifecycle_file.ts";
import { UpdateWorld } from "./update_world.ts";

const BAD = "1.1.0-bbbbbbbbbbbb";
const MINUTE = 60_000;
/** How long the loop sleeps. */
const TICK_MS = 5_000;
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

  async onTrial(home = this.world.home.root): Promise<void> {
    const { installation, first } = this.world;
    const state = await readUpdates(this.host.files, installation);
    const trial = { name: BAD, before: first, home };
    await writeUpdates(this.host.files, installation, beginTrial(state, trial, 0));
  }

  async takenBack({ agoMs = 0 }: { agoMs?: number } = {}): Promise<void> {
    const { installation } = this.world;
    const at = this.host.clock.now() - agoMs;
    let state = await readUpdates(this.host.files, installation);
    while (state.trial) state = stepTrial(state, { kind: "failed", why: "it crashed" }, at).state;
    await writeUpdates(this.host.files, installation, state);
  }

  /** As releases wrote it that did not say whose trial it was. */
  async forgetHome(): Promise<void> {
    const { updates } = this.world.installation;
    const state = JSON.parse(await Deno.readTextFile(updates));
    for (const round of state.rounds) delete round.home;
    await Deno.writeTextFile(updates, JSON.stringify(state));
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

for (
  const [what, takeBack, started] of [
    ["a minute ago", (restore: Restore) => restore.takenBack({ agoMs: MINUTE }), true],
    ["half an hour ago", (restore: Restore) => restore.takenBack({ agoMs: 30 * MINUTE }), false],
    ["under a clock that was ahead", (restore: Restore) => restore.takenBack({ agoMs: -30 * MINUTE }), false],
    ["in the days before a round said whose it was", async (restore: Restore) => {
      await restore.takenBack();
      await restore.forgetHome();
    }, true],
  ] as const
) {
  Deno.test(`a daemon that is missing where a release was taken back ${what} is ${started ? "" : "not "}started`, async () => {
    await using restore = await Restore.create(wanted);
    await restore.onTrial();
    await takeBack(restore);
    await runUpdater(restore.host, restore.world.home, { once: true });
    assertEquals(restore.started, started ? [restore.daemon("rollback")] : []);
  });
}

Deno.test("a release that was taken back from another home is no reason to start a daemon that died here", async () => {
  await using restore = await Restore.create(wanted);
  await restore.onTrial("/somewhere/else");
  await restore.takenBack();
  await runUpdater(restore.host, restore.world.home, { once: true });
  assertEquals(restore.started, []);
});

Deno.test("an updater that saw all in order after a release was taken back starts no daemon that dies later", async () => {
  await using restore = await Restore.create(unwanted);
  await restore.onTrial();
  await restore.takenBack();
  const { host, world: { home } } = restore;
  await Deno.writeTextFile(home.config, JSON.stringify({ update: { auto: true } }), { mode: 0o600 });
  let end = () => {};
  let ticks = 0;
  const sleep: typeof host.clock.sleep = async (ms, options) => {
    if (ms === TICK_MS) {
      await Deno.writeTextFile(home.lifecycle, journalText(wanted));
      if (++ticks === 3) end();
    }
    await host.clock.sleep(ms, options);
  };
  const signals: Host["signals"] = {
    on: (names, fn) => {
      if (names.includes("SIGTERM")) end = () => fn("SIGTERM");
      return { [Symbol.dispose]() {} };
    },
  };
  await runUpdater({ ...host, signals, clock: { ...host.clock, sleep } }, home, { once: false });
  assertEquals([restore.started, ticks], [[], 3]);
});

Deno.test("a guard whose release was taken back becomes the updater also while somebody installs", async () => {
  await using restore = await Restore.create(cutOff("update"));
  await restore.onTrial();
  await restore.takenBack();
  const { host, world } = restore;
  const state = await readUpdates(host.files, world.installation);
  await writeUpdates(
    host.files,
    world.installation,
    beginTrial(state, { name: BAD, before: world.first, home: world.home.root }, 0),
  );
  await using _installs = await tryInstallLock(host, world.installation);
  const { clock } = host;
  const sleep: typeof clock.sleep = async (...args) => {
    await writeUpdates(host.files, world.installation, state);
    await clock.sleep(...args);
  };
  await guardTrial({ ...host, clock: { ...clock, sleep } }, world.home, { once: true });
  assertEquals(restore.started, [restore.daemon("rollback", ["--foo"])]);
});

for (const reason of ["update", "rollback"] as const) {
  Deno.test(`a daemon that a person stops in the very moment is not started for the reason ${reason}`, async () => {
    await using restore = await Restore.create(cutOff("update"));
    if (reason === "rollback") {
      await restore.onTrial();
      await restore.takenBack();
    }
    const { host, world: { home } } = restore;
    const lock: typeof host.locks.lock = async (path, options) => {
      if (path === home.restartLock) await Deno.writeTextFile(home.lifecycle, journalText(unwanted));
      return await host.locks.lock(path, options);
    };
    await runUpdater({ ...host, locks: { ...host.locks, lock } }, home, { once: true });
    assertEquals(restore.started, []);
  });
}

Deno.test("the way back waits for whoever is at work on the daemon, and looks again", async () => {
  await using restore = await Restore.create(wanted);
  await restore.onTrial();
  const { host, world: { home, installation, first } } = restore;
  const state = await readUpdates(host.files, installation);
  const trial = state.trial && { ...state.trial, failures: ["it crashed"] };
  await writeUpdates(host.files, installation, { ...state, trial });
  await Deno.mkdir(join(installation.releases, BAD));
  await Deno.remove(installation.current);
  await Deno.symlink(`releases/${BAD}`, installation.current);
  const asked: string[] = [];
  const locks: Host["locks"] = {
    ...host.locks,
    lock: (path, options) => {
      asked.push(path);
      return host.locks.lock(path, options);
    },
  };
  const launcher: Host["launcher"] = {
    ...host.launcher,
    launch: () => ({ pid: 2 ** 30, exit: Promise.resolve({ code: 1, signal: null }) }),
  };
  let person: Lock | undefined;
  const beat = async () => {
    if ((await readUpdates(host.files, installation)).trial) return;
    if (!person) {
      person = await host.locks.tryLock(home.restartLock);
      return;
    }
    await Deno.writeTextFile(home.lifecycle, journalText(unwanted));
    person.release();
  };
  await new ReleaseTrial({ ...host, locks, launcher }, home, {
    ...{ installation, name: BAD, stableMs: 60_000, readyMs: 5_000, beat },
    log: host.logs.getLogger("update"),
    signal: new AbortController().signal,
  }).run();
  const { rounds } = await readUpdates(host.files, installation);
  assertEquals(rounds.at(-1)?.result, "taken-back");
  assertEquals(await Deno.readLink(installation.current), `releases/${first}`);
  assertEquals(asked.filter((path) => path === home.restartLock).length, 1, "for the start that failed");
});

Deno.test("who looks is told whether the daemon that is missing has ended in good order", async () => {
  await using restore = await Restore.create(wanted);
  const { host, world: { home, first: name } } = restore;
  const look = (watched: string) => sightOf(instancePorts(host, home), home, { name, watched });
  const missing = { kind: "missing", cutOff: false } as const;
  assertEquals(await look("one"), { ...missing, ended: false });
  await Deno.writeTextFile(home.lastExit, JSON.stringify({ instance: "one" }));
  assertEquals(await look("one"), { ...missing, ended: true });
  assertEquals(await look("two"), { ...missing, ended: false }, "another one has");
});

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
