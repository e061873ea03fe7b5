/** One daemon hands its home to the next for a replaced agent CLI: after the tasks, past kills at every step, and never against a stop. */
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { CountingAgent } from "../support/counting_agent.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { clearFaults, type Faults, setFaults } from "../support/faults.ts";
import { isLong } from "../support/length.ts";
import { compiledForm, programForms } from "../support/program.ts";
import type { FaultPoint } from "../../lib/lifecycle/verb.ts";

const LINUX = Deno.build.os === "linux";
/** drover itself is another test's: to read it takes longer than all else. */
const SOON = { DROVER_RELOAD_INTERVAL: "200ms", DROVER_RELOAD_SELF: "off" };
const PATIENCE_MS = 90_000;
const START = ["start", "--auto-reload-binaries", "--max-concurrent-tasks", "2"];

interface Scene extends AsyncDisposable {
  readonly home: TestHome;
  readonly agent: CountingAgent;
  readonly pid: number;
}

/** A daemon that restarts for replaced agent CLIs, with one; `faults` are in the home before it is started. */
async function scene(form: ReturnType<typeof programForms>[number], faults: Faults = {}): Promise<Scene> {
  const home = await TestHome.create(form);
  const agent = new CountingAgent(home);
  await agent.install("1.0.0");
  await setFaults(home, faults);
  const { code, value } = await home.json(START, { env: SOON });
  assertEquals(code, 0, JSON.stringify(value));
  return { home, agent, pid: value.pid, [Symbol.asyncDispose]: () => home[Symbol.asyncDispose]() };
}

/** Its outcome is for later, and may be none. */
function task(home: TestHome, prompt: string): ReturnType<TestHome["json"]> {
  const run = home.json(["run", "--agent", "llm", "--scratch", prompt]);
  run.catch(() => {});
  return run;
}

async function until(home: TestHome, what: string, condition: () => Promise<boolean>): Promise<void> {
  await eventually(condition, what, PATIENCE_MS).catch(async (error) => {
    throw new Error(`${error.message}\n${await home.log()}`);
  });
}

// deno-lint-ignore no-explicit-any
async function status(home: TestHome): Promise<any> {
  return (await home.json(["status"])).value;
}

async function succeeded(home: TestHome, pid: number): Promise<void> {
  await until(home, "another daemon serves", async () => {
    const now = await home.seen();
    return now !== undefined && now.pid !== pid && now.phase === "running";
  });
}

async function queued(home: TestHome, count: number): Promise<void> {
  await until(home, `${count} tasks are queued`, async () => (await home.seenTasks("queued")).length === count);
}

async function logged(home: TestHome, text: string): Promise<void> {
  await until(home, `the log says: ${text}`, async () => (await home.log()).includes(text));
}

async function empty(home: TestHome): Promise<void> {
  await until(home, "nothing is left", async () => (await home.processes()).length === 0);
  const lifecycle = JSON.parse(await Deno.readTextFile(join(home.home, "lifecycle.json")));
  assertEquals(lifecycle.operation, null, "nothing is left to be completed");
}

for (const form of compiledForm()) {
  Deno.test({
    name:
      `[${form.kind}] an agent CLI is replaced while one task runs and one waits: the one ends, the other is the next daemon's, with the new version`,
    ignore: !LINUX,
    async fn() {
      await using it = await scene(form);
      const { home, agent, pid } = it;
      const first = task(home, "task-a hold");
      await agent.noted("task-a 1.0.0 begun");
      await agent.install("2.0.0");
      await until(home, "it takes no more", async () => (await home.seen())?.holding === "paused");
      const { reloadPending } = await status(home);
      assertEquals([reloadPending.provider, reloadPending.blockedBy.active], ["llm", 1]);
      // A slot is free, and yet this one is not for the old daemon.
      const second = task(home, "task-b");
      await queued(home, 1);
      assertEquals([(await status(home)).pid, await agent.notes()], [pid, ["task-a 1.0.0 begun"]]);
      await agent.release();
      await succeeded(home, pid);
      assertEquals([(await first).code, (await second).code], [0, 0], await home.log());
      assertEquals(await agent.notes(), [
        "task-a 1.0.0 begun",
        "task-a 1.0.0 done",
        "task-b 2.0.0 begun",
        "task-b 2.0.0 done",
      ]);
      const now = await status(home);
      const runtime = now.connections[0].runtimes.find((one: { provider: string }) => one.provider === "llm");
      assertEquals([runtime.version, now.startReason, now.slots.total], ["2.0.0", "agent_binary_changed", 2]);
      await until(home, "there is one process", async () => (await home.processes()).length === 1);
      await home.json(["stop"]);
      await empty(home);
    },
  });
}

