/** A command that is killed in the middle: whatever comes next finds the home in order, or puts it in order. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import type { FaultPoint } from "../../lib/lifecycle/verb.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { clearFaults, setFaults } from "../support/faults.ts";
import { isLong } from "../support/length.ts";
import { compiledForm, programForms } from "../support/program.ts";

/** The command that is killed, with what runs before it. */
interface Killed {
  readonly point: FaultPoint;
  readonly running: boolean;
  readonly command: readonly string[];
}

const KILLED: readonly Killed[] = [
  { point: "start.noted", running: false, command: ["start"] },
  { point: "start.launched", running: false, command: ["start"] },
  { point: "start.ready", running: false, command: ["start"] },
  { point: "stop.asked", running: true, command: ["stop"] },
  { point: "stop.gone", running: true, command: ["stop"] },
  { point: "restart.noted", running: true, command: ["restart"] },
  { point: "restart.stopped", running: true, command: ["restart"] },
  { point: "start.launched", running: true, command: ["restart"] },
];

/** For a daemon that comes too late to see so and leave, on a slow machine. */
const SETTLE_MS = 45_000;

/** Has the command killed at its point; its daemon, if there was one, has its own arguments. */
async function killedAt(home: TestHome, { point, running, command }: Killed): Promise<void> {
  if (running) assertEquals((await home.json(["start", "--max-concurrent-tasks", "2"])).value.status, "started");
  await setFaults(home, { [point]: { action: "kill" } });
  const { code, stderr } = await home.drover(command);
  assertEquals(code, 137, `${command.join(" ")} is killed at ${point}: ${stderr}`);
  await clearFaults(home);
}

async function journalOf(home: TestHome): Promise<unknown> {
  return JSON.parse(await Deno.readTextFile(join(home.home, "lifecycle.json"))).operation;
}

async function exists(home: TestHome, name: string): Promise<boolean> {
  return await Deno.stat(join(home.home, name)).then(() => true, () => false);
}

/** Stopped, and nothing left of it. */
async function assertEmpty(home: TestHome, what: string): Promise<void> {
  await eventually(async () => (await home.processes()).length === 0, `${what} no process is left`, SETTLE_MS);
  const { value } = await home.json(["status"]);
  assertEquals(value.state, "stopped", what);
  assertEquals(await journalOf(home), null, `${what}: the journal is settled`);
  for (const name of ["daemon.json", "restart.json"]) assertEquals(await exists(home, name), false, `${what}: ${name}`);
}

/** Each command at its worst; the soak has them all. */
const CHOSEN = isLong()
  ? KILLED
  : KILLED.filter(({ point }) => !["start.noted", "stop.asked", "restart.noted"].includes(point));

for (const form of compiledForm()) {
  for (const [index, killed] of CHOSEN.entries()) {
    const { point, running, command } = killed;
    // In turn what comes next is a start or a stop; the soak tries both after each.
    const next = isLong() ? ["start", "stop"] : [index % 2 === 0 ? "start" : "stop"];
    const title = `[${form.kind}] ${command.join(" ")} killed at ${point}`;

    if (next.includes("start")) {
      Deno.test(`${title}: the next start makes it one daemon, with what it had`, async () => {
        await using home = await TestHome.create(form);
        await killedAt(home, killed);
        const { code, value } = await home.json(["start"]);
        assertEquals(code, 0, JSON.stringify(value));
        // One that comes too late leaves again, after a moment.
        await eventually(async () => (await home.processes()).length === 1, "there is one daemon", SETTLE_MS);
        assertEquals(await journalOf(home), null, "the journal is settled");
        const status = await home.json(["status"]);
        assertEquals([status.value.state, status.value.pid], ["running", value.pid]);
        const kept = running && command[0] === "restart";
        if (kept) assertEquals(status.value.slots.total, 2, "a restart keeps the arguments");
        assertEquals((await home.json(["stop"])).value.status, "stopped");
        await assertEmpty(home, "after stop");
      });
    }

    if (next.includes("stop")) {
      Deno.test(`${title}: the next stop leaves nothing, and nothing comes up behind it`, async () => {
        await using home = await TestHome.create(form);
        await killedAt(home, killed);
        const { code, value } = await home.json(["stop"]);
        assertEquals(code, 0, JSON.stringify(value));
        await assertEmpty(home, "after stop");
      });
    }
  }

  Deno.test(`[${form.kind}] a restart killed between stop and start is completed by the next command that looks for the daemon`, async () => {
    await using home = await TestHome.create(form);
    await killedAt(home, { point: "restart.stopped", running: true, command: ["restart"] });
    assertEquals((await home.json(["tasks", "list"])).code, 0);
    const { value } = await home.json(["status"]);
    assertEquals([value.state, value.slots?.total], ["running", 2]);
    assertEquals(await journalOf(home), null);
    await home.json(["stop"]);
    await assertEmpty(home, "after stop");
  });

  Deno.test(`[${form.kind}] a start waits for a restart that is held up, and finds its daemon`, async () => {
    await using home = await TestHome.create(form);
    const { value: first } = await home.json(["start"]);
    const go = join(home.root, "go");
    await setFaults(home, { "restart.stopped": { action: "pause", untilFile: go } });
    const restart = home.json(["restart"]);
    await eventually(
      async () => (await home.processes()).every((pid) => pid !== first.pid),
      "the old one is gone",
      30_000,
    );
    await eventually(() => exists(home, "restart.json"), "the restart names itself");
    const start = home.json(["start"]);
    await Deno.writeTextFile(go, "");
    const [restarted, started] = await Promise.all([restart, start]);
    assertEquals([restarted.value.status, started.value.status], ["restarted", "alreadyRunning"]);
    assertEquals(started.value.pid, restarted.value.pid);
    await clearFaults(home);
    await home.json(["stop"]);
    await assertEmpty(home, "after stop");
  });
}

Deno.test("fault points are inert unless the file is private", async () => {
  await using home = await TestHome.create(programForms()[1]!);
  await setFaults(home, { "start.noted": { action: "fail" } });
  const failed = await home.json(["start"]);
  assertEquals([failed.code, failed.value.error.code], [1, "internal"]);
  await Deno.chmod(join(home.home, "fault-points.json"), 0o640);
  const { code, value } = await home.json(["start"]);
  assertEquals(code, 0, JSON.stringify(value));
  assert(value.pid > 0);
  await home.json(["stop"]);
  await eventually(async () => (await home.processes()).length === 0, "no process is left", SETTLE_MS);
});
