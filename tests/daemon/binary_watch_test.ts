/** The binary watch: what it does about a change, in which mode, what it says, and when a task may start a program. */
import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import type { Runtime } from "../../lib/core/model.ts";
import { RELOAD } from "../../lib/core/reload.ts";
import { createBinaryWatch } from "../../lib/daemon/binary_watch.ts";
import { ELF, files, fingerprints, LAYOUTS, Machine } from "../agents/program_layouts.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { keptLog } from "./kept_log.ts";
import { type MachineOptions, TICK_MS, WatchedMachine } from "./watched_machine.ts";

const native = (version: string) => ({ "bin/tool": `${ELF} ${version}` });
const { signal } = new AbortController();

function started(change: Partial<MachineOptions> = {}): Promise<WatchedMachine> {
  const programs = [{ provider: "tool", command: "bin/tool" }];
  return WatchedMachine.started({ programs, tree: native("1.0.0"), ...change });
}

function said(world: WatchedMachine): string[] {
  return world.log.records.filter(({ level }) => level !== "debug").map(({ message }) => message);
}

Deno.test("BinaryWatch reads each program twice and asks for its version once after a start, and says nothing", async () => {
  await using world = await started();
  assertEquals([world.hashes, world.probes, world.told, said(world)], [2, 1, [], []]);
  assertEquals(world.watch.view("tool")?.digest.length, 12);
});

Deno.test("BinaryWatch says when it sees a change, when it registers, and how that went", async () => {
  await using world = await started();
  await world.machine.put(native("2.0.0"));
  await world.ticks(2);
  assertEquals(said(world), [
    "agent CLI is being replaced",
    "agent CLI was replaced",
    "registering the agent CLI anew",
    "agent CLI is registered anew",
  ]);
  const { from, to, oldDigest, newDigest } = world.log.records.find(({ message }) => message.includes("was"))!.fields;
  assertEquals([from, to, String(oldDigest).length, String(newDigest).length], ["1.0.0", "2.0.0", 12, 12]);
  assertEquals([world.claimable, world.watch.pending(), world.watch.changes()], [2, undefined, []]);
});

Deno.test("BinaryWatch shows a change as pending until all servers know it, and goes on looking meanwhile", async () => {
  await using world = await started();
  const back = Promise.withResolvers<void>();
  world.away = back.promise;
  await world.machine.put(native("2.0.0"));
  await world.ticks(10);
  const pending = world.watch.pending()!;
  assertEquals([pending.reason, pending.provider, pending.binary, pending.deadline], [
    "agent_binary_changed",
    "tool",
    world.machine.at("bin/tool"),
    null,
  ]);
  assertEquals(pending.blockedBy, { active: 0, claims: 0, why: "a server does not know it yet" });
  assertLess(pending.since, world.clock.now() - 8 * TICK_MS);
  await world.machine.put(native("3.0.0"));
  await world.ticks(2);
  world.away = undefined;
  back.resolve();
  await world.ticks(2);
  assertEquals(world.told.length, 2, "each version was offered once, however often it was looked at");
  assertEquals([world.told.at(-1), world.watch.pending(), world.is("tool")], [["tool 3.0.0"], undefined, [
    "unchanged",
    "3.0.0",
  ]]);
});

Deno.test("BinaryWatch tries a registration that failed again", async () => {
  await using world = await started();
  const fault = Promise.reject(new Error("no server"));
  fault.catch(() => {});
  world.away = fault;
  await world.machine.put(native("2.0.0"));
  await world.ticks(2);
  assertStringIncludes(said(world).at(-1)!, "failed");
  world.away = undefined;
  await world.ticks(1);
  assertEquals([world.told, world.is("tool")], [[["tool 2.0.0"]], ["unchanged", "2.0.0"]]);
});

Deno.test("BinaryWatch registers other bytes of the same version, so that the next change is told from them", async () => {
  await using world = await started();
  await world.machine.put({ "bin/tool": `${ELF} rebuilt 1.0.0` });
  await world.ticks(20);
  assertEquals([world.told, world.is("tool")], [[["tool 1.0.0"]], ["unchanged", "1.0.0"]]);
});

Deno.test("BinaryWatch only says what it sees where that is wanted, seldom, and shows it", async () => {
  await using world = await started({ mode: "notify" });
  await world.machine.put(native("2.0.0"));
  await world.pass(3 * 60 * 60_000);
  assertEquals(world.told, []);
  assertEquals(said(world).filter((line) => line === "a replaced agent CLI waits").length, 3);
  assertStringIncludes(world.watch.pending()!.blockedBy.why, "notify");
});

