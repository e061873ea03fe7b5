/** The test runner: which tests it chooses and how it reads the result that the last line repeats. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { ROOT } from "../../scripts/project.ts";
import { FIRST, readTally, testCommand } from "../../scripts/test.ts";

Deno.test("readTally() takes the last summary, coloured or not", () => {
  assertEquals(readTally("ok | 12 passed | 0 failed (1s)\n"), { passed: 12, failed: 0 });
  assertEquals(readTally("FAILED | 3 passed (2 steps) | 1 failed | 4 ignored (9ms)\n"), { passed: 3, failed: 1 });
  assertEquals(readTally("\x1b[0m\x1b[32mok\x1b[0m | 5 passed | 0 failed \x1b[0m(1s)\x1b[0m\n\n"), {
    passed: 5,
    failed: 0,
  });
  const child = "ok | 7 passed | 0 failed (1s)\n----- output end -----\nFAILED | 8 passed | 2 failed (3s)\n";
  assertEquals(readTally(child), { passed: 8, failed: 2 });
});

Deno.test("readTally() finds nothing in the output of a run that crashed", () => {
  assertEquals(readTally("error: Uncaught SyntaxError\n"), undefined);
  assertEquals(readTally("a test said: ok | 1 passed | 0 failed\n"), undefined);
});

Deno.test("testCommand() runs everything but the real CLIs, or exactly what is named", () => {
  const named = (args: string[]) => testCommand(args).filter((arg) => arg.startsWith("tests"));
  const all = named([]);
  assertEquals(all.slice(0, FIRST.length), FIRST);
  assertEquals(all.includes("tests/core"), true);
  assertEquals(all.some((path) => "tests/real".startsWith(path)), false);
  assertEquals(named(["--fail-fast"]), all);
  assertEquals(testCommand(["--fail-fast"]).includes("--fail-fast"), true);
  assertEquals(named(["tests/real"]), ["tests/real"]);
});

Deno.test("the files that begin first are there", () => {
  for (const path of FIRST) assert(Deno.statSync(join(ROOT, path)).isFile, path);
});
