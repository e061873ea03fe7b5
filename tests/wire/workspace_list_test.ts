/** The list of workspaces: asked for with its tag, and by the old route only where the new one is truly missing. */
import { assertEquals } from "@std/assert";
import { createClient, type WireClient } from "../../lib/wire/client.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { type Answer, type Call, json, scriptedFetch } from "./scripted_fetch.ts";

function client(answer: (call: Call, nth: number) => Answer): { client: WireClient; calls: Call[] } {
  const { fetch, calls } = scriptedFetch(answer);
  const options = { name: "s", baseUrl: "http://s.test", version: "1", os: "linux", capabilities: [] };
  return { client: createClient({ ...options, token: () => "mul_x", fetch, clock: new FakeClock() }), calls };
}

const NEW = "/api/daemon/workspaces";
const missing = () => new Response("404 page not found", { status: 404 });
const list = [{ id: "w", name: "mine" }];

Deno.test("WireClient.workspaces() shows the tag it was given, and keeps the list while nothing has changed", async () => {
  const tagged = () => Response.json(list, { headers: { etag: 'W/"1"' } });
  const w = client((_, nth) => nth === 1 ? tagged() : new Response(null, { status: 304 }));
  assertEquals(await w.client.workspaces(), { kind: "ok", value: list });
  assertEquals(await w.client.workspaces(), { kind: "ok", value: list });
  assertEquals(w.calls.map(({ headers }) => headers.get("if-none-match")), [null, 'W/"1"']);
});

Deno.test("WireClient.workspaces() takes `unchanged` without a list for a failure", async () => {
  const w = client(() => new Response(null, { status: 304 }));
  assertEquals((await w.client.workspaces()).kind, "failed");
});

Deno.test("WireClient.workspaces() uses the old route for good where the new one is missing", async () => {
  const w = client(({ path }) => path === NEW ? missing() : json(list));
  for (let n = 0; n < 2; n++) assertEquals(await w.client.workspaces(), { kind: "ok", value: list });
  assertEquals([w.calls.map(({ path }) => path), w.client.old], [[NEW, "/api/workspaces", "/api/workspaces"], true]);
});

Deno.test("WireClient.workspaces() takes no server for old that knows neither route", async () => {
  const w = client((_, nth) => nth <= 2 ? missing() : json(list));
  assertEquals((await w.client.workspaces()).kind, "failed");
  assertEquals([w.client.old, (await w.client.workspaces()).kind], [false, "ok"]);
});

Deno.test("WireClient.workspaces() finds the new route again when an old server was replaced", async () => {
  let replaced = false;
  const w = client(({ path }) => (path === NEW) === replaced ? json(list) : missing());
  await w.client.workspaces();
  replaced = true;
  assertEquals([(await w.client.workspaces()).kind, w.client.old], ["failed", false]);
  assertEquals((await w.client.workspaces()).kind, "ok");
});