Deno.test("BinaryWatch leaves a change to the gate where a restart is wanted, and registers nothing itself", async () => {
  await using world = await started({ mode: "restart" });
  await world.machine.put(native("2.0.0"));
  await world.pass(world.clock.nextIn);
  assertEquals([world.watch.changes(), world.watch.settling()], [[], true]);
  await world.ticks(2);
  const [change, ...more] = world.watch.changes();
  assertEquals([change!.program, change!.own, more.length, world.watch.settling()], ["tool", false, 0, false]);
  assertEquals([change!.oldDigest.length, change!.newDigest.length, world.told], [64, 64, []]);
  assert(world.looks >= 5);
});

Deno.test("BinaryWatch turned off looks at nothing by itself, and only before a start", async () => {
  await using machine = await Machine.of(native("1.0.0"));
  const clock = new FakeClock();
  let hashes = 0;
  const runtime: Runtime = {
    provider: "tool",
    family: "plain-text",
    executable: machine.at("bin/tool"),
    fixedArgs: [],
    version: "1.0.0",
  };
  const watch = createBinaryWatch({
    mode: "off",
    intervalMs: TICK_MS,
    clock,
    log: keptLog(),
    files,
    fingerprints: { ...fingerprints, hashFile: (path) => (hashes++, fingerprints.hashFile(path)) },
    env: () => ({}),
    probe: () => Promise.resolve(runtime),
    agents: { put: () => assert(false), drop: () => assert(false) },
    offer: () => Promise.reject(new Error("nothing is to be told")),
    busy: () => false,
    inFlight: () => ({ active: 0, claims: 0 }),
    onClaimable() {},
  });
  watch.adopt([runtime]);
  await watch.run(signal);
  assertEquals([hashes, clock.waiting, watch.mayClaim("tool"), watch.knows(runtime)], [0, 0, true, false]);
  assertEquals(await watch.launchable("tool", { limitMs: 60_000, signal }), { kind: "go" });
  assertEquals(await watch.launchable("tool", { limitMs: 60_000, signal, distrust: true }), { kind: "go" });
  assertEquals(hashes, 1);
});

Deno.test("BinaryWatch withdraws a program that is gone for good only when its tasks are done", async () => {
  await using world = await started();
  world.busy.add("tool");
  await Deno.remove(world.machine.at("bin/tool"));
  await world.ticks(1);
  assertEquals(world.watch.mayClaim("tool"), false);
  await world.pass(RELOAD.goneMs + 2 * TICK_MS);
  assertEquals([world.told, world.watch.pending()?.reason], [[], "agent_binary_gone"]);
  assertEquals(world.watch.pending()?.blockedBy, { active: 1, claims: 0, why: "its tasks are not done yet" });
  world.busy.clear();
  await world.ticks(2);
  assertEquals([world.told, world.agents.skipped.map(({ provider, why }) => [provider, why]), world.watch.pending()], [
    [[]],
    [["tool", "not-found"]],
    undefined,
  ]);
  await world.machine.put(native("1.0.0"));
  await world.ticks(2);
  assertEquals([world.told.at(-1), world.agents.skipped, world.watch.mayClaim("tool")], [["tool 1.0.0"], [], true]);
});

Deno.test("BinaryWatch takes a program from another directory of PATH when the one it had is gone for good", async () => {
  await using world = await started();
  await world.machine.put({ "other/tool": `${ELF} 1.5.0` });
  const executable = world.machine.at("other/tool");
  world.elsewhere = { provider: "tool", family: "plain-text", executable, fixedArgs: [], version: "1.5.0" };
  await Deno.remove(world.machine.at("bin/tool"));
  await world.pass(RELOAD.goneMs + 2 * TICK_MS);
  assertEquals([world.told, world.is("tool")], [[["tool 1.5.0"]], ["unchanged", "1.5.0"]]);
  await world.machine.put({ "other/tool": `${ELF} 1.6.0` });
  await world.ticks(2);
  assertEquals(world.told.at(-1), ["tool 1.6.0"]);
});

Deno.test("BinaryWatch withdraws a program below the minimum, with the reason, until there is a newer one", async () => {
  await using world = await started({ minimum: "1.0.0" });
  await world.machine.put(native("0.9.0"));
  await world.ticks(20);
  assertEquals([world.told, world.agents.skipped.map(({ why }) => why), world.probes], [[[]], ["version-too-old"], 2]);
  assertStringIncludes((await world.watch.launchable("tool", { limitMs: 1, signal }) as { why: string }).why, "0.9.0");
  await world.machine.put(native("1.1.0"));
  await world.ticks(2);
  assertEquals([world.told.at(-1), world.agents.skipped], [["tool 1.1.0"], []]);
});

Deno.test("BinaryWatch registers five programs that are replaced at once, each once", async () => {
  const programs = [1, 2, 3, 4, 5].map((n) => ({ provider: `tool${n}`, command: `bin/tool${n}` }));
  const tree = (version: string) => Object.fromEntries(programs.map((one) => [one.command, `${ELF} ${version}`]));
  await using world = await started({ programs, tree: tree("1.0.0") });
  await world.machine.put(tree("2.0.0"));
  await world.ticks(2);
  assertEquals(programs.map(({ provider }) => world.is(provider)[1]), Array(5).fill("2.0.0"));
  assert(world.told.length <= 5, JSON.stringify(world.told));
  const { length } = world.told;
  await world.ticks(10);
  assertEquals([world.told.length, world.probes], [length, 10]);
});