const [, compiled] = programForms();

/** Each side once; the soak has all the points. */
const KILLED: readonly FaultPoint[] = isLong()
  ? [
    ...["handoff.noted", "handoff.closed", "handoff.launched", "handoff.ready"] as const,
    ...["successor.begun", "successor.holds", "successor.serves"] as const,
  ]
  : ["handoff.ready", "successor.begun"];

for (const point of KILLED) {
  Deno.test({
    name: `a kill -9 at ${point} leaves one daemon after the next command; each task runs once`,
    ignore: !LINUX,
    async fn() {
      await using it = await scene(compiled!, { [point]: { action: "kill" } });
      const { home, agent, pid } = it;
      const first = task(home, "task-a hold");
      await agent.noted("task-a 1.0.0 begun");
      await agent.install("2.0.0");
      await until(home, "it takes no more", async () => (await home.seen())?.holding === "paused");
      void task(home, "task-b");
      await queued(home, 1);
      await agent.release();
      await first.catch(() => {});
      const killed = point.startsWith("handoff");
      await until(home, "one of the two is dead", async () => {
        const pids = await home.processes();
        if (killed) return !pids.includes(pid);
        return (await home.log()).includes("the successor did not make it") || !pids.includes(pid);
      });
      await clearFaults(home);
      const { code, value } = await home.json(["start"]);
      assertEquals(code, 0, `${JSON.stringify(value)} ${await home.log()}`);
      await until(
        home,
        "both are done",
        async () => (await agent.notes()).filter((n) => n.endsWith("done")).length === 2,
      );
      const begun = (await agent.notes()).filter((note) => note.endsWith("begun")).map((note) => note.split(" ")[0]);
      assertEquals(begun, ["task-a", "task-b"], "each ran once");
      const daemons = async () => {
        const commands = await Promise.all(
          (await home.processes()).map((one) => Deno.readTextFile(`/proc/${one}/cmdline`).catch(() => "")),
        );
        return commands.filter((command) => command.includes("\0daemon\0")).length;
      };
      await until(home, "there is one daemon", async () => await daemons() === 1);
      assertEquals((await status(home)).slots.total, 2, "it has the arguments of the first");
      await home.json(["stop"]);
      await empty(home);
    },
  });
}

Deno.test({
  name: "a stop during the drain for a restart ends the daemon, and nobody takes over",
  ignore: !LINUX,
  async fn() {
    await using it = await scene(compiled!);
    const { home, agent } = it;
    const first = task(home, "task-a hold");
    await agent.noted("task-a 1.0.0 begun");
    await agent.install("2.0.0");
    await until(home, "it takes no more", async () => (await home.seen())?.holding === "paused");
    const stop = home.json(["stop"]);
    await until(home, "the stop is heard", async () => (await home.seen())?.phase === "draining");
    await agent.release();
    assertEquals((await stop).value.status, "stopped");
    assertEquals((await first).code, 0);
    await empty(home);
    assertEquals((await home.log()).includes("restarting for changed"), false);
  },
});

Deno.test({
  name: "a stop during the hand-off waits for the successor, and ends it",
  ignore: !LINUX || !isLong(),
  async fn() {
    await using home = await TestHome.create(compiled!);
    const go = join(home.root, "go-on");
    const agent = new CountingAgent(home);
    await agent.install("1.0.0");
    await setFaults(home, { "handoff.closed": { action: "pause", untilFile: go } });
    await home.json(START, { env: SOON });
    await agent.install("2.0.0");
    await logged(home, '"ending":"restart"');
    const stop = home.json(["stop"]);
    const run = home.json(["tasks", "list"]);
    await Deno.writeTextFile(go, "");
    assertEquals((await stop).value.status, "stopped", await home.log());
    assertEquals((await run).code, 0);
    await empty(home);
    assertEquals((await status(home)).state, "stopped");
  },
});

