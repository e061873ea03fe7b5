/** What a team server's request for an update comes to: a round by its name, and an updater that sees it through. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { readUpdates } from "../../lib/app/update_file.ts";
import { serverUpdates } from "../../lib/app/update_port.ts";
import { mergeSettings } from "../../lib/core/config.ts";
import type { Host, LaunchRequest } from "../../lib/core/ports.ts";
import { UpdateWorld } from "./update_world.ts";
import { placeScript } from "../support/program_file.ts";

const never = new AbortController().signal;

function launching(world: UpdateWorld): { host: Host; launches: LaunchRequest[] } {
  const launches: LaunchRequest[] = [];
  const launch = (request: LaunchRequest) => {
    launches.push(request);
    return { pid: 1, exit: Promise.resolve({ code: 0, signal: null }) };
  };
  return { launches, host: { ...world.host, launcher: { launch, signal: () => "gone" } } };
}

function settingsOf(world: UpdateWorld) {
  return () => mergeSettings({ flags: {}, env: { DROVER_RELEASES_URL: world.server.url }, file: {} });
}

Deno.test("a version that is none, an older one and one without our signature are refused", async () => {
  await using world = await UpdateWorld.create("1.0.0");
  await world.publish("0.9.0");
  await world.publish("1.1.0");
  const updates = await serverUpdates(world.host, world.home, settingsOf(world));
  assertEquals(updates.refusal(), undefined);
  await assertRejects(() => updates.install("latest", never), Error, "is no version");
  await assertRejects(() => updates.install("v0.9.0", never), Error, "older");
  // From source there is no key.
  await assertRejects(() => updates.install("v1.1.0", never), Error, "knows no key");
  const { rounds } = await readUpdates(world.host.files, world.installation);
  assertEquals(rounds.map(({ by, code }) => [by, code]), [["server", "older"], ["server", "no-keys"]]);
  assertEquals(await world.version(), "1.0.0");
});

Deno.test("the restart is an updater's, started from the release that runs", async () => {
  await using world = await UpdateWorld.create("1.0.0");
  const { host, launches } = launching(world);
  const updates = await serverUpdates(host, world.home, settingsOf(world));
  updates.restart();
  await new Promise((resolve) => setTimeout(resolve, 100));
  const program = join(world.installation.releases, world.first, "drover");
  assertEquals(launches.map(({ argv }) => argv.slice(-3)), [[program, "__updater", "--once"]]);
});

Deno.test("what an app started is left to the app, and what is not ours to whoever installed it", async () => {
  await using world = await UpdateWorld.create("1.0.0");
  const env = { ...world.host.system.env, DROVER_LAUNCHED_BY: "desktop" };
  const managed = { ...world.host, system: { ...world.host.system, env } };
  assertStringIncludes((await serverUpdates(managed, world.home, settingsOf(world))).refusal()!, "app");
  const source = { ...world.host, system: { ...world.host.system, compiled: false } };
  assertStringIncludes((await serverUpdates(source, world.home, settingsOf(world))).refusal()!, "git pull");
});

Deno.test("an installation of Homebrew's is updated by Homebrew", async () => {
  await using world = await UpdateWorld.create("1.0.0");
  const bin = await Deno.makeTempDir({ prefix: "drover-brew-" });
  try {
    await placeScript(join(bin, "brew"), `#!/bin/sh\necho "asked to $*"\n`);
    const host: Host = {
      ...world.host,
      files: { ...world.host.files, realPath: () => Promise.resolve("/opt/homebrew/Cellar/drover/1.0.0/bin/drover") },
      processes: {
        ...world.host.processes,
        // As the system finds it on PATH.
        run: (command, limits) =>
          world.host.processes.run({ ...command, executable: join(bin, command.executable) }, limits),
      },
    };
    const updates = await serverUpdates(host, world.home, settingsOf(world));
    assertEquals([updates.refusal(), await updates.install("1.1.0", never)], [undefined, "asked to upgrade drover"]);
  } finally {
    await Deno.remove(bin, { recursive: true });
  }
});
