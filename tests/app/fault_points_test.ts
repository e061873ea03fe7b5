/** Fault points: inert without a private file, and then exactly what the file says. */
import { assertEquals, assertRejects } from "@std/assert";
import { createFaultPoints } from "../../lib/app/fault_points.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import { homeLayout } from "../../lib/core/home.ts";
import type { Launcher } from "../../lib/core/ports.ts";
import { createClock } from "../../lib/host/clock.ts";
import { eventually } from "../support/drover.ts";
import { type TempDirectory, tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";

/** `signals` hears what would have been sent. */
function pointsIn(dir: TempDirectory, options: { uid?: number; signals?: string[] } = {}) {
  const { files, system } = testHost({ uid: options.uid });
  const launcher = {
    signal(target, name) {
      options.signals?.push(`${name} ${target.pid === Deno.pid ? "to itself" : target.pid}`);
      return "sent";
    },
  } as Launcher;
  return createFaultPoints({ files, system, launcher, clock: createClock() }, homeLayout(dir.path));
}

async function write(dir: TempDirectory, text: string, mode = 0o600): Promise<void> {
  await Deno.writeTextFile(dir.at("fault-points.json"), text);
  await Deno.chmod(dir.at("fault-points.json"), mode);
}

const FAIL = '{"here": {"action": "fail"}}';

Deno.test("a fault point does nothing without a file, and at any other point than the named one", async () => {
  await using dir = await tempDirectory();
  await pointsIn(dir)("here");
  await write(dir, FAIL);
  await pointsIn(dir)("elsewhere");
  await assertRejects(() => pointsIn(dir)("here"), DroverError, "Cannot go on at here");
});

Deno.test("a fault point obeys nobody's file but ours, and none that others may read", async () => {
  await using dir = await tempDirectory();
  await write(dir, FAIL, 0o644);
  await pointsIn(dir)("here");
  await write(dir, FAIL);
  await pointsIn(dir, { uid: 4711 })("here");
  await Deno.rename(dir.at("fault-points.json"), dir.at("target"));
  await Deno.symlink(dir.at("target"), dir.at("fault-points.json"));
  await pointsIn(dir)("here");
});

Deno.test("a fault point kills its own process, and pauses until a file is there", async () => {
  await using dir = await tempDirectory();
  await write(dir, JSON.stringify({ a: { action: "kill" }, b: { action: "pause", untilFile: dir.at("go") } }));
  const signals: string[] = [];
  const point = pointsIn(dir, { signals });
  let passed = false;
  const paused = point("b").then(() => passed = true);
  void point("a");
  await eventually(() => signals.length > 0, "it signals");
  assertEquals([signals, passed], [["SIGKILL to itself"], false]);
  await Deno.writeTextFile(dir.at("go"), "");
  await paused;
});

Deno.test("a fault point says when its file cannot be understood", async () => {
  await using dir = await tempDirectory();
  for (const text of ["", "[]", '{"here": {"action": "explode"}}']) {
    await write(dir, text);
    const error = await assertRejects(() => pointsIn(dir)("here"), DroverError);
    assertEquals(error.code, "config_invalid", text);
  }
});