Deno.test("BinaryWatch registers nothing over 10,000 looks at programs that lie still", async () => {
  await using machine = await Machine.of({ ...LAYOUTS[0]!.tree("1.0.0"), "bin/other": `${ELF} 1.0.0` });
  let now = 0;
  let [probes, hashes] = [0, 0];
  const runtimes = ["tool", "other"].map((provider): Runtime => ({
    provider,
    family: "plain-text",
    executable: machine.at(`bin/${provider}`),
    fixedArgs: [],
    version: "1.0.0",
  }));
  const log = keptLog();
  const watch = createBinaryWatch({
    mode: "restart",
    intervalMs: TICK_MS,
    clock: Object.assign(new FakeClock(), { monotonic: () => now }),
    log,
    files,
    fingerprints: { ...fingerprints, hashFile: (path) => (hashes++, fingerprints.hashFile(path)) },
    env: () => ({}),
    probe: (name) => (probes++, Promise.resolve(runtimes.find(({ provider }) => provider === name)!)),
    agents: { put: () => assert(false), drop: () => assert(false) },
    offer: () => Promise.reject(new Error("nothing is to be told")),
    busy: () => false,
    inFlight: () => ({ active: 0, claims: 0 }),
    onClaimable() {},
  });
  watch.onLooked = () => assertEquals(watch.changes(), []);
  watch.adopt(runtimes);
  for (let tick = 0; tick < 10_000; tick++, now += TICK_MS) await watch.look(signal);
  assertEquals([probes, log.records, watch.pending()], [2, [], undefined]);
  assertLess(hashes, 2 * (3 + 10_000 * TICK_MS / RELOAD.fullHashMs));
});

Deno.test("BinaryWatch.launchable() waits while a program is written, and lets the task start the whole of it", async () => {
  await using world = await started();
  await world.machine.put({ "bin/tool": ELF }, { inPlace: true });
  const launch = world.launch();
  for (let n = 1; n <= 6; n++) {
    await world.pass(1_000);
    assertEquals([launch.verdict, world.watch.mayClaim("tool")], [undefined, false], `after ${n} s`);
    await world.machine.put({ "bin/tool": `${ELF}${" ".repeat(n)}2.0.0` }, { inPlace: true });
  }
  await world.pass(3 * RELOAD.settleMs);
  assertEquals(await launch.done, { kind: "go" });
  assert(said(world).includes("a task waits for its agent CLI"));
});

Deno.test("BinaryWatch.launchable() gives up after its time, and says what it waited for", async () => {
  await using world = await started();
  await Deno.remove(world.machine.at("bin/tool"));
  const launch = world.launch();
  await world.pass(59_000);
  assertEquals(launch.verdict, undefined);
  await world.pass(2_000);
  assertEquals(launch.verdict?.kind, "no");
  assertStringIncludes((launch.verdict as { why: string }).why, "is missing, and still was after 60 s");
  await world.pass(RELOAD.goneMs);
  const at = world.clock.monotonic();
  assertEquals((await world.launch().done).kind, "no");
  assertEquals(world.clock.monotonic(), at, "what is gone for good is not waited for");
});

Deno.test("BinaryWatch.launchable() ends with the task that waits, and lets go what nobody watches", async () => {
  await using world = await started();
  await Deno.remove(world.machine.at("bin/tool"));
  const cancelled = new AbortController();
  const launch = world.launch(cancelled.signal);
  await world.pass(3_000);
  cancelled.abort(new Error("cancelled"));
  assertEquals((await launch.done).kind, "no");
  assertEquals(await world.watch.launchable("other", { limitMs: 1, signal }), { kind: "go" });
});

Deno.test("BinaryWatch asks a program for its version soon after something is put where it may run newer code from", async () => {
  await using world = await started({ hints: ["home/.cache/tool"] });
  const asked = world.probes;
  await world.ticks(4);
  assertEquals(world.probes, asked);
  world.says = "2.0.0";
  await world.machine.put({ "home/.cache/tool/linux/2.0.0/index.js": "new" });
  await world.ticks(4);
  assertEquals([world.told.at(-1), world.is("tool")], [["tool 2.0.0"], ["unchanged", "2.0.0"]]);
  // What was there is overwritten: nothing has another name.
  world.says = "2.0.1";
  await world.machine.put({ "home/.cache/tool/linux/2.0.0/index.js": "newer" });
  await world.ticks(4);
  assertEquals(world.is("tool"), ["unchanged", "2.0.1"]);
});
