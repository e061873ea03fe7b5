/** `drover runtime …` as people use it: a custom launch of an agent CLI becomes an agent, with a daemon and without. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { compiledForm, type ProgramForm } from "../support/program.ts";

/** A wrapper around the demo agent that says what it was started with; `--version` it does not know. */
async function withWrapper(home: TestHome, form: ProgramForm, { version = "exit 3" } = {}): Promise<void> {
  const program = form.argv.map((word) => `'${word}'`).join(" ");
  await home.script(
    "acme-claude",
    `[ "$1" = --fast ] || exit 9
shift
case " $* " in *--version*) ${version} ;; esac
echo "$ACME_KEY" > acme-key
exec ${program} __demo-agent "$@"`,
  );
}

const ADD = ["runtime", "add", "house", "--like", "claude", "--env", "ACME_KEY", "--", "acme-claude", "--fast"];

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(
    name("runtime add makes an agent of a command, which run starts with its arguments and variables"),
    async () => {
      await using home = await TestHome.create(form);
      await withWrapper(home, form);
      const { value } = await home.json(ADD, { env: { ACME_KEY: "only-for-acme" } });
      assertEquals([value.runtime.display_name, value.runtime.env], ["house", ["ACME_KEY"]]);
      const { code, value: ran } = await home.json(["run", "--agent", "house", "--scratch", "hello @demo:fast"]);
      assertEquals([code, ran.task?.status, ran.task?.agent], [0, "completed", "house"], JSON.stringify(ran));
      assertEquals((await Deno.readTextFile(`${ran.task.work_dir}/acme-key`)).trim(), "only-for-acme");
      const listed = (await home.drover(["runtime", "list"])).stdout;
      assertStringIncludes(listed, "acme-claude --fast");
      assertEquals(listed.includes("only-for-acme"), false);
    },
  );
}

const form = compiledForm().at(-1)!;

Deno.test("runtime add, disable and remove reach a running daemon, which goes on with its tasks", async () => {
  await using home = await TestHome.create(form);
  await withWrapper(home, form);
  const daemon = await home.daemon();
  const online = async () => {
    const { value } = await home.json(["status"]);
    // deno-lint-ignore no-explicit-any
    return value.connections[0].runtimes.map((one: any) => one.profile ?? one.provider);
  };
  await home.json(ADD, { env: { ACME_KEY: "k" } });
  await eventually(async () => (await online()).includes("house"), "the daemon offers it", 20_000);
  assertEquals((await home.json(["run", "--agent", "house", "--scratch", "@demo:fast"])).code, 0);
  await home.json(["runtime", "disable", "house"]);
  await eventually(async () => !(await online()).includes("house"), "the daemon offers it no more", 20_000);
  assertEquals((await home.json(["runtime", "remove", "house"])).code, 0);
  assertEquals((await home.json(["runtime", "list"])).value.runtimes, []);
  assertEquals((await home.json(["tasks", "list"])).value.tasks.length, 1);
  await daemon.stop();
});

Deno.test("a custom runtime whose command is replaced is registered anew, under the same id", async () => {
  await using home = await TestHome.create(form);
  await withWrapper(home, form, { version: "echo 1.0.0; exit" });
  await home.json(ADD, { env: { ACME_KEY: "k" } });
  const daemon = await home.daemon({ env: { DROVER_RELOAD_INTERVAL: "1s" } });
  const house = async () => {
    const { value } = await home.json(["status"]);
    return value.connections[0].runtimes.find((one: { profile?: string }) => one.profile === "house");
  };
  const before = await house();
  assertEquals(before?.version, "1.0.0");
  await withWrapper(home, form, { version: "echo 2.0.0; exit" });
  await eventually(async () => (await house())?.version === "2.0.0", "the new version is registered", 30_000);
  assertEquals((await house()).id, before.id);
  await daemon.stop();
});

Deno.test("runtime refuses what cannot work, and says what would", async () => {
  await using home = await TestHome.create(form);
  const refused: [args: string[], code: number, text: string][] = [
    [["add", "house", "--like", "clade", "--", "x"], EXIT_CODES.unknown.code, "drover knows"],
    [["add", "claude", "--like", "claude", "--", "x"], EXIT_CODES.usage.code, "my-claude"],
    [
      ["add", "house", "--like", "claude", "--env", "NOT_SET_HERE", "--", "x"],
      EXIT_CODES.usage.code,
      "NOT_SET_HERE=VALUE",
    ],
    [["add", "house"], EXIT_CODES.usage.code, "COMMAND"],
    [["remove", "nobody"], EXIT_CODES.unknown.code, "drover runtime list"],
  ];
  for (const [args, code, text] of refused) {
    const outcome = await home.drover(["runtime", ...args]);
    assertEquals(outcome.code, code, outcome.stderr);
    assertStringIncludes(outcome.stderr, text);
  }
});
