/** The program as such: version, help, JSON contract, exit codes, unknown words. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { TestHome } from "../support/drover.ts";
import { compiledForm } from "../support/program.ts";

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(name("drover version tells what it is, for people and as JSON"), async () => {
    await using home = await TestHome.create(form);
    const text = await home.drover(["version"]);
    assertEquals(text.code, 0);
    assertStringIncludes(text.stdout, form.kind === "source" ? "from source" : "build");
    const { code, value } = await home.json(["version"]);
    assertEquals(code, 0);
    assertEquals(value.compiled, form.kind === "compiled");
    assertEquals([value.ok, value.schemaVersion], [true, 1]);
    assertEquals((await home.drover(["--version"])).stdout, text.stdout);
  });

  Deno.test(name("drover --help lists the commands, and each has help of its own"), async () => {
    await using home = await TestHome.create(form);
    const all = await home.drover(["--help"]);
    assertEquals(all.code, 0);
    assertStringIncludes(all.stdout, "  tasks follow ");
    const one = await home.drover(["tasks", "follow", "--help"]);
    assertEquals(one.code, 0);
    assertStringIncludes(one.stdout, "Usage: drover tasks follow");
  });

  Deno.test(name("an unknown command names the nearest one and exits with the code for wrong usage"), async () => {
    await using home = await TestHome.create(form);
    const { code, stdout, stderr } = await home.drover(["tasks", "lst"]);
    assertEquals([code, stdout], [EXIT_CODES.usage.code, ""]);
    assertStringIncludes(stderr, "did you mean drover tasks list?");
  });

  Deno.test(
    name("an error under --json is the one object on stdout, with all that a script may branch on"),
    async () => {
      await using home = await TestHome.create(form);
      const { code, stdout, stderr } = await home.drover(["run", "", "--json"]);
      assertEquals([code, stderr], [EXIT_CODES.usage.code, ""]);
      const { schemaVersion, ok, error } = JSON.parse(stdout);
      assertEquals([schemaVersion, ok, error.code], [1, false, "usage"]);
      assert(error.message.length > 0 && error.hint.length > 0);
      assertEquals([error.phase, error.retryable, error.cause, error.details], [null, false, [], {}]);
    },
  );

  Deno.test(name("commands that only look leave no home behind"), async () => {
    await using home = await TestHome.create(form);
    assertEquals((await home.json(["tasks", "list"])).value.tasks, []);
    assertEquals((await home.drover(["agents", "--all"])).code, 0);
    assertEquals((await home.json(["tasks", "show", "0123456789"])).value.error.code, "task_unknown");
    const left = await Deno.stat(home.home).then(() => true, () => false);
    assertEquals(left, false);
  });
}

Deno.test("the README's table of exit codes is the program's", async () => {
  const readme = await Deno.readTextFile(new URL("../../README.md", import.meta.url));
  for (const { code, meaning } of Object.values(EXIT_CODES)) assertStringIncludes(readme, `| ${code} | ${meaning} |`);
});
