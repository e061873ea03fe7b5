/** The holder's own record: put back when it is lost, left to a successor, and what ends the breaker's row of failures. */
import { assertEquals, assertNotEquals } from "@std/assert";
import { createOwnRecord } from "../../lib/app/own_record.ts";
import { BREAKER, FRESH_BREAKER, stepBreaker } from "../../lib/core/breaker.ts";
import { type Home, homeLayout } from "../../lib/core/home.ts";
import { type Files, HostError } from "../../lib/core/ports.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createLocks } from "../../lib/host/lock.ts";
import { readLifecycle, updateLifecycle } from "../../lib/lifecycle/lifecycle_file.ts";
import { readPidfile, writePidfile } from "../../lib/lifecycle/pidfile.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { eventually } from "../support/drover.ts";
import { testHost } from "./test_host.ts";

/** The library stays loaded for the life of a process: it is before any test counts what was left open. */
const locks = createLocks(createClock());
{
  await using dir = await tempDirectory();
  (await locks.tryLock(dir.at("first")))?.release();
}

async function world(dir: { at(name: string): string }) {
  const base = testHost({ env: { FLAVOUR: "vanilla" }, selfCommand: [Deno.execPath()] });
  const faults = { left: 0 };
  const files: Files = {
    ...base.host.files,
    stat(path, options) {
      if (faults.left === 0 || path !== home.daemonLock) return base.host.files.stat(path, options);
      faults.left--;
      return Promise.reject(new HostError("other", `Cannot look at ${path}`));
    },
  };
  const host = { ...base.host, files, locks };
  const home: Home = homeLayout(dir.at("home"));
  await host.files.makeDirectory(home.root);
  let superseded = 0;
  const record = createOwnRecord(host, home, {
    instance: "own",
    mode: "daemon",
    args: ["daemon"],
    controlSocket: "/nowhere.sock",
    supervisor: "none",
    onSuperseded: () => superseded++,
  });
  return { host, home, record, faults, clock: base.clock, superseded: () => superseded };
}

/** Lets time pass until something has happened on the real disk. */
async function passing(clock: { advance(ms: number): Promise<void> }, until: () => Promise<boolean>, what: string) {
  await eventually(async () => {
    await clock.advance(1_000);
    return await until();
  }, what);
}

Deno.test("the record is written again when it is gone, and taken away at the end, when the end is noted", async () => {
  await using dir = await tempDirectory();
  const { host, home, record, clock } = await world(dir);
  using _lock = await host.locks.tryLock(home.daemonLock);
  const published = await record.publish();
  const read = () => readPidfile(host.files, home.pidfile);
  assertEquals((await read())?.instance, "own");
  await passing(clock, async () => (await read())?.digest.length === 64, "the digest is in the record");
  assertNotEquals((await read())?.launch.env.FLAVOUR, undefined);
  await Deno.remove(home.pidfile);
  await passing(clock, async () => await read() !== undefined, "it is back");
  await published[Symbol.asyncDispose]();
  assertEquals(await read(), undefined);
  assertEquals(JSON.parse(await Deno.readTextFile(home.lastExit)).instance, "own");
});

Deno.test("a holder whose lock file was replaced locks the new one, or leaves it and its record to whoever has it", async () => {
  for (const taken of [false, true]) {
    await using dir = await tempDirectory();
    const { host, home, record, clock, superseded } = await world(dir);
    using _lock = await host.locks.tryLock(home.daemonLock);
    const published = await record.publish();
    // The guard remembers the file it began with.
    await passing(clock, async () => (await readPidfile(host.files, home.pidfile))!.digest !== "", "it is watched");
    await Deno.remove(home.daemonLock);
    const successor = taken ? await host.locks.tryLock(home.daemonLock) : undefined;
    if (taken) await writePidfile(host.files, home.pidfile, { ...record.value(), instance: "successor" });
    if (taken) await passing(clock, () => Promise.resolve(superseded() === 1), "it leaves");
    else {
      await passing(clock, async () => {
        if (await host.files.stat(home.daemonLock) === undefined) return false;
        const other = await host.locks.tryLock(home.daemonLock);
        other?.release();
        return other === undefined;
      }, "it holds the new file");
    }
    await published[Symbol.asyncDispose]();
    assertEquals(superseded(), taken ? 1 : 0);
    assertEquals((await readPidfile(host.files, home.pidfile))?.instance, taken ? "successor" : undefined);
    successor?.release();
  }
});

Deno.test("a look at the home that fails is only put off: what was locked anew stays ours, and what is lost comes back", async () => {
  await using dir = await tempDirectory();
  const { host, home, record, faults, clock, superseded } = await world(dir);
  using _lock = await host.locks.tryLock(home.daemonLock);
  // The very first look already.
  faults.left = 1;
  const published = await record.publish();
  const tried = () => passing(clock, () => Promise.resolve(faults.left === 0), "it has looked");
  const isHeld = async () => {
    if (await Deno.stat(home.daemonLock).catch(() => undefined) === undefined) return false;
    const other = await host.locks.tryLock(home.daemonLock);
    other?.release();
    return other === undefined;
  };
  await tried();
  await Deno.remove(home.daemonLock);
  await passing(clock, isHeld, "it holds the new file");
  faults.left = 3;
  await tried();
  await Deno.remove(home.pidfile);
  await passing(clock, async () => await readPidfile(host.files, home.pidfile) !== undefined, "the record is back");
  assertEquals([await isHeld(), superseded()], [true, 0]);
  await published[Symbol.asyncDispose]();
  assertEquals([await isHeld(), superseded()], [false, 0]);
});

Deno.test("a daemon that is up for long enough ends the row of failures, although it was ready later than it was there", async () => {
  await using dir = await tempDirectory();
  const { host, home, record, clock } = await world(dir);
  using _lock = await host.locks.tryLock(home.daemonLock);
  const failing = [
    { kind: "start", digest: "d" },
    { kind: "start-failed" },
    { kind: "start", digest: "d" },
  ] as const;
  await updateLifecycle(host.files, home, () => ({
    breaker: failing.reduce((state, event) => stepBreaker(state, event, clock.now()).state, FRESH_BREAKER),
  }));
  const published = await record.publish();
  await clock.advance(8_000);
  await updateLifecycle(host.files, home, ({ breaker }) => ({
    breaker: stepBreaker(breaker, { kind: "ready" }, clock.now()).state,
  }));
  const state = async () => (await readLifecycle(host.files, home)).breaker;
  assertEquals((await state()).failures.length, 1);
  await clock.advance(BREAKER.stableMs - 5_000);
  assertEquals((await state()).failures.length, 1, "not before its time");
  await passing(clock, async () => (await state()).failures.length === 0, "the row has ended");
  assertEquals((await state()).attempt.kind, "none");
  await published[Symbol.asyncDispose]();
});
