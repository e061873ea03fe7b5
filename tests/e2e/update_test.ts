/** Updates of an installed drover, with real processes: what runs goes on, what is broken is taken back, and nobody who is killed leaves a mess. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { CountingAgent } from "../support/counting_agent.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { isLong } from "../support/length.ts";
import { compiledForm } from "../support/program.ts";
import { FAULTS, Released } from "../support/released.ts";

const LINUX = Deno.build.os === "linux";
const PATIENCE_MS = 90_000;

/** An updater that never restarts a busy or an idle daemon. */
const FAULTY_POLICY = { find: /return running === 0 \|\| waitedMs >= UPDATE\.patienceMs;/, put: "return false;" };

/** Where the system lets no process become another program. */
const NO_EXEC = { find: /execve: \{/, put: "nosuch:{" };

async function logs(released: Released): Promise<string> {
  const read = (name: string) => Deno.readTextFile(join(released.home.home, "logs", name)).catch(() => "");
  return `${await read("updater.log")}\n${await read("updater.out")}\n${await released.home.log()}`;
}

async function until(released: Released, what: string, condition: () => Promise<boolean>): Promise<void> {
  await eventually(condition, what, PATIENCE_MS).catch(async (error) => {
    throw new Error(`${error.message}\n${await logs(released)}`);
  });
}

async function updater(released: Released): Promise<{ pid: number; name: string } | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(join(released.home.home, "updater.json")));
  } catch {
    return undefined;
  }
}

/** As its daemon says itself; that starts no process. */
async function serves(released: Released, version: string): Promise<boolean> {
  const seen = await released.home.seen();
  return seen?.version === version && seen.phase === "running";
}

/** Its updater and what guards that may take a while to see that there is nothing more to do. */
async function onlyDaemonIsLeft(released: Released): Promise<void> {
  const { pid } = await updater(released) ?? {};
  await until(released, "the updater ends", () => Promise.resolve(pid === undefined || !lives(pid)));
  await until(released, "nobody but the daemon is left", async () => (await released.home.processes()).length === 1);
}

function lives(pid: number): boolean {
  try {
    Deno.kill(pid, 0 as unknown as Deno.Signal);
    return true;
  } catch {
    return false;
  }
}

Deno.test({
  name:
    "the loop updates under a running task: first itself, in place, and by the new one's policy the daemon, when the task is over",
  ignore: !LINUX,
  async fn() {
    await using released = await Released.create("1.0.0", [FAULTY_POLICY]);
    const agent = new CountingAgent(released.home);
    await agent.install("1.0.0");
    const env = { DROVER_UPDATE_INTERVAL: "1s", DROVER_RELOAD_INTERVAL: "1s" };
    const first = await released.json(["bootstrap"], { env });
    assertEquals([first.value.daemon.status, first.value.installation.owner], ["started", "drover"]);
    const again = await released.json(["bootstrap"], { env });
    assertEquals(again.value.daemon, { ...first.value.daemon, status: "alreadyRunning" });
    assertEquals(again.value.updater, first.value.updater, "there is one updater");
    const task = released.json(["run", "--agent", "llm", "--scratch", "task-a hold"], { env });
    task.catch(() => {});
    await agent.noted("task-a 1.0.0 begun");
    await released.publish("1.1.0");
    await until(
      released,
      "the updater is the new one",
      async () => (await updater(released))?.name.startsWith("1.1.0") ?? false,
    );
    assertEquals((await updater(released))?.pid, first.value.updater.pid, "in the same process");
    const { value: during } = await released.json(["status"], { env });
    assertEquals([during.pid, during.version, during.slots.running], [first.value.daemon.pid, "1.0.0", 1]);
    assertEquals([during.update.trial.version, during.update.lastGood], ["1.1.0", "1.0.0"]);
    await agent.release();
    assertEquals((await task).code, 0);
    await until(released, "the new daemon serves", () => serves(released, "1.1.0"));
    await until(released, "the trial is over", async () => (await released.updates()).trial === null);
    const { value: after } = await released.json(["status"], { env });
    assertEquals([after.startReason, after.update.lastGood, after.update.updater], [
      "update",
      "1.1.0",
      first.value.updater.pid,
    ]);
    assertEquals((await released.json(["update", "--disable"], { env })).value.updateAuto, false);
    await until(released, "the updater ends", () => Promise.resolve(!lives(first.value.updater.pid)));
    await released.json(["stop"], { env });
    await released.home.assertNoProcessLeft();
  },
});

