/** Where a run of the tests has its files: a place of its own in which programs run, gone afterwards, with what was left in it told. */
import { assertEquals } from "@std/assert";
import { exists } from "@std/fs";
import { join } from "@std/path";
import { removeTestDirectory, testDirectory } from "../../scripts/test_directory.ts";
import { placeScript } from "../support/program_file.ts";

Deno.test("testDirectory() is a new one for each run, for every user, and programs run in it", async () => {
  const directories = [await testDirectory(), await testDirectory()] as const;
  assertEquals(new Set(directories).size, 2);
  assertEquals((await Deno.stat(directories[0])).mode! & 0o7777, 0o1777);
  const program = join(directories[0], "program");
  await placeScript(program, "#!/bin/sh\nexit 0\n");
  assertEquals((await new Deno.Command(program).output()).success, true);
  await Deno.remove(program);
  for (const directory of directories) assertEquals(await removeTestDirectory(directory), []);
});

Deno.test("removeTestDirectory() waits for what is about to go, and tells what stays", async () => {
  const directory = await testDirectory();
  for (const name of ["stays", "goes"]) await Deno.mkdir(join(directory, name, "in it"), { recursive: true });
  const removing = removeTestDirectory(directory, 500);
  await Deno.remove(join(directory, "goes"), { recursive: true });
  assertEquals(await removing, ["stays"]);
  assertEquals(await exists(directory), false);
});
