/** WebSockets to servers: headers arrive, frames go both ways, and every way to fail ends in one word. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { HostError } from "../../lib/core/ports.ts";
import { outwardDial } from "../../lib/host/socket.ts";
import { eventually } from "../support/drover.ts";
import { FakeMultica } from "../support/fake_multica.ts";

const { signal } = new AbortController();

async function dialled(server: FakeMultica, url: string) {
  const heard: string[] = [];
  const ends: string[] = [];
  const socket = await outwardDial({})(`${url.replace("http", "ws")}/api/daemon/ws?runtime_ids=`, {
    headers: { authorization: `Bearer ${server.token}` },
    handlers: { text: (frame) => heard.push(frame), closed: (why) => ends.push(why) },
    signal,
  });
  return { socket, heard, ends };
}

Deno.test("outwardDial() opens a WebSocket with the headers of a call, and frames go both ways", async () => {
  const server = new FakeMultica();
  const { socket, heard, ends } = await dialled(server, server.listen());
  await eventually(() => server.hub.peers.size === 1, "it came to that");
  assert(socket.send(JSON.stringify({ type: "daemon:heartbeat", payload: { runtime_id: "none" } })));
  await eventually(() => heard.length === 1, "it came to that");
  assertEquals(JSON.parse(heard[0]!).payload.runtime_gone, true);
  socket.close();
  assertEquals([ends.length, socket.send("late")], [1, false]);
  await eventually(() => server.hub.peers.size === 0, "it came to that");
  await server.close();
});

Deno.test("outwardDial() rejects with the place when the server refuses or is not there", async () => {
  const server = new FakeMultica();
  const url = server.listen().replace("http", "ws");
  const handlers = { text() {}, closed() {} };
  await assertRejects(
    () => outwardDial({})(`${url}/api/daemon/ws`, { headers: {}, handlers, signal }),
    HostError,
    "127",
  );
  await server.close();
  await assertRejects(
    () => outwardDial({})(`${url}/api/daemon/ws`, { headers: {}, handlers, signal }),
    HostError,
    "127",
  );
});

Deno.test("outwardDial() gives up as soon as its signal aborts", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const stop = new AbortController();
  const handlers = { text() {}, closed() {} };
  const dial = outwardDial({})(`ws://127.0.0.1:${silent.addr.port}/`, { headers: {}, handlers, signal: stop.signal });
  const connection = await silent.accept();
  stop.abort(new Error("enough"));
  await assertRejects(() => dial, HostError, "enough");
  connection.close();
});

Deno.test("outwardDial() tells once that the server is gone", async () => {
  const server = new FakeMultica();
  const { ends } = await dialled(server, server.listen());
  await eventually(() => server.hub.peers.size === 1, "it came to that");
  await server.close();
  await eventually(() => ends.length > 0, "it came to that");
  assertEquals(ends.length, 1);
});