Deno.test({
  name:
    "releases whose daemon does not come up, or crashes, are taken back: the old one serves again, and they are not tried again",
  ignore: !LINUX,
  async fn() {
    await using released = await Released.create("1.0.0");
    await released.json(["start", "--max-concurrent-tasks", "2"], { env: { FLAVOUR: "vanilla" } });
    const faults = Object.keys(FAULTS) as (keyof typeof FAULTS)[];
    for (const [i, fault] of (isLong() ? faults : faults.slice(0, 1)).entries()) {
      const version = `1.${i + 1}.0`;
      await released.publish(version, { fault });
      const outcome = await released.json(["update"], { env: released.envFor(fault) });
      assertEquals([outcome.code, outcome.value.status, outcome.value.version], [1, "taken-back", version], fault);
      const { value } = await released.json(["status"]);
      assertEquals([value.version, value.phase, value.startReason], ["1.0.0", "running", "rollback"], fault);
      assertEquals([value.update.current, value.update.quarantined.at(-1)], ["1.0.0", version]);
      const again = await released.json(["update"]);
      assertEquals([again.code, again.value.error.details.fault], [13, "quarantined"]);
      assertEquals(value.slots.total, 2, "it has the arguments it was started with");
      const environ = await Deno.readTextFile(`/proc/${value.pid}/environ`);
      assert(environ.split("\0").includes("FLAVOUR=vanilla"), "and the environment");
      // An updater that is still there would try the next one too, with the limits of this one.
      await onlyDaemonIsLeft(released);
    }
    await released.json(["stop"]);
  },
});

Deno.test({
  name: "killed at each step of an update the old or the new version works, and the next update completes",
  ignore: !LINUX,
  async fn() {
    await using released = await Released.create("1.0.0");
    await released.publish("1.1.0");
    const faults = join(released.home.home, "fault-points.json");
    await Deno.mkdir(released.home.home, { recursive: true, mode: 0o700 });
    const steps = isLong() ? ["downloaded", "unpacked", "tried", "placed", "noted", "switched"] : ["switched"];
    for (const step of steps) {
      await Deno.writeTextFile(faults, JSON.stringify({ [`update.${step}`]: { action: "kill" } }), { mode: 0o600 });
      const { code } = await released.home.drover(["update"], { env: released.env });
      assertEquals(code, 137, step);
      const version = step === "switched" ? "1.1.0" : "1.0.0";
      assertEquals(
        [await released.version(), (await released.json(["version"])).value.version],
        [version, version],
        step,
      );
    }
    await Deno.remove(faults);
    const { value } = await released.json(["update"]);
    assertEquals([value.status, value.version, value.before], ["good", "1.1.0", "1.0.0"], await logs(released));
    assertEquals((await released.updates()).lastGood, await released.current());
    const record = JSON.parse(await Deno.readTextFile(join(released.root, "install.json")));
    assertEquals([record.version, record.by], ["1.1.0", "drover update"]);
    const left = [];
    for await (const { name } of Deno.readDir(join(released.root, "staging"))) left.push(name);
    assertEquals(left, []);
    await released.home.assertNoProcessLeft();
  },
});

