/** What a person said of claiming and what was done today, as files of the home. */
import { assertEquals } from "@std/assert";
import { claimPauseStore, dayStore, readClaimPause, readToday } from "../../lib/app/claims_file.ts";
import { dayOf } from "../../lib/core/day_limits.ts";
import { homeLayout } from "../../lib/core/home.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";

Deno.test("claimPauseStore() keeps a pause privately until its time is over, or until it is taken back", async () => {
  await using dir = await tempDirectory();
  const home = homeLayout(dir.path);
  const { files, clock } = testHost();
  const store = claimPauseStore(files, home, () => clock.now());
  const pause = { since: clock.now(), until: clock.now() + 1_000, reason: "lunch" };
  assertEquals(await store.read(), undefined);
  await store.write(pause);
  assertEquals(await store.read(), pause);
  assertEquals((await Deno.stat(home.claimPause)).mode! & 0o777, 0o600);
  assertEquals(await readClaimPause(files, home, pause.until), undefined);
  await store.write({ ...pause, until: null });
  assertEquals((await readClaimPause(files, home, 1e15))?.until, null);
  await store.write(undefined);
  assertEquals(await store.read(), undefined);
});

Deno.test("dayStore() keeps a day's book for that day, and takes a damaged one for none", async () => {
  await using dir = await tempDirectory();
  const home = homeLayout(dir.path);
  const { files, clock } = testHost();
  const store = dayStore(files, home, () => clock.now());
  const today = dayOf(clock.now());
  const book = { day: today, counts: { bot: { tasks: 1, tokens: 2, costUsdTicks: 3 } } };
  assertEquals((await store.read())?.counts, {});
  await store.write(book);
  assertEquals(await store.read(), book);
  assertEquals((await readToday(files, home, clock.now() + 36 * 60 * 60_000)).counts, {});
  for (const text of ["", "{", "[]", '{"schemaVersion":2,"day":"x","counts":{}}', '{"schemaVersion":1,"day":3}']) {
    await Deno.writeTextFile(home.today, text);
    assertEquals((await store.read())?.counts, {}, text);
  }
});
