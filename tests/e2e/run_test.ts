/** `drover run` without a daemon: the demo agent end to end, its files, joining, interrupts, and what stays behind. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { compiledForm, programForms } from "../support/program.ts";

async function modeOf(path: string): Promise<string> {
  return ((await Deno.lstat(path)).mode! & 0o777).toString(8);
}

async function filesBelow(path: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(path)) {
    const below = join(path, entry.name);
    if (entry.isDirectory) found.push(...await filesBelow(below));
    else found.push(below);
  }
  return found;
}

for (const form of programForms()) {
  Deno.test(`[${form.kind}] run executes the demo agent, streams its messages, and keeps its files`, async () => {
    await using home = await TestHome.create(form);
    const { code, stdout, stderr } = await home.drover(["run", "--agent", "demo", "look around @demo:fast"]);
    assertEquals(code, 0, stdout + stderr);
    for (const kind of ["thinking", "tool-use", "tool-result", "text", "completed"]) assertStringIncludes(stdout, kind);
    const { value } = await home.json(["tasks", "list"]);
    assertEquals(value.tasks.length, 1);
    const [task] = value.tasks;
    assertEquals([task.status, task.agent, task.attempt], ["completed", "demo", 1]);
    const written = (await filesBelow(task.work_dir)).length;
    assert(written > 0, "the demo agent wrote a file");
    assertEquals(task.usage.length, 1);
    const { value: said } = await home.json(["tasks", "messages", task.id.slice(0, 8)]);
    const kinds = said.messages.map((message: { type: string }) => message.type);
    assert(kinds.filter((kind: string) => kind === "tool_use").length >= 2, "two tools were used");
    assertEquals(
      said.messages.map((message: { seq: number }) => message.seq),
      kinds.map((_: string, i: number) => i + 1),
    );
    await home.assertNoProcessLeft();
    assertEquals((await home.json(["tasks", "show", task.id])).value.task.output, task.output);
  });
}

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(name("run keeps everything private: directories 0700, files 0600"), async () => {
    await using home = await TestHome.create(form);
    assertEquals((await home.drover(["run", "--agent", "demo", "--scratch", "@demo:fast"])).code, 0);
    assertEquals(await modeOf(home.home), "700");
    const own = (await filesBelow(home.home)).filter((path) => !path.includes("/workdir/"));
    for (const path of own) {
      const expected = path.endsWith("/bin/drover") ? "700" : "600";
      assertEquals(await modeOf(path), expected, path);
    }
    assert(own.some((path) => path.includes("/transcripts/")));
    const left = own.filter((path) => path.endsWith(".sock") || path.endsWith("daemon.json"));
    assertEquals(left, [], "no socket and no pidfile outlives the run");
  });

  Deno.test(name("run --json prints one object with the task and its messages"), async () => {
    await using home = await TestHome.create(form);
    const { code, value } = await home.json(["run", "--agent", "demo", "--scratch", "@demo:fast"]);
    assertEquals(code, 0);
    assertEquals([value.ok, value.task.status, value.task.permission], [true, "completed", "full"]);
    assert(value.messages.length >= 5);
  });

  Deno.test(name("run exits with a code of its own when the task fails, and says why"), async () => {
    await using home = await TestHome.create(form);
    const { code, value } = await home.json(["run", "--agent", "demo", "--scratch", "@demo:fail @demo:fast"]);
    assertEquals(code, EXIT_CODES.taskFailed.code);
    assertEquals(value.task.status, "failed");
    assert(value.task.failure_reason.startsWith("agent_error."), value.task.failure_reason);
    assert(value.task.error.length > 0);
  });

  Deno.test(name("run: ctrl-C asks, a second one cancels the task and ends its agent"), async () => {
    await using home = await TestHome.create(form);
    const child = home.spawn(["run", "--agent", "demo", "--scratch", "@demo:hang"]);
    let said = "";
    let noted = "";
    const reading = Promise.all([
      child.stdout.pipeThrough(new TextDecoderStream()).pipeTo(
        new WritableStream({ write: (text) => void (said += text) }),
      ),
      child.stderr.pipeThrough(new TextDecoderStream()).pipeTo(
        new WritableStream({ write: (text) => void (noted += text) }),
      ),
    ]);
    await eventually(() => said.includes("files  "), "the task is running");
    child.kill("SIGINT");
    await eventually(() => noted.includes("ctrl-C again cancels"), "it asks");
    child.kill("SIGINT");
    const { code } = await child.status;
    await reading;
    assertEquals(code, EXIT_CODES.taskCancelled.code, said + noted);
    assertStringIncludes(said, "cancelled");
    await home.assertNoProcessLeft();
  });

  Deno.test(name("two runs at once share one holder and both complete"), async () => {
    await using home = await TestHome.create(form);
    const both = await Promise.all(
      [1, 2].map((n) => home.json(["run", "--agent", "demo", "--scratch", `task ${n} @demo:sleep=300`])),
    );
    assertEquals(both.map(({ code }) => code), [0, 0], JSON.stringify(both) + await home.log());
    assertEquals(new Set(both.map(({ value }) => value.task.id)).size, 2);
    await home.assertNoProcessLeft();
    const log = await home.log();
    assert(log.includes("holding the home"), log);
  });

  Deno.test(name("run leaves queued tasks of others alone and says how many"), async () => {
    await using home = await TestHome.create(form);
    const killed = home.spawn(["run", "--agent", "demo", "--scratch", "@demo:hang"], { stdout: "null" });
    await eventually(
      async () => (await home.seenTasks("running")).length === 1,
      "it runs",
    );
    killed.kill("SIGKILL");
    await killed.status;
    const { code, stdout } = await home.drover(["run", "--agent", "demo", "--scratch", "@demo:fast"]);
    assertEquals(code, 0, stdout);
    assertStringIncludes(stdout, "1 other queued task left for the daemon");
    const { value } = await home.json(["tasks", "list", "--status", "queued"]);
    assertEquals(value.tasks.map((task: { attempt: number }) => task.attempt), [2]);
    await home.assertNoProcessLeft();
  });

  Deno.test(
    name("run in a git repository works in a worktree, takes uncommitted work along, and says so"),
    async () => {
      await using home = await TestHome.create(form);
      const git = async (...args: string[]) => {
        const config = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"];
        const { success, stderr } = await new Deno.Command("git", { args: [...config, ...args], cwd: home.cwd })
          .output();
        assert(success, new TextDecoder().decode(stderr));
      };
      await git("init", "-q");
      await Deno.writeTextFile(join(home.cwd, "a.txt"), "committed\n");
      await git("add", "a.txt");
      await git("commit", "-qm", "first");
      await Deno.writeTextFile(join(home.cwd, "a.txt"), "changed\n");
      const { code, stdout } = await home.drover(["run", "--agent", "demo", "look @demo:fast"]);
      assertEquals(code, 0, stdout);
      assertStringIncludes(stdout, "1 uncommitted change");
      const [task] = (await home.json(["tasks", "list"])).value.tasks;
      assert(task.branch_name.startsWith("drover/demo-"), task.branch_name);
      assertEquals(await Deno.readTextFile(join(task.work_dir, "a.txt")), "changed\n");
      assertEquals(await Deno.readTextFile(join(home.cwd, "a.txt")), "changed\n");
      assertEquals([...Deno.readDirSync(home.cwd)].map((entry) => entry.name).sort(), [".git", "a.txt"]);
    },
  );

  Deno.test(name("run --cwd works in place, as far as it is allowed to"), async () => {
    await using home = await TestHome.create(form);
    const inPlace = ["run", "--agent", "demo", "--cwd", home.cwd, "@demo:fast"];
    const reading = await home.json([...inPlace, "--permission", "read-only"]);
    assertEquals([reading.code, reading.value.task.permission, reading.value.task.work_dir], [
      0,
      "read-only",
      home.cwd,
    ]);
    assertEquals([...Deno.readDirSync(home.cwd)].length, 0, "nothing was written");
    const writing = await home.json([
      "run",
      "--agent",
      "demo",
      "--cwd",
      home.cwd,
      "--permission",
      "full",
      "@demo:fast",
    ]);
    assertEquals(writing.code, 0);
    assertEquals([...Deno.readDirSync(home.cwd)].length, 1);
  });

  Deno.test(name("run --resume continues the session in the same directory"), async () => {
    await using home = await TestHome.create(form);
    const first = (await home.json(["run", "--agent", "demo", "--scratch", "@demo:fast"])).value.task;
    const { code, value } = await home.json(["run", "--resume", first.id, "go on @demo:fast"]);
    assertEquals(code, 0, JSON.stringify(value));
    assertEquals([value.task.session_id, value.task.work_dir], [first.session_id, first.work_dir]);
    assertEquals(value.task.thread_id, first.thread_id);
  });
}
