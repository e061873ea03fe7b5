/** The restart lock: one at a time, a named holder, a deadline, and nothing left behind. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DroverError } from "../../lib/core/drover_error.ts";
import { homeLayout } from "../../lib/core/home.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createFiles } from "../../lib/host/files.ts";
import { createIdentity } from "../../lib/host/identity.ts";
import { createLocks } from "../../lib/host/lock.ts";
import { withRestartLock } from "../../lib/lifecycle/restart_lock.ts";
import { tempDirectory } from "../host/temp_directory.ts";

const ports = await loaded();

/** The library of the locks stays loaded for the life of a process: it is before any test counts what was left open. */
async function loaded() {
  await using directory = await tempDirectory();
  const clock = createClock();
  const locks = createLocks(clock);
  (await locks.tryLock(directory.at("first.lock")))!.release();
  return { clock, files: createFiles(), locks, self: createIdentity().self };
}

Deno.test("withRestartLock() lets one in at a time, and each looks again after the one before", async () => {
  await using directory = await tempDirectory();
  const home = homeLayout(directory.path);
  const trace: string[] = [];
  let inside = 0;
  const enter = (name: string) =>
    withRestartLock(ports, home, {
      command: "restart",
      timeoutMs: 10_000,
      async run() {
        trace.push(`${name} ${++inside}`);
        await createClock().sleep(20);
        inside--;
      },
    });
  await Promise.all(["a", "b", "c", "d"].map(enter));
  assertEquals(trace.map((line) => line.split(" ")[1]), ["1", "1", "1", "1"]);
  assertEquals([...Deno.readDirSync(directory.path)].map((entry) => entry.name), ["restart.lock"]);
});

Deno.test("withRestartLock() gives up at its deadline and names the holder, whom it named before while waiting", async () => {
  await using directory = await tempDirectory();
  const home = homeLayout(directory.path);
  let release = () => {};
  const held = new Promise<void>((resolve) => release = resolve);
  const holder = withRestartLock(ports, home, { command: "stop", timeoutMs: 1_000, run: () => held });
  const waited: string[] = [];
  const error = await assertRejects(
    () =>
      withRestartLock(ports, home, {
        command: "start",
        timeoutMs: 1_200,
        onWait: (who) => waited.push(who),
        run: () => Promise.resolve(),
      }),
    DroverError,
  );
  release();
  await holder;
  assertEquals([error.code, waited.length], ["busy", 1]);
  for (const text of [error.message, waited[0]!]) assertStringIncludes(text, `drover stop (pid ${Deno.pid}, since `);
});

Deno.test("withRestartLock() frees the lock when what it ran fails", async () => {
  await using directory = await tempDirectory();
  const home = homeLayout(directory.path);
  const options = { command: "start", timeoutMs: 100 };
  await assertRejects(
    () => withRestartLock(ports, home, { ...options, run: () => Promise.reject(new Error("No")) }),
    Error,
    "No",
  );
  assertEquals(await withRestartLock(ports, home, { ...options, run: () => Promise.resolve(7) }), 7);
});
