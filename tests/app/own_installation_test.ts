/** Whose a program is, also when its file was replaced since it was started. */
import { assertEquals } from "@std/assert";
import { ownOwner } from "../../lib/app/own_installation.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";
import { copyProgram } from "../support/program_file.ts";

const NAME = "1.0.0-abcdefabcdef";

Deno.test("a release of ours is known by where it lies, through links, and after it was removed or replaced", async () => {
  await using dir = await tempDirectory();
  const release = dir.at(`drover/releases/${NAME}`);
  await Deno.mkdir(release, { recursive: true });
  await copyProgram("/bin/sleep", `${release}/drover`);
  await Deno.symlink(`releases/${NAME}`, dir.at("drover/current"));
  const { host } = testHost();
  const ownerAt = (image: string) => ownOwner({ ...host, system: { ...host.system, compiled: true, image } });
  const whole = await ownerAt(dir.at("drover/current/drover"));
  assertEquals([whole.kind, whole.kind === "drover" && whole.name], ["drover", NAME]);
  if (Deno.build.os !== "linux") return;
  const child = new Deno.Command(`${release}/drover`, { args: ["60"] }).spawn();
  try {
    await Deno.remove(release, { recursive: true });
    const gone = await ownerAt(`/proc/${child.pid}/exe`);
    assertEquals(gone, whole);
  } finally {
    child.kill();
    await child.status;
  }
});