Deno.test({
  name: "a TERM during the hand-off ends the successor, too",
  ignore: !LINUX,
  async fn() {
    const points: readonly FaultPoint[] = isLong() ? ["successor.begun", "handoff.ready"] : ["handoff.ready"];
    for (const point of points) {
      await using home = await TestHome.create(compiled!);
      const go = join(home.root, "go-on");
      const agent = new CountingAgent(home);
      await agent.install("1.0.0");
      await setFaults(home, { [point]: { action: "pause", untilFile: go } });
      const { pid } = (await home.json(START, { env: SOON })).value;
      await agent.install("2.0.0");
      await until(home, "both are there", async () => (await home.processes()).length === 2);
      Deno.kill(pid, "SIGTERM");
      if (point === "handoff.ready") await Deno.writeTextFile(go, "");
      await empty(home);
    }
  },
});

Deno.test({
  name: "a restart for a replaced agent CLI waits while somebody else is at work on the home, and comes after that",
  ignore: !LINUX || !isLong(),
  async fn() {
    await using it = await scene(compiled!);
    const { home, agent, pid } = it;
    const lock = await Deno.open(join(home.home, "restart.lock"), { read: true, write: true, create: true });
    await lock.lock(true);
    await agent.install("2.0.0");
    await logged(home, "the restart is put off");
    assertEquals((await home.json(["run", "--agent", "demo", "--scratch", "@demo:fast"])).code, 0);
    assertEquals((await status(home)).pid, pid);
    lock.close();
    await succeeded(home, pid);
    await home.json(["stop"]);
    await empty(home);
  },
});

Deno.test({
  name:
    "drain --cancel takes back the drain for a restart: tasks are claimed again, and that change is not tried again",
  ignore: !LINUX || !isLong(),
  async fn() {
    await using it = await scene(compiled!);
    const { home, agent, pid } = it;
    const first = task(home, "task-a hold");
    await agent.noted("task-a 1.0.0 begun");
    await agent.install("2.0.0");
    await until(home, "it takes no more", async () => (await home.seen())?.holding === "paused");
    const second = task(home, "task-b");
    await queued(home, 1);
    assertEquals((await home.json(["drain", "--cancel"])).code, 0);
    await agent.noted("task-b 2.0.0 begun");
    await agent.release();
    assertEquals([(await first).code, (await second).code], [0, 0]);
    await logged(home, '"why":"cancelled"');
    const now = await status(home);
    assertEquals([now.pid, now.phase], [pid, "running"]);
    await home.json(["stop"]);
    await empty(home);
  },
});

Deno.test({
  name: "a supervised daemon leaves with the code that has its manager start it again, and starts nobody itself",
  ignore: !LINUX,
  async fn() {
    await using home = await TestHome.create(compiled!);
    const agent = new CountingAgent(home);
    await agent.install("1.0.0");
    const daemon = await home.daemon({ args: ["--supervised", "systemd", "--auto-reload-binaries"], env: SOON });
    await agent.install("2.0.0");
    assertEquals(await daemon.ended(), EXIT_CODES.restartMe.code, daemon.stderr);
    await home.assertNoProcessLeft();
    assertEquals(JSON.parse(await Deno.readTextFile(join(home.home, "reload.json"))).restarts.length, 1);
  },
});

Deno.test({
  name: "a daemon whose successor did not make it goes on with the agents it knew, and looks at them again beside that",
  ignore: !LINUX,
  async fn() {
    await using it = await scene(compiled!, { "successor.holds": { action: "kill" } });
    const { home, agent } = it;
    await agent.install("2.0.0", { versionTakesS: 8 });
    await logged(home, "the successor did not make it");
    const run = await task(home, "task-a");
    assertEquals([run.code, await agent.notes()], [0, ["task-a 2.0.0 begun", "task-a 2.0.0 done"]]);
    const lines = (await home.log()).trim().split("\n").map((line) => JSON.parse(line));
    const failed = lines.findIndex(({ message }) => message === "the successor did not make it, going on as before");
    const after = lines.slice(failed).find(({ message }) => message === "registered");
    const ms = Date.parse(after["@timestamp"]) - Date.parse(lines[failed]["@timestamp"]);
    // Otherwise it would have waited for the version.
    assertEquals(ms < 7_500, true, `${ms} ms until it was registered again`);
    await home.json(["stop"]);
    await empty(home);
  },
});
