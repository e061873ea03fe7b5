/** A daemon under a service manager: what it may do in each state of a real home, and a watchdog that is not fed in vain. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { admitSupervised, feedWatchdog, logStandDown, noteSupervised } from "../../lib/app/service_run.ts";
import type { BreakerState } from "../../lib/core/breaker.ts";
import { homeLayout } from "../../lib/core/home.ts";
import type { Locks } from "../../lib/core/ports.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createLocks } from "../../lib/host/lock.ts";
import { readLifecycle, updateLifecycle } from "../../lib/lifecycle/lifecycle_file.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";

async function breakerOf(host: ReturnType<typeof lockingHost>["host"], root: string): Promise<BreakerState> {
  return (await readLifecycle(host.files, homeLayout(root))).breaker;
}

const locks = await loadedLocks();

/** The library stays loaded for the life of a process: it is before any test counts what was left open. */
async function loadedLocks(): Promise<Locks> {
  await using dir = await tempDirectory();
  const made = createLocks(createClock());
  (await made.tryLock(dir.at("first.lock")))!.release();
  return made;
}

function lockingHost() {
  const made = testHost();
  return { ...made, locks, host: Object.assign(made.host, { locks }) };
}

Deno.test("a new home may be started in, a stopped one not until somebody starts it again", async () => {
  await using dir = await tempDirectory();
  const home = homeLayout(dir.at("home"));
  const { host, files, log } = lockingHost();
  assertEquals((await admitSupervised(host, home, "systemd")).kind, "start");
  const desire = (state: "running" | "stopped") =>
    updateLifecycle(files, home, () => ({ desired: { state, by: "stop", at: "2026-01-01T00:00:00Z" } }));
  await desire("stopped");
  for (const kind of ["systemd", "launchd"] as const) {
    const answer = await admitSupervised(host, home, kind);
    assertEquals(answer.kind, "stand-down");
    if (answer.kind === "stand-down") await logStandDown(host, home, answer.why);
  }
  assertStringIncludes(JSON.stringify(log), "stopped on purpose");
  await desire("running");
  assertEquals((await admitSupervised(host, home, "systemd")).kind, "start");
  await Deno.writeTextFile(home.lifecycle, "garbage");
  assertEquals((await admitSupervised(host, home, "systemd")).kind, "start", "a damaged file stops nobody");
});

Deno.test("a lock that is held without a record is waited for", async () => {
  await using dir = await tempDirectory();
  const home = homeLayout(dir.at("home"));
  const { host, locks } = lockingHost();
  await admitSupervised(host, home, "systemd");
  using _held = await locks.tryLock(home.daemonLock);
  assertEquals((await admitSupervised(host, home, "systemd")).kind, "wait");
});

Deno.test("under launchd starts are counted, unless a command that holds the restart lock does", async () => {
  await using dir = await tempDirectory();
  const home = homeLayout(dir.at("home"));
  const { host, locks, clock } = lockingHost();
  await admitSupervised(host, home, "systemd");
  assertEquals((await breakerOf(host, home.root)).attempt.kind, "none", "systemd counts by itself");
  {
    await admitSupervised(host, home, "launchd");
    using _command = await locks.tryLock(home.restartLock);
    assertEquals((await admitSupervised(host, home, "launchd")).kind, "start");
    await noteSupervised(host, home, "ready");
    assertEquals((await breakerOf(host, home.root)).attempt.kind, "launched", "left to the command");
  }
  await noteSupervised(host, home, "ready");
  assertEquals((await breakerOf(host, home.root)).attempt.kind, "ready");
  await noteSupervised(host, home, "stopped");
  assertEquals((await breakerOf(host, home.root)).attempt.kind, "none");
  assertEquals((await breakerOf(host, home.root)).failures, []);

  const answers: string[] = [];
  for (let i = 0; i < 12 && answers.at(-1) !== "stand-down"; i++) {
    const answer = await admitSupervised(host, home, "launchd");
    answers.push(answer.kind);
    await clock.advance(answer.kind === "wait" ? answer.ms : 30_000);
  }
  assertEquals(answers.filter((kind) => kind === "start").length, 5);
  assertEquals(answers.at(-1), "stand-down");
  assertEquals((await breakerOf(host, home.root)).failures.length, 5, "and it is on record");
});

Deno.test("the watchdog is fed twice in its period while the work moves, and not any more when it hangs", async () => {
  const { host, clock } = lockingHost();
  const sent: string[] = [];
  Object.assign(host, { notices: { watchdogMs: 60_000, send: (text: string) => sent.push(text) } });
  let stalled = 0;
  using _watchdog = feedWatchdog(host, () => stalled);
  await clock.advance(30_000);
  await clock.advance(30_000);
  assertEquals(sent, ["WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]);
  stalled = 90_000;
  for (let i = 0; i < 4; i++) await clock.advance(30_000);
  assertEquals(sent.length, 3, "a frozen loop means no notice");
  stalled = 0;
  await clock.advance(30_000);
  assertEquals(sent.length, 4);
});

Deno.test("without a watchdog nothing is sent", async () => {
  const { host, clock } = lockingHost();
  const sent: string[] = [];
  Object.assign(host, { notices: { watchdogMs: 0, send: (text: string) => sent.push(text) } });
  using _watchdog = feedWatchdog(host, () => 0);
  await clock.advance(120_000);
  assertEquals(sent, []);
});
