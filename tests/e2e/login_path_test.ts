/** Agents that come late, end to end: one that only the login shell's PATH knows, and one installed while the daemon runs. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { eventually, TestHome } from "../support/drover.ts";
import { compiledForm } from "../support/program.ts";
import { placeScript } from "../support/program_file.ts";

const BASH = ["/bin/bash", "/usr/bin/bash"].find((path) => {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
});
const ASKING = { DROVER_LOGIN_PATH: "true", SHELL: BASH ?? "/bin/sh" };
const PATIENCE_MS = 60_000;

/** An agent CLI that says which PATH it got. */
const LLM = '[ "$1" = --version ] && { echo 1.2.3; exit; }\ncat >/dev/null\necho "PATH=$PATH"\nhelper';

/** A directory that only the login shell adds to PATH, with the agent and a program that the agent needs. */
async function managed(home: TestHome): Promise<string> {
  const directory = join(home.root, "managed");
  await Deno.mkdir(directory);
  for (const [name, body] of [["llm", LLM], ["helper", "echo helped"]] as const) {
    await placeScript(join(directory, name), `#!/bin/sh\n${body}\n`);
  }
  const rc = `echo "Welcome!"\nexport PATH="$PATH:${directory}"\n`;
  await Deno.writeTextFile(join(home.root, "user", ".bash_profile"), rc);
  return directory;
}

async function providers(home: TestHome): Promise<string[]> {
  const { connections } = await home.seen();
  return connections[0].runtimes.map(({ provider }: { provider: string }) => provider);
}

function until(home: TestHome, provider: string): Promise<void> {
  return eventually(async () => (await providers(home)).includes(provider), `${provider} is registered`, PATIENCE_MS);
}

for (const form of compiledForm()) {
  Deno.test({
    name: `an agent that only the login shell's PATH knows is found, and gets that PATH (${form.kind})`,
    ignore: BASH === undefined,
    fn: async () => {
      await using home = await TestHome.create(form);
      const directory = await managed(home);
      const started = await home.json(["start"], { env: ASKING });
      assertEquals(started.code, 0);
      await until(home, "llm");
      const run = await home.json(["run", "--agent", "llm", "hello"]);
      assertEquals(run.code, 0, JSON.stringify(run.value));
      assertStringIncludes(run.value.task.output, "helped");
      assertStringIncludes(run.value.task.output, `:/bin:`);
      assert(run.value.task.output.includes(directory));
      assertEquals((await home.json(["status"])).value.waitingFor, []);

      // The next one knows it from its first moment on, and so do commands that start no daemon.
      const again = await home.json(["restart"], { env: ASKING });
      assertEquals(again.code, 0);
      assert((await providers(home)).includes("llm"));
      assertEquals((await home.json(["stop"])).code, 0);
      const agents = await home.json(["agents"], { env: ASKING });
      assert(agents.value.agents.some(({ provider }: { provider: string }) => provider === "llm"));
      await home.assertNoProcessLeft();
      const lines = (await home.log()).split("\n");
      assertEquals(lines.filter((line) => line.includes("PATH follows the login shell")).length, 1);
    },
  });

  Deno.test({
    name: `the daemon is ready while the login shell hangs, and stops with nothing left of it (${form.kind})`,
    ignore: BASH === undefined,
    fn: async () => {
      await using home = await TestHome.create(form);
      const asked = join(home.root, "asked");
      const rc = `touch ${asked}\nsleep 600 &\nwhile :; do sleep 600; done\n`;
      await Deno.writeTextFile(join(home.root, "user", ".bash_profile"), rc);
      const daemon = await home.daemon({ env: ASKING });
      await eventually(() => Deno.stat(asked).then(() => true, () => false), "the shell was asked", PATIENCE_MS);
      const run = await home.json(["run", "--agent", "demo", "hello"]);
      assertEquals(run.code, 0, JSON.stringify(run.value));
      await daemon.stop();
      await home.assertNoProcessLeft();
    },
  });

  Deno.test(`a daemon without an agent CLI starts, says so, and registers one that appears (${form.kind})`, async () => {
    await using home = await TestHome.create(form);
    const started = await home.drover(["start"]);
    assertEquals(started.code, 0, started.stderr);
    assertStringIncludes(started.stdout, "waiting: no agent CLI found: install one, claude or");
    assertStringIncludes((await home.drover(["status"])).stdout, "no agent CLI found");
    assertEquals((await home.json(["status"])).value.waitingFor[0].what, "agent-cli");
    const none = await home.json(["run", "hello"]);
    assertEquals([none.code, none.value.error.code], [9, "no_agent"]);
    const demo = await home.json(["run", "--agent", "demo", "hello"]);
    assertEquals(demo.code, 0, JSON.stringify(demo.value));

    await home.script("llm", '[ "$1" = --version ] && { echo 1.2.3; exit; }\ncat >/dev/null\necho done');
    await eventually(async () => (await providers(home)).includes("llm"), "llm is registered", 3 * PATIENCE_MS);
    const run = await home.json(["run", "hello"]);
    assertEquals([run.code, run.value.task.output.trim()], [0, "done"], JSON.stringify(run.value));
    assertEquals((await home.drover(["stop"])).code, 0);
    const said = (await home.log()).split("\n").filter((line) => line.includes("waiting for an agent CLI"));
    assertEquals(said.length, 1);
    await home.assertNoProcessLeft();
  });
}
