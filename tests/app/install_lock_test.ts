/** Turns of those who change an installation, with real files, locks and processes, and the shell's side in install.sh. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type InstallLockPorts, takeInstallLock, tryInstallLock } from "../../lib/app/install_lock.ts";
import { installationAt } from "../../lib/core/installation.ts";
import type { Locks } from "../../lib/core/ports.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createLocks } from "../../lib/host/lock.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { Installer } from "../support/installer.ts";
import { testHost } from "./test_host.ts";

const CLOCK = createClock();
const LOCKS = await loadedLocks();

/** The library stays loaded for the life of a process: it is before any test counts what was left open. */
async function loadedLocks(): Promise<Locks> {
  await using directory = await tempDirectory();
  const made = createLocks(CLOCK);
  (await made.tryLock(directory.at("lock")))!.release();
  return made;
}

function ports(): InstallLockPorts {
  return { ...testHost().host, clock: CLOCK, locks: LOCKS };
}

async function namesIn(directory: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(directory))).map(({ name }) => name).sort();
}

Deno.test("tryInstallLock() gives the turn to one at a time, and to the next when it is over", async () => {
  await using directory = await tempDirectory();
  const installation = installationAt(directory.at("drover"));
  await Deno.mkdir(installation.root);
  for (let turn = 1; turn <= 3; turn++) {
    await using lock = await tryInstallLock(ports(), installation);
    assert(lock);
    assertEquals(await tryInstallLock(ports(), installation), undefined);
    await assertRejects(() => takeInstallLock(ports(), installation, { timeoutMs: 50 }), Error, String(Deno.pid));
    assertEquals(await namesIn(installation.lockDirectory), [String(turn)]);
  }
});

Deno.test("takeInstallLock() waits, and takes over from a process that is gone", async () => {
  await using directory = await tempDirectory();
  const installation = installationAt(directory.at("drover"));
  await Deno.mkdir(installation.lockDirectory, { recursive: true });
  const sleeper = new Deno.Command("sleep", { args: ["60"] }).spawn();
  const { system } = testHost().host;
  const ticks = system.os === "linux" ? system.identityOf(sleeper.pid)?.startTicks : "0";
  await Deno.symlink(`${sleeper.pid}-${ticks}`, `${installation.lockDirectory}/4`);
  assertEquals(await tryInstallLock(ports(), installation), undefined);

  const waiting = takeInstallLock(ports(), installation, { timeoutMs: 20_000 });
  sleeper.kill("SIGKILL");
  await sleeper.status;
  await using _lock = await waiting;
  assertEquals(await namesIn(installation.lockDirectory), ["5"]);
});

Deno.test("install.sh and drover wait for each other", async () => {
  await using installer = await Installer.create();
  await installer.release("1.0.0");
  const installation = installationAt(installer.root);
  const { promise: go, resolve } = Promise.withResolvers<void>();
  installer.server.fault(".tar.gz", { kind: "stall", bytes: 10, until: go });
  const shell = installer.start();
  await installer.server.waitFor(".tar.gz");
  assertEquals(await tryInstallLock(ports(), installation), undefined);
  const waiting = takeInstallLock(ports(), installation, { timeoutMs: 20_000 });
  resolve();
  assertEquals((await shell.output()).code, 0);

  let next: Deno.ChildProcess;
  {
    await using _lock = await waiting;
    next = installer.start();
    const reader = next.stderr.getReader();
    const { value } = await reader.read();
    assertEquals(new TextDecoder().decode(value).includes(`process ${Deno.pid} is installing`), true);
    reader.releaseLock();
  }
  assertEquals((await next.output()).code, 0);
});
