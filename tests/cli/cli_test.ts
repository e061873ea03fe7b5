/** From a command line to what is printed, in this process: help for every verb, and unknown words. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { runCli } from "../../lib/cli/cli.ts";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { loadCommands } from "../../lib/cli/verbs.ts";
import type { Host } from "../../lib/core/ports.ts";

const COMMANDS = await loadCommands();

/** What is given here looks at nothing of the machine but the terminal. */
async function typed(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: "", err: "" };
  const terminal = { out: (text: string) => void (said.out += text), err: (text: string) => void (said.err += text) };
  const code = await runCli(argv, { terminal } as unknown as Host);
  return { code, ...said };
}

async function unknown(...argv: string[]): Promise<string> {
  const { code, out, err } = await typed(...argv);
  assertEquals([code, out], [EXIT_CODES.usage.code, ""], argv.join(" "));
  return err;
}

Deno.test("drover --help lists every command that is not hidden", async () => {
  const { code, out } = await typed("--help");
  assertEquals(code, 0);
  for (const command of COMMANDS) assertEquals(out.includes(`  ${command.name} `), !command.hidden, command.name);
});

Deno.test("every command has help with its usage, and takes --json", async () => {
  for (const command of COMMANDS.filter((candidate) => !candidate.hidden)) {
    const { code, out } = await typed(...command.name.split(" "), "--help");
    assertEquals(code, 0, command.name);
    assertStringIncludes(out, `Usage: drover ${command.name}`);
    for (const option of command.options) assertStringIncludes(out, `--${option.name}`);
    assertStringIncludes(out, "--json");
  }
});

Deno.test("an unknown command names the nearest one", async () => {
  assertEquals(await unknown("stats"), 'drover: Unknown command "stats"\n  did you mean drover status?\n');
  assertEquals(await unknown("tsks", "list"), 'drover: Unknown command "tsks"\n  did you mean drover tasks?\n');
  assertEquals(await unknown("frob"), 'drover: Unknown command "frob"\n  drover --help lists the commands\n');
});

Deno.test("an unknown command of a group names the nearest one of it, or else all of them", async () => {
  assertEquals(
    await unknown("tasks", "lst"),
    'drover: Unknown command "tasks lst"\n  did you mean drover tasks list?\n',
  );
  for (const word of ["frob", "runtime", "status"]) {
    assertEquals(
      await unknown("runtime", word),
      `drover: Unknown command "runtime ${word}"\n  choose from: drover runtime list, add, enable, disable, remove\n`,
    );
  }
  assertStringIncludes(await unknown("tasks", "frob"), "choose from: drover tasks list, show, ");
  assertStringIncludes(await unknown("enable", "frob"), "choose from: drover enable remote\n");
});
