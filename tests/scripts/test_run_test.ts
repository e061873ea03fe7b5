/** The test runner: which files it chooses, how it shares them out, and how it adds up and repeats what they say. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { ROOT } from "../../scripts/project.ts";
import { FIRST, groupsOf, REAL, testFiles } from "../../scripts/test.ts";
import { failuresIn, readTally } from "../../scripts/test_run.ts";
import { tempDirectory } from "../host/temp_directory.ts";

Deno.test("readTally() takes the last summary, coloured or not", () => {
  const tally = { passed: 12, steps: 0, failed: 0, ignored: 0 };
  assertEquals(readTally("ok | 12 passed | 0 failed (1s)\n"), tally);
  assertEquals(readTally("FAILED | 3 passed (2 steps) | 1 failed | 4 ignored (9ms)\n"), {
    passed: 3,
    steps: 2,
    failed: 1,
    ignored: 4,
  });
  assertEquals(readTally("ok | 12 passed (1 step) | 0 failed (1s)\n"), { ...tally, steps: 1 });
  const coloured = "\x1b[0m\x1b[32mok\x1b[0m | 12 passed | 0 failed \x1b[0m(1s)\x1b[0m\n\n";
  assertEquals(readTally(coloured), tally);
  const child = "ok | 7 passed | 0 failed (1s)\n----- output end -----\nFAILED | 12 passed | 2 failed (3s)\n";
  assertEquals(readTally(child), { ...tally, failed: 2 });
});

Deno.test("readTally() finds nothing in the output of a run that crashed", () => {
  assertEquals(readTally("error: Uncaught SyntaxError\n"), undefined);
  assertEquals(readTally("a test said: ok | 1 passed | 0 failed\n"), undefined);
});

Deno.test("failuresIn() leaves out what went well", () => {
  assertEquals(failuresIn("a ... ok (1ms)\n\n ERRORS \n\nb => c\n FAILURES \n"), "ERRORS \n\nb => c\n FAILURES");
  assertEquals(failuresIn("error: Uncaught SyntaxError\n"), "error: Uncaught SyntaxError");
});

Deno.test("testFiles() takes everything but the real CLIs, or exactly what is named", () => {
  const all = testFiles([]);
  assert(all.includes("tests/core/reload_test.ts") && all.includes("tests/scripts/test_run_test.ts"));
  assertEquals(all.filter((path) => path.startsWith(REAL) || !path.endsWith("_test.ts")), []);
  assertEquals(testFiles(["tests/real/"]).every((path) => path.startsWith(`${REAL}/`)), true);
  assertEquals(testFiles(["tests/core/reload_test.ts", "tests/core/reload_test.ts"]), ["tests/core/reload_test.ts"]);
  assertThrows(() => testFiles(["tests/none"]), Error, "Cannot find tests at tests/none");
});

Deno.test("groupsOf() loses no file and takes none twice; what takes longest begins first, alone", () => {
  const all = testFiles([]);
  const groups = groupsOf(all);
  assertEquals(groups.flat().toSorted(), all);
  assertEquals(groups.slice(0, FIRST.length), FIRST.map((path) => [path]));
  assertEquals(groupsOf(["tests/core/reload_test.ts"]), [["tests/core/reload_test.ts"]]);
});

Deno.test("runTests() adds up what its processes say, repeats failures at the end, counts a crash as one, and ends when told to", async () => {
  await using dir = await tempDirectory();
  const files: Record<string, string> = {
    good: `Deno.test("good", () => {}); Deno.test.ignore("later", () => {});`,
    bad: `Deno.test("fine", () => {}); Deno.test("bad", () => { throw new Error("too bad"); });`,
    crashed: `Deno.test("crashed", () => Deno.exit(3));`,
    waits: `Deno.test("waits", async () => {
      await Deno.mkdir(${JSON.stringify(dir.at("begun"))});
      await new Promise((resolve) => setTimeout(resolve, 600_000));
    });`,
  };
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(dir.at(`${name}_test.ts`), text);
  const run = async (options: string[], names: string[]) => {
    const groups = JSON.stringify(names.map((name) => [dir.at(`${name}_test.ts`)]));
    const script = `
      import { runTests } from ${JSON.stringify(`file://${join(ROOT, "scripts/test_run.ts")}`)};
      const stop = new AbortController();
      const isThere = () => Deno.stat(${JSON.stringify(dir.at("begun"))}).then(() => true, () => false);
      const look = setInterval(async () => await isThere() && stop.abort(), 20);
      const more = { jobs: 1, options: ${JSON.stringify(options)}, signal: stop.signal };
      const tally = await runTests({ groups: ${groups}, ...more });
      clearInterval(look);
      console.log(JSON.stringify(tally));`;
    const args = ["eval", "--quiet", script];
    const { stdout } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stderr: "inherit" }).output();
    const lines = new TextDecoder().decode(stdout).trim().split("\n");
    return { tally: JSON.parse(lines.at(-1)!), summary: lines.at(-2)!, text: lines.join("\n") };
  };
  const all = await run([], ["bad", "crashed", "good"]);
  assertEquals(all.tally, { passed: 2, steps: 0, failed: 2, ignored: 1 });
  assertStringIncludes(all.summary, "FAILED | 2 passed (0 steps) | 2 failed | 1 ignored (");
  const afterGood = all.text.slice(all.text.indexOf("good ..."));
  for (const said of ["too bad", "crashed_test.ts"]) assertStringIncludes(afterGood, said);
  const fast = await run(["--fail-fast"], ["bad", "crashed", "good"]);
  assertEquals(fast.tally, { passed: 1, steps: 0, failed: 1, ignored: 0 });
  assertEquals((await run([], ["good"])).tally, { passed: 1, steps: 0, failed: 0, ignored: 1 });
  const stopped = await run([], ["waits", "good"]);
  assertEquals(stopped.tally, { passed: 0, steps: 0, failed: 1, ignored: 0 });
  assertStringIncludes(stopped.text, "waits_test.ts ended with code 143 and no summary");
});
