/** `drover daemon`: one per home, tasks through it, a clean stop, and what `kill -9` leaves to the next one. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { compiledForm, programForms } from "../support/program.ts";

for (const form of programForms()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(name("a daemon runs tasks of several terminals and stops cleanly"), async () => {
    await using home = await TestHome.create(form);
    const daemon = await home.daemon();
    const both = await Promise.all(
      [1, 2].map((n) => home.json(["run", "--agent", "demo", "--scratch", `task ${n} @demo:fast`])),
    );
    assertEquals(both.map(({ code }) => code), [0, 0], await home.log());
    const { value } = await home.json(["tasks", "list"]);
    assertEquals(value.tasks.map((task: { status: string }) => task.status), ["completed", "completed"]);
    await daemon.stop();
    await home.assertNoProcessLeft();
    assertEquals((await home.json(["tasks", "list"])).value.tasks.length, 2, "tasks are still shown without a daemon");
  });

  Deno.test(name("a daemon opens no TCP port, whatever the environment says about servers and proxies"), async () => {
    await using home = await TestHome.create(form);
    const env = {
      DENO_SERVE_ADDRESS: "tcp:127.0.0.1:0",
      HTTP_PROXY: "http://127.0.0.1:1",
      http_proxy: "http://127.0.0.1:1",
      ALL_PROXY: "http://127.0.0.1:1",
    };
    const daemon = await home.daemon({ env });
    const { code } = await home.json(["run", "--agent", "demo", "--scratch", "@demo:fast"], { env });
    assertEquals(code, 0, await home.log());
    if (Deno.build.os === "linux") assertEquals(await listeningPorts(daemon.pid), []);
    await daemon.stop();
  });
}

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(name("a second daemon is refused at once and names the first one"), async () => {
    await using home = await TestHome.create(form);
    const daemon = await home.daemon();
    const { code, value } = await home.json(["daemon"]);
    assertEquals([code, value.error.code], [EXIT_CODES.busy.code, "already_running"]);
    assertStringIncludes(value.error.message, String(daemon.pid));
    await daemon.stop();
    await (await home.daemon()).stop();
  });

  Deno.test(name("a stopping daemon waits for its task, and a second signal ends it for a later attempt"), async () => {
    await using home = await TestHome.create(form);
    const daemon = await home.daemon();
    const run = home.spawn(["run", "--agent", "demo", "--scratch", "@demo:sleep=3000"], { stdout: "null" });
    await eventually(
      async () => (await home.seenTasks("running")).length === 1,
      "it runs",
    );
    daemon.signal("SIGTERM");
    assertEquals((await run.status).code, 0, "the task was not cut off");
    assertEquals(await daemon.ended(), 0);

    const second = await home.daemon();
    const hanging = home.spawn(["run", "--agent", "demo", "--scratch", "@demo:hang"], { stdout: "null" });
    await eventually(
      async () => (await home.seenTasks("running")).length === 1,
      "it hangs",
    );
    second.signal("SIGINT");
    await eventually(() => second.stderr.includes("again to end them now"), "it says what it waits for");
    second.signal("SIGINT");
    assertEquals(await second.ended(), 0);
    hanging.kill("SIGKILL");
    const { value } = await home.json(["tasks", "list", "--limit", "2"]);
    const states = value.tasks.map((task: { status: string; attempt: number }) => [task.status, task.attempt]);
    assertEquals(states, [["queued", 2], ["failed", 1]]);
    assertEquals(value.tasks[1].failure_reason, "runtime_recovery");
    await home.assertNoProcessLeft();
  });

  Deno.test(
    name("after kill -9 the next daemon ends what was left, tries the task again, and it completes once"),
    async () => {
      await using home = await TestHome.create(form);
      const daemon = await home.daemon();
      const run = home.spawn(["run", "--agent", "demo", "--scratch", "@demo:sleep=2500"]);
      const output = run.output();
      await eventually(
        async () => (await home.seenTasks("running")).length === 1,
        "it runs",
      );
      // At once: the agent ends by itself.
      const [task] = await home.seenTasks("running");
      await daemon.kill();
      const next = await home.daemon();
      const { code, stdout, stderr } = await output;
      const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      assertEquals(code, 0, text);
      assertStringIncludes(text, "attempt 1 failed (runtime_recovery)");
      const { value } = await home.json(["tasks", "list"]);
      assertEquals(value.tasks.map((one: { status: string }) => one.status), ["completed", "failed"]);
      assertEquals(value.tasks[0].retry_of, task.id);
      await next.stop();
      await home.assertNoProcessLeft();
    },
  );

  Deno.test(name("tasks cancel ends a running task within seconds and leaves no process"), async () => {
    await using home = await TestHome.create(form);
    const daemon = await home.daemon();
    const run = home.spawn(["run", "--agent", "demo", "--scratch", "@demo:hang @demo:grandchild"], { stdout: "null" });
    await eventually(
      async () => (await home.seenTasks("running")).length === 1,
      "it runs",
    );
    const [task] = (await home.json(["tasks", "list"])).value.tasks;
    const { code, value } = await home.json(["tasks", "cancel", task.id.slice(0, 8)]);
    assertEquals([code, value.task.status, value.changed], [0, "cancelled", true]);
    assertEquals((await run.status).code, EXIT_CODES.taskCancelled.code);
    assertEquals((await home.json(["tasks", "cancel", task.id])).value.changed, false);
    await eventually(async () => (await home.processes()).length === 1, "only the daemon is left");
    await daemon.stop();
  });

  Deno.test(name("more tasks than slots wait their turn and none is lost"), async () => {
    await using home = await TestHome.create(form);
    const daemon = await home.daemon({ args: ["--max-concurrent-tasks", "2"] });
    const all = await Promise.all(
      Array.from({ length: 5 }, (_, n) => home.json(["run", "--agent", "demo", "--scratch", `${n} @demo:fast`])),
    );
    assertEquals(all.map(({ code }) => code), [0, 0, 0, 0, 0], await home.log());
    await daemon.stop();
  });
}

/** TCP ports a process listens on, by its open sockets and the kernel's tables. */
async function listeningPorts(pid: number): Promise<string[]> {
  const inodes = new Set<string>();
  for await (const entry of Deno.readDir(`/proc/${pid}/fd`)) {
    const target = await Deno.readLink(`/proc/${pid}/fd/${entry.name}`).catch(() => "");
    const found = /^socket:\[(\d+)\]$/.exec(target);
    if (found) inodes.add(found[1]!);
  }
  assert(inodes.size > 0, "the control socket is one of them");
  const tables = await Promise.all(
    ["tcp", "tcp6"].map((table) => Deno.readTextFile(`/proc/${pid}/net/${table}`).catch(() => "")),
  );
  return tables.flatMap((table) => table.split("\n").slice(1)).map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === "0A" && inodes.has(fields[9] ?? "")).map((fields) => fields[1]!);
}