Deno.test({
  name: "a new updater that is killed is started again once; killed once more, the old program takes the release back",
  ignore: !LINUX || !isLong(),
  async fn() {
    await using released = await Released.create("1.0.0");
    const { pid } = (await released.json(["start"])).value;
    await released.publish("1.1.0");
    // Long enough to be killed twice in it.
    const env = { DROVER_TEST_UPDATE_STABLE_MS: "60000" };
    const outcome = released.json(["update"], { env });
    outcome.catch(() => {});
    let killed = 0;
    for (let i = 0; i < 2; i++) {
      await until(released, "a new updater watches", async () => {
        const { pid, name } = await updater(released) ?? { pid: 0, name: "" };
        return name.startsWith("1.1.0") && pid !== killed && lives(pid);
      });
      if (i === 0) {
        await until(released, "the new daemon is up", async () => (await released.updates()).trial?.up !== null);
        assert((await released.json(["status"])).value.pid !== pid);
      }
      killed = (await updater(released))!.pid;
      Deno.kill(killed, "SIGKILL");
    }
    const { value } = await outcome;
    assertEquals(value.status, "taken-back", await logs(released));
    assertStringIncludes(value.detail, "did not stay alive");
    await until(released, "the old daemon serves", () => serves(released, "1.0.0"));
    await onlyDaemonIsLeft(released);
    await released.json(["stop"]);
  },
});

Deno.test({
  name: "an updater that is killed with the daemon stopped for the new one leaves that to the next, which completes it",
  ignore: !LINUX || !isLong(),
  async fn() {
    await using released = await Released.create("1.0.0", [NO_EXEC]);
    await released.json(["start"]);
    await released.publish("1.1.0");
    const faults = join(released.home.home, "fault-points.json");
    const held = { "restart.stopped": { action: "pause", untilFile: released.home.root + "/never" } };
    await Deno.writeTextFile(faults, JSON.stringify(held), { mode: 0o600 });
    const outcome = released.json(["update"]);
    outcome.catch(() => {});
    await until(released, "the old daemon is stopped for the new one", async () => {
      const lifecycle = await Deno.readTextFile(join(released.home.home, "lifecycle.json"));
      return JSON.parse(lifecycle).operation?.phase === "starting";
    });
    // Read by each process once: the next one is not held.
    await Deno.remove(faults);
    Deno.kill((await updater(released))!.pid, "SIGKILL");
    assertEquals((await outcome).value.status, "good", await logs(released));
    assertEquals((await released.json(["status"])).value.version, "1.1.0");
    // The old one could not become the new one, so each had a process of its own.
    assertStringIncludes(await logs(released), "it cannot become the new one");
    await onlyDaemonIsLeft(released);
    await released.json(["stop"]);
  },
});

Deno.test("what was built here is not updated, with the command to type; bootstrap starts its daemon all the same", async () => {
  const [form] = compiledForm();
  await using home = await TestHome.create(form!);
  for (const words of [["update"], ["update", "--check"], ["update", "--enable"]]) {
    const { code, value } = await home.json(words);
    assertEquals(
      [code, value.error.code, value.error.details.fault],
      [13, "update_refused", "not-ours"],
      words.join(" "),
    );
    assertStringIncludes(value.error.hint, "deno task build");
  }
  assertEquals((await home.json(["update", "--to", "newest"])).code, 2);
  assertEquals((await home.json(["update", "--check", "--enable"])).code, 2);
  assertEquals((await home.json(["update"], { env: { DROVER_TASK_ID: "t-1" } })).code, 2, "not by an agent");
  // People get the object as well.
  const { code, stdout } = await home.drover(["bootstrap"]);
  const value = JSON.parse(stdout);
  assertEquals([code, value.installation.owner, value.daemon.status], [0, "development", "started"]);
  assertEquals([value.updater, value.updaterWhy], [null, "this drover does not replace itself"]);
  assertEquals((await home.json(["bootstrap", "--remote"])).value.remoteEnabled, true);
  await home.json(["stop"]);
  await home.assertNoProcessLeft();
});
