/** Handing over to successors that go wrong, as real processes: what is left of them, what is written down, and who may act. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { instancePorts } from "../../lib/app/instance.ts";
import { homeLayout } from "../../lib/core/home.ts";
import type { Host } from "../../lib/core/ports.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createIdentity } from "../../lib/host/identity.ts";
import { createLauncher } from "../../lib/host/launcher.ts";
import { createLocks } from "../../lib/host/lock.ts";
import { createNetwork } from "../../lib/host/network.ts";
import { handOver, noteHandOff, settleHandOff } from "../../lib/lifecycle/hand_off.ts";
import { readLifecycle, updateLifecycle } from "../../lib/lifecycle/lifecycle_file.ts";
import { tryRestartLock } from "../../lib/lifecycle/restart_lock.ts";
import { testHost } from "../app/test_host.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { eventually } from "../support/drover.ts";
import { placeScript } from "../support/program_file.ts";

const locks = createLocks(createClock());
{
  // The library stays loaded for the life of a process: it is before any test counts what was left open.
  await using dir = await tempDirectory();
  (await locks.tryLock(dir.at("first")))?.release();
}

async function world(dir: { at(name: string): string }, script: string) {
  const program = dir.at("program");
  await placeScript(program, `#!/bin/sh\n${script}\n`);
  const { host: base } = testHost({ env: { PATH: "/usr/bin:/bin", AT: dir.at("") }, selfCommand: [program] });
  const clock = createClock();
  const launcher = createLauncher(createIdentity().identityOf);
  const host: Host = { ...base, clock, launcher, locks, network: createNetwork() };
  const home = homeLayout(dir.at("home"));
  for (const directory of [home.root, home.runDirectory, dir.at("home/logs")]) {
    await host.files.makeDirectory(directory);
  }
  const ports = instancePorts(host, home);
  const launch = { args: ["--log-level", "debug"], env: ports.env, reason: "new_binary" as const };
  const over = (options: { timeoutMs?: number; signal?: AbortSignal } = {}) =>
    handOver(ports, home, { launch, nonce: "n", timeoutMs: 20_000, signal: new AbortController().signal, ...options });
  return { host, home, ports, launch, over, operation: async () => (await readLifecycle(host.files, home)).operation };
}

function isAlive(pid: number): boolean {
  return createIdentity().identityOf(pid) !== undefined;
}

async function pidIn(path: string): Promise<number> {
  await eventually(async () => (await Deno.readTextFile(path).catch(() => "")).endsWith("\n"), `${path} is written`);
  return Number(await Deno.readTextFile(path));
}

Deno.test("a successor that ends is told with its code, and got arguments, reason and nonce", async () => {
  await using dir = await tempDirectory();
  const it = await world(dir, 'echo "$* $DROVER_LAUNCH_REASON $DROVER_LAUNCH_NONCE" > "$AT/said"; exit 7');
  assert(await noteHandOff(it.ports, it.home, { launch: it.launch, since: 0 }));
  assertEquals((await it.operation())?.phase, "stopping");
  assertEquals(await it.over(), { kind: "failed", why: "it ended with code 7 before it was ready" });
  assertEquals(await Deno.readTextFile(dir.at("said")), "daemon --quiet --log-level debug new_binary n\n");
  // Should whoever comes next be nobody, a command finds out how to go on.
  assertEquals([(await it.operation())?.phase, (await it.operation())?.args], ["starting", ["--log-level", "debug"]]);
  await settleHandOff(it.ports, it.home);
  assertEquals(await it.operation(), null);
});

Deno.test("a successor that hangs and does not hear TERM is killed with all of its group", async () => {
  await using dir = await tempDirectory();
  const it = await world(dir, `trap '' TERM; echo $$ > "$AT/leader"; sleep 300 & echo $! > "$AT/child"; wait`);
  const outcome = await it.over({ timeoutMs: 1_000 });
  assertEquals(outcome, { kind: "failed", why: "it was not ready after 1 s" });
  for (const name of ["leader", "child"]) {
    const pid = await pidIn(dir.at(name));
    await eventually(() => !isAlive(pid), `${name} is gone`);
  }
});

Deno.test("a program that cannot be started is a successor that failed", async () => {
  await using dir = await tempDirectory();
  const it = await world(dir, "");
  await Deno.remove(dir.at("program"));
  const outcome = await it.over();
  assertEquals(outcome.kind, "failed");
  assertStringIncludes(outcome.kind === "failed" ? outcome.why : "", "ended with code 127");
});

Deno.test("whoever is told to end while the successor starts has it end, too", async () => {
  await using dir = await tempDirectory();
  const it = await world(dir, 'echo $$ > "$AT/leader"; exec sleep 300');
  const told = new AbortController();
  const over = it.over({ signal: told.signal });
  const pid = await pidIn(dir.at("leader"));
  told.abort();
  assertEquals(await over, { kind: "stopped" });
  await eventually(() => !isAlive(pid), "it is gone");
});

Deno.test("a stop that was noted after the daemon began goes first; an older one was meant for another daemon", async () => {
  await using dir = await tempDirectory();
  const it = await world(dir, "exit 0");
  const at = "2026-01-15T12:00:00.000Z";
  await updateLifecycle(it.host.files, it.home, () => ({ desired: { state: "stopped", by: "stop", at } }));
  const options = (since: string) => ({ launch: it.launch, since: Date.parse(since) });
  assertEquals(await noteHandOff(it.ports, it.home, options("2026-01-15T11:59:59Z")), false);
  assertEquals([await it.operation(), (await readLifecycle(it.host.files, it.home)).desired?.state], [null, "stopped"]);
  assertEquals(await noteHandOff(it.ports, it.home, options("2026-01-15T12:00:01Z")), true);
  assertEquals((await readLifecycle(it.host.files, it.home)).desired?.state, "running");
});

Deno.test("who acts unasked gets the restart lock only where it is free, names itself, and leaves nothing", async () => {
  await using dir = await tempDirectory();
  const it = await world(dir, "exit 0");
  const ask = () => tryRestartLock(it.ports, it.home, { command: "hand over", timeoutMs: 100 });
  const lock = await ask();
  assert(lock);
  assertEquals(JSON.parse(await Deno.readTextFile(it.home.restartHolder)).command, "hand over");
  assertEquals(await ask(), undefined);
  await lock[Symbol.asyncDispose]();
  assertEquals(await it.host.files.stat(it.home.restartHolder), undefined);
  await (await ask())?.[Symbol.asyncDispose]();
});
