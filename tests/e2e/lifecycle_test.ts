/** The background daemon: start, stop, restart, status, logs and drain, from many terminals and after every kind of end. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { compiledForm, programForms } from "../support/program.ts";

/** How many daemons there have been in this home, by the line each writes when it holds it. */
async function daemonsSoFar(home: TestHome): Promise<number> {
  return (await home.log()).split("\n").filter((line) => line.includes("holding the home")).length;
}

async function running(home: TestHome): Promise<number> {
  return (await home.seenTasks("running")).length;
}

for (const form of programForms()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(name("start, status, restart and stop each do their work once and say so the second time"), async () => {
    await using home = await TestHome.create(form);
    assertEquals((await home.json(["stop"])).value.status, "notRunning");
    assertEquals(await Deno.stat(home.home).then(() => true, () => false), false, "stop makes no home");
    const stopped = await home.json(["status"]);
    assertEquals([stopped.code, stopped.value.state], [EXIT_CODES.notRunning.code, "stopped"]);

    const started = await home.json(["start"]);
    assertEquals([started.code, started.value.status], [0, "started"], JSON.stringify(started));
    const again = await home.json(["start"]);
    assertEquals([again.value.status, again.value.pid], ["alreadyRunning", started.value.pid]);
    const status = await home.json(["status"]);
    assertEquals([status.code, status.value.state, status.value.pid], [0, "running", started.value.pid]);
    assertEquals((await home.json(["run", "--agent", "demo", "--scratch", "@demo:fast"])).code, 0);

    const restarted = await home.json(["restart"]);
    assertEquals(restarted.value.status, "restarted");
    assert(restarted.value.pid !== started.value.pid);
    assertEquals((await home.json(["stop"])).value.status, "stopped");
    assertEquals((await home.json(["stop"])).value.status, "notRunning");
    assertStringIncludes(await home.log(), '"message":"asked to end","logger":"drover.app","by":"control socket"');
    await home.assertNoProcessLeft();
  });
}

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(name("twenty starts at once make one daemon, and all of them succeed with it"), async () => {
    await using home = await TestHome.create(form);
    const all = await Promise.all(Array.from({ length: 20 }, () => home.json(["start"])));
    assertEquals(all.map(({ code }) => code), all.map(() => 0), JSON.stringify(all.find(({ code }) => code !== 0)));
    assertEquals(new Set(all.map(({ value }) => value.pid)).size, 1);
    assertEquals(all.filter(({ value }) => value.status === "started").length, 1);
    assertEquals(await daemonsSoFar(home), 1);
    assertEquals((await home.json(["stop"])).code, 0);
  });

  Deno.test(name("restart keeps what the daemon was started with, whoever calls it"), async () => {
    await using home = await TestHome.create(form);
    await home.json(["start", "--max-concurrent-tasks", "2"]);
    assertEquals((await home.json(["status"])).value.slots.total, 2);
    await home.json(["restart"]);
    await home.json(["restart"]);
    assertEquals((await home.json(["status"])).value.slots.total, 2);
    await home.json(["stop"]);
  });

  Deno.test(
    name("stop waits for a task, gives up at its deadline with a list, and drain --cancel takes it back"),
    async () => {
      await using home = await TestHome.create(form);
      await home.json(["start"]);
      const run = home.spawn(["run", "--agent", "demo", "--scratch", "@demo:hang"], { stdout: "null" });
      await eventually(async () => await running(home) === 1, "it runs");
      const { code, value } = await home.json(["stop", "--timeout", "300ms"]);
      assertEquals([code, value.error.code], [EXIT_CODES.drainDeadline.code, "drain_deadline"]);
      const [task] = (await home.json(["tasks", "list"])).value.tasks;
      assertStringIncludes(value.error.message, task.id);
      assertEquals((await home.json(["status"])).value.state, "draining");
      assertEquals((await home.json(["drain", "--cancel"])).value.status, "resumed");
      assertEquals((await home.json(["run", "--agent", "demo", "--scratch", "@demo:fast"])).code, 0);
      assertEquals((await home.json(["stop", "--now"])).value.status, "stopped");
      run.kill("SIGKILL");
      await run.status;
      await home.assertNoProcessLeft();
      const [last] = (await home.json(["tasks", "list", "--status", "queued"])).value.tasks;
      assertEquals([last.retry_of, last.attempt], [task.id, 2], "what was cut off is tried again");
    },
  );

  Deno.test(name("after kill -9 status says crashed, and start recovers the task that was running"), async () => {
    await using home = await TestHome.create(form);
    const { value: first } = await home.json(["start"]);
    const run = home.spawn(["run", "--agent", "demo", "--scratch", "@demo:sleep=1500"], { stdout: "null" });
    await eventually(async () => await running(home) === 1, "it runs");
    Deno.kill(first.pid, "SIGKILL");
    await eventually(async () => (await home.json(["status"])).value.state === "crashed", "status says so");
    assertEquals((await home.json(["start"])).value.status, "started", "the lock did not pass to the agent");
    assertEquals((await run.status).code, 0, await home.log());
    const states = (await home.json(["tasks", "list"])).value.tasks.map((task: { status: string }) => task.status);
    assertEquals(states, ["completed", "failed"]);
    await home.json(["stop"]);
    await home.assertNoProcessLeft();
  });

  Deno.test(name("a daemon that cannot start says why, with its last words"), async () => {
    await using home = await TestHome.create(form);
    await home.json(["start"]);
    await home.json(["stop"]);
    await Deno.writeTextFile(
      join(home.home, "outbox.db"),
      "this is no database, and long enough to be looked at as one\n".repeat(40),
    );
    const { code, value } = await home.json(["start"]);
    assertEquals([code, value.error.code], [EXIT_CODES.unexpected.code, "daemon_failed"]);
    assertStringIncludes(value.error.message, "outbox.db");
    assertEquals((await home.json(["status"])).value.state, "stopped");
    await home.assertNoProcessLeft();
  });

  Deno.test(name("logs prints the end of the log, and of a task's transcript"), async () => {
    await using home = await TestHome.create(form);
    assertEquals((await home.json(["logs"])).value.error.code, "not_running");
    await home.json(["start"]);
    const { value: { task } } = await home.json(["run", "--agent", "demo", "--scratch", "@demo:fast"]);
    const { value } = await home.json(["logs", "-n", "1"]);
    assertEquals(value.lines.length, 1);
    assertEquals(typeof JSON.parse(value.lines[0]).message, "string");
    const transcript = (await home.json(["logs", "--task", task.id.slice(0, 8)])).value.lines.map((line: string) =>
      JSON.parse(line)
    );
    assert(transcript.some((record: { type?: string }) => record.type === "tool_use"));
    assertEquals(transcript.at(-1).outcome.kind, "complete");
    await home.json(["stop"]);
  });
}
