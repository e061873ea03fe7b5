/** An agent CLI that is replaced under a daemon: what runs ends well, what waits gets the new version, nothing is lost. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { eventually, TestHome } from "../support/drover.ts";
import { compiledForm } from "../support/program.ts";
import { placeScript } from "../support/program_file.ts";

const PATIENCE_MS = 45_000;
/** drover itself is another test's: to read it takes longer than all else. */
const SOON = { DROVER_RELOAD_INTERVAL: "200ms", DROVER_RELOAD_SELF: "off" };

/** Answers with its version, once `go` is there. */
function script(version: string, go = "/"): string {
  return `if [ "$1" = --version ]; then echo "llm, version ${version}"; exit; fi
cat >/dev/null
while [ ! -e "${go}" ]; do sleep 0.05; done
echo "answered by ${version}"`;
}

/** Puts it in place at once, as installers do. */
async function replace(home: TestHome, body: string): Promise<void> {
  const path = join(home.bin, "llm");
  await placeScript(`${path}.new`, `#!/bin/sh\n${body}\n`);
  await Deno.rename(`${path}.new`, path);
}

// deno-lint-ignore no-explicit-any
async function llm(home: TestHome): Promise<any> {
  const { connections } = await home.seen();
  return connections[0].runtimes.find((one: { provider: string }) => one.provider === "llm");
}

function run(home: TestHome, prompt: string): Promise<Deno.CommandOutput> {
  return home.spawn(["run", "--agent", "llm", "--scratch", "--json", prompt]).output();
}

async function taskOf(
  output: Promise<Deno.CommandOutput>,
): Promise<{ status: string; attempt: number; output: string }> {
  const { stdout, stderr } = await output;
  const text = new TextDecoder().decode(stdout);
  try {
    return JSON.parse(text).task;
  } catch {
    throw new Error(`No task in ${text}${new TextDecoder().decode(stderr)}`);
  }
}

async function inState(home: TestHome, status: string): Promise<number> {
  return (await home.seenTasks(status)).length;
}

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(
    name("an agent CLI replaced while a task runs: that one ends well, the queued one gets the new version"),
    async () => {
      await using home = await TestHome.create(form);
      const go = join(home.root, "go");
      await home.script("llm", script("1.0.0", go));
      const daemon = await home.daemon({ env: SOON, args: ["--max-concurrent-tasks", "1"] });
      const first = run(home, "one");
      await eventually(async () => await inState(home, "running") === 1, "the first task runs", PATIENCE_MS);
      const second = run(home, "two");
      await eventually(async () => await inState(home, "queued") === 1, "the second waits", PATIENCE_MS);
      await eventually(async () => (await llm(home)).digest !== "", "its files were read", PATIENCE_MS);
      const before = await llm(home);
      await replace(home, script("2.0.0"));
      await eventually(async () => (await llm(home)).version === "2.0.0", "the new version is registered", PATIENCE_MS);
      await eventually(async () => (await llm(home)).digest !== before.digest, "and compared with", PATIENCE_MS);
      const after = await llm(home);
      assertEquals([after.id, await inState(home, "running")], [before.id, 1]);
      await Deno.writeTextFile(go, "");
      const tasks = [await taskOf(first), await taskOf(second)];
      assertEquals(tasks.map(({ status, attempt, output }) => [status, attempt, output.trim()]), [
        ["completed", 1, "answered by 1.0.0"],
        ["completed", 1, "answered by 2.0.0"],
      ]);
      const status = await home.json(["status"]);
      assertEquals([status.value.pid, status.value.reloadPending], [daemon.pid, null]);
      assertStringIncludes(await home.log(), "agent CLI is registered anew");
      await daemon.stop();
      await home.assertNoProcessLeft();
    },
  );

  Deno.test(
    name("a task for an agent CLI that is gone for the moment stays queued, and runs when it is back"),
    async () => {
      await using home = await TestHome.create(form);
      await home.script("llm", script("1.0.0"));
      const daemon = await home.daemon({ env: SOON });
      await Deno.remove(join(home.bin, "llm"));
      await eventually(async () => (await llm(home)).state === "missing", "it is missed", PATIENCE_MS);
      assertStringIncludes((await home.drover(["status"])).stdout, "(missing)");
      const task = run(home, "one");
      await eventually(async () => await inState(home, "queued") === 1, "the task waits", PATIENCE_MS);
      await replace(home, script("2.0.0"));
      const { status, attempt, output } = await taskOf(task);
      assertEquals([status, attempt, output.trim()], ["completed", 1, "answered by 2.0.0"], await home.log());
      await daemon.stop();
    },
  );

  Deno.test(name("a task does not start an agent CLI that is half written, and starts the whole of it"), async () => {
    await using home = await TestHome.create(form);
    await home.script("llm", script("1.0.0"));
    const daemon = await home.daemon({ env: SOON });
    await eventually(async () => (await llm(home)).digest !== "", "its files were read", PATIENCE_MS);
    const path = join(home.bin, "llm");
    const text = `#!/bin/sh\n${script("2.0.0")}\n`;
    await Deno.writeTextFile(path, text.slice(0, 40));
    const task = run(home, "one");
    await eventually(
      async () => await inState(home, "queued") + await inState(home, "dispatched") === 1,
      "the task waits",
      PATIENCE_MS,
    );
    await Deno.writeTextFile(path, text);
    const { status, output } = await taskOf(task);
    assertEquals([status, output.trim()], ["completed", "answered by 2.0.0"], await home.log());
    await daemon.stop();
  });
}
