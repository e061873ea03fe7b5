/** What `status` says of the next look for a release, however long the updater has been running. */
import { assertEquals } from "@std/assert";
import { writeUpdates } from "../../lib/app/update_file.ts";
import { updateView } from "../../lib/app/update_view.ts";
import { writeUpdater } from "../../lib/app/updater_record.ts";
import { FRESH_UPDATES } from "../../lib/core/update.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { UpdateWorld } from "./update_world.ts";

Deno.test("status says when the next look is, also of an updater that has run for hours", async () => {
  await using world = await UpdateWorld.create("1.0.0");
  const clock = new FakeClock();
  const system = { ...world.host.system, env: { DROVER_UPDATE_AUTO: "true" } };
  const host = { ...world.host, clock, system };
  const since = clock.now();
  const next = async () => (await updateView(host, world.home))?.nextAt;
  assertEquals(await next(), null, "no updater runs");
  await writeUpdater(host, world.home, { name: world.first, since });
  assertEquals(await next(), since + 5 * 60_000);
  for (let hour = 0; hour < 4; hour++) {
    await clock.advance(60 * 60_000);
    const nextAt = clock.now() + 55 * 60_000;
    await writeUpdates(host.files, world.installation, { ...FRESH_UPDATES, nextAt });
    assertEquals(await next(), nextAt);
  }
});
