/** The tokens of each day on the coordinator: the latest total holds, all of a report or none, and only of runtimes that are there. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { World } from "./world.ts";

const ENTRY = {
  ...{ date: "2026-01-15", provider: "claude", model: "m" },
  ...{ input_tokens: 10, output_tokens: 5, cache_read_tokens: 3, cache_write_tokens: 1 },
};

Deno.test("a report of a day's tokens replaces the one before, and is listed for all machines", async () => {
  await using world = await World.create();
  await world.register(["claude"]);
  const path = `/api/daemon/runtimes/${world.runtime("claude")}/usage`;
  const listed = async (days = 7) => (await world.user(`/v1/usage?days=${days}`)).body.usage;
  assertEquals(await listed(), []);
  const old = { ...ENTRY, date: "2026-01-01" };
  assertEquals((await world.daemon(path, { entries: [ENTRY, { ...ENTRY, model: "n" }, old] })).status, 200);
  assertEquals((await world.daemon(path, { entries: [{ ...ENTRY, output_tokens: 50 }] })).status, 200);
  const found = await listed();
  assertEquals(found.map((row: typeof ENTRY) => [row.date, row.provider, row.model, row.output_tokens]), [
    ["2026-01-15", "claude", "m", 50],
    ["2026-01-15", "claude", "n", 5],
  ]);
  assertEquals(found[0].runtime_id, world.runtime("claude"));
  assertEquals((await listed(30)).length, 3);
});

Deno.test("a report that cannot be read, or of a runtime that is not there, changes nothing", async () => {
  await using world = await World.create();
  await world.register(["claude"]);
  const path = `/api/daemon/runtimes/${world.runtime("claude")}/usage`;
  for (const wrong of [{ date: "yesterday" }, { input_tokens: -1 }, { output_tokens: 1.5 }, { model: null }]) {
    const answer = await world.daemon(path, { entries: [ENTRY, { ...ENTRY, ...wrong }] });
    assertEquals(answer.status, 400, JSON.stringify(wrong));
  }
  const ghost = await world.daemon("/api/daemon/runtimes/00000000-0000-4000-8000-00000000dead/usage", { entries: [] });
  assertEquals(ghost.status, 404);
  assertStringIncludes(ghost.body.error, "runtime not found");
  assertEquals((await world.user("/v1/usage")).body.usage, []);
});
