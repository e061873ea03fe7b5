/** Which path a program is started by again: the one it was started by, links kept, as long as that leads to what runs. */
import { assertEquals } from "@std/assert";
import { stablePath } from "../../lib/host/self_command.ts";
import { tempDirectory } from "./temp_directory.ts";

Deno.test("stablePath() keeps the link a program was started by, bare, relative or absolute", async () => {
  await using dir = await tempDirectory();
  for (const name of ["v1", "v2", "bin"]) await Deno.mkdir(dir.at(name));
  for (const name of ["v1/drover", "v2/drover"]) await Deno.writeTextFile(dir.at(name), "");
  await Deno.symlink("v1", dir.at("current"));
  await Deno.symlink(dir.at("current/drover"), dir.at("bin/drover"));
  const image = dir.at("v1/drover");
  const around = { cwd: dir.at("v2"), path: `relative:${dir.at("nowhere")}:${dir.at("v2")}:${dir.at("bin")}` };
  const cases: [typed: string, found: string | undefined][] = [
    [dir.at("current/drover"), dir.at("current/drover")],
    ["../current/drover", dir.at("current/drover")],
    // What PATH finds first is another file than the one that runs.
    ["drover", dir.at("bin/drover")],
    ["./drover", undefined],
    [dir.at("v2/drover"), undefined],
    ["somebody", undefined],
    [dir.at("gone"), undefined],
  ];
  for (const [typed, found] of cases) assertEquals(stablePath(typed, image, around), found, typed);
});
