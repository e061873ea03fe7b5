/** Permission `ask` from the agent to a person and back: answered from another terminal, denied, unanswered, at a terminal; and secrets. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { compiledForm } from "../support/program.ts";

const IN_PLACE = ["run", "--agent", "demo", "--cwd", "."];

/** A run whose agent asks, what it printed so far, and its task. */
async function asking(home: TestHome, args: readonly string[], env: Record<string, string> = {}) {
  const child = home.spawn([...IN_PLACE, ...args], { env });
  let said = "";
  const reading = child.stdout.pipeThrough(new TextDecoderStream()).pipeTo(
    new WritableStream({ write: (text) => void (said += text) }),
  );
  await eventually(() => /^answer .*approve/m.test(said), "it says how to answer");
  const task = /^task +(\S+)$/m.exec(said)![1]!;
  const ended = async () => {
    const { code } = await child.status;
    await reading;
    return { code, said };
  };
  return { task, said: () => said, ended };
}

function filesIn(path: string): string[] {
  return [...Deno.readDirSync(path)].map(({ name }) => name).filter((name) => name.startsWith("drover-demo"));
}

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(name("tasks approve and deny answer from another terminal what a run in place asks"), async () => {
    await using home = await TestHome.create(form);
    const run = await asking(home, ["@demo:fast @demo:ask=2"]);
    const shown = (await home.json(["tasks", "show", run.task])).value;
    assertEquals(shown.task.permission, "ask");
    assertEquals(shown.asks.map(({ title }: { title: string }) => title), ["echo 1", "echo 2"]);
    assertStringIncludes((await home.drover(["status"])).stdout, "asks");
    const vague = await home.json(["tasks", "approve", run.task]);
    assertEquals([vague.code, vague.value.error.code], [EXIT_CODES.usage.code, "usage"]);
    const one = await home.json([
      "tasks",
      "deny",
      run.task,
      shown.asks[0].request_id.slice(0, 8),
      "--reason",
      "no echo",
    ]);
    assertEquals([one.code, one.value.answered[0].title], [0, "echo 1"]);
    assertEquals((await home.json(["tasks", "approve", run.task.slice(0, 8), "--always"])).code, 0);
    await eventually(() => run.said().includes("asks        Write"), "it asks for its file");
    const again = await home.json(["tasks", "approve", run.task, shown.asks[0].request_id]);
    assertEquals([again.code, again.value.error.code], [EXIT_CODES.conflict.code, "not_asked"]);
    assertEquals((await home.json(["tasks", "approve", run.task, "--all"])).code, 0);
    const { code, said } = await run.ended();
    assertEquals(code, 0, said);
    for (const text of ["denied      no echo", "allowed     allowed by a person"]) assertStringIncludes(said, text);
    assertEquals(filesIn(home.cwd).length, 1, "what was allowed was done");
    const late = await home.json(["tasks", "approve", run.task]);
    assertEquals([late.code, late.value.error.code], [EXIT_CODES.notRunning.code, "not_running"]);
  });

  Deno.test(name("what nobody answers in time is denied, and the agent goes on without it"), async () => {
    await using home = await TestHome.create(form);
    const env = { DROVER_PERMISSION_ASK_TIMEOUT: "1s" };
    const { code, value } = await home.json([...IN_PLACE, "@demo:fast"], { env });
    assertEquals([code, value.task.status], [0, "completed"]);
    const answer = value.messages.find(({ type }: { type: string }) => type === "permission_answer");
    assertEquals([answer.output, answer.content], ["denied", "nobody answered within 1 s"]);
    assertEquals(filesIn(home.cwd), []);
  });

  Deno.test(name("a person at the terminal is asked, and ctrl-C still asks and cancels"), async () => {
    // A terminal of its own is what this program makes, in the form of Linux.
    const script = "/usr/bin/script";
    if (Deno.build.os !== "linux" || !(await Deno.stat(script).catch(() => undefined))) return;
    await using home = await TestHome.create(form);
    await home.script("at-terminal", `exec ${form.argv.map((word) => `'${word}'`).join(" ")} "$@"`);
    const child = new Deno.Command(script, {
      args: ["-qec", `at-terminal ${IN_PLACE.join(" ")} '@demo:fast @demo:ask=1'`, "/dev/null"],
      cwd: home.cwd,
      env: home.env,
      clearEnv: true,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    let said = "";
    const reading = child.stdout.pipeThrough(new TextDecoderStream()).pipeTo(
      new WritableStream({ write: (text) => void (said += text) }),
    );
    const keys = child.stdin.getWriter();
    const type = async (text: string) => {
      await new Promise((resolve) => setTimeout(resolve, 400));
      await keys.write(new TextEncoder().encode(text));
    };
    try {
      await eventually(() => said.includes("allow Bash: echo 1? [y]es"), "it asks");
      await type("y\n");
      await eventually(() => said.includes("allow Write"), "it asks for the next");
      await type("\x03");
      await eventually(() => said.includes("ctrl-C again cancels"), "ctrl-C asks");
      await type("\x03");
      await child.status;
      await reading;
    } finally {
      await keys.close().catch(() => {});
    }
    assertStringIncludes(said, "allowed at the terminal");
    assertStringIncludes(said, "cancelled");
    assertEquals(filesIn(home.cwd), []);
    await home.assertNoProcessLeft();
  });

  Deno.test(name("an agent sees the secrets its row and the configuration name, and no other"), async () => {
    await using home = await TestHome.create(form);
    const shown = '"${OPENAI_API_KEY-none} ${GH_TOKEN-none} ${SSH_AUTH_SOCK-none} ${EDITOR-none}"';
    const log = join(home.root, "probe");
    await home.script(
      "llm",
      `[ "$1" = --version ] && { echo ${shown} >>${log}; echo "llm, version 0.27"; exit; }; cat >/dev/null; echo ${shown}`,
    );
    const env = { OPENAI_API_KEY: "own", GH_TOKEN: "theirs", SSH_AUTH_SOCK: "/sock", EDITOR: "vi" };
    const seen = async (more: Record<string, string>) => {
      const { value } = await home.json(["run", "--agent", "llm", "--scratch", "hi"], { env: { ...env, ...more } });
      return value.task.output.trim();
    };
    assertEquals(await seen({}), "own none none vi");
    assertEquals(await seen({ DROVER_AGENTS_ENV: "GH_*" }), "own theirs none vi");
    const probed = (await Deno.readTextFile(log)).trim().split("\n");
    assertEquals([...new Set(probed)], ["own none none vi", "own theirs none vi"]);
    const { stdout } = await home.drover(["agents", "--all"], { env });
    for (const text of ["GH_TOKEN", "SSH_AUTH_SOCK", "agents.env"]) assertStringIncludes(stdout, text);
    assert(!stdout.includes("theirs"), "names only");
  });

  Deno.test(name("run refuses what the agent cannot promise before there is a task, and keeps effort"), async () => {
    await using home = await TestHome.create(form);
    const sandbox = await home.json(["run", "--agent", "demo", "--scratch", "--sandbox", "@demo:fast"]);
    assertEquals([sandbox.code, sandbox.value.error.code], [EXIT_CODES.usage.code, "usage"]);
    assertStringIncludes(sandbox.value.error.message, "run it without --sandbox");
    assertEquals((await home.json(["tasks", "list"])).value.tasks, []);
    const { value } = await home.json(["run", "--agent", "demo", "--scratch", "--effort", "high", "@demo:fast"]);
    assertEquals([value.task.effort, value.task.sandbox], ["high", false]);
  });
}
