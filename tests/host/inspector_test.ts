/** What a diagnosis asks of the machine: who has a file open, and how much room there is. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { HostError } from "../../lib/core/ports.ts";
import { createInspector } from "../../lib/host/inspector.ts";
import { eventually } from "../support/drover.ts";
import { tempDirectory } from "./temp_directory.ts";
import { copyProgram } from "../support/program_file.ts";

const inspector = createInspector();

Deno.test({
  name: "openedBy() names the other processes that have the file open, by whatever path",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using dir = await tempDirectory();
    await Deno.writeTextFile(dir.at("lock"), "");
    await Deno.symlink(dir.path, dir.at("link"));
    using _own = await Deno.open(dir.at("lock"));
    assertEquals(await inspector.openedBy(dir.at("lock")), [], "not this process");
    const holder = new Deno.Command("sh", {
      args: ["-c", 'exec 9<"$1"; echo open; read -r _', "sh", dir.at("lock")],
      stdin: "piped",
      stdout: "null",
    }).spawn();
    await eventually(async () => (await inspector.openedBy(dir.at("link/lock"))).length > 0, "it has it open");
    assertEquals(await inspector.openedBy(dir.at("link/lock")), [holder.pid]);
    await holder.stdin.close();
    await holder.status;
    assertEquals(await inspector.openedBy(dir.at("lock")), []);
    await copyProgram("/bin/sh", dir.at("program"));
    const running = new Deno.Command(dir.at("program"), { args: ["-c", "read -r _"], stdin: "piped" }).spawn();
    await eventually(async () => (await inspector.openedBy(dir.at("program"))).length > 0, "it runs from it");
    assertEquals(await inspector.openedBy(dir.at("program")), [running.pid]);
    await running.stdin.close();
    await running.status;
  },
});

Deno.test("diskSpace() tells how much is free, and names a path that is not there", async () => {
  await using dir = await tempDirectory();
  const { freeBytes, totalBytes, freeFiles } = await inspector.diskSpace(dir.path);
  assert(freeBytes > 0 && freeBytes <= totalBytes, `${freeBytes} of ${totalBytes}`);
  assert(freeFiles === null || freeFiles > 0);
  const error = await assertRejects(() => inspector.diskSpace(dir.at("none")), HostError, dir.at("none"));
  assertEquals(error.code, "not-found");
});
