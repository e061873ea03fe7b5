/** The daemon's conformance checklist: sockets that die, credentials that end, servers that are away or old. */
import { assert, assertEquals } from "@std/assert";
import { LEASE } from "../../lib/core/lease.ts";
import { TeamWorld } from "../daemon/team_world.ts";
import { conform } from "./conformance_world.ts";

conform(
  "Daemon beats over the WebSocket instead of HTTP, and over HTTP within two intervals when it is gone",
  async (w) => {
    await w.withSocket();
    const http = () => w.line.count("POST /api/daemon/heartbeat");
    const acks = w.line.count("WS daemon:heartbeat");
    await w.pass(2 * LEASE.heartbeatMs);
    await w.later("it beats there", () => w.line.count("WS daemon:heartbeat") > acks);
    const before = http();
    await w.pass(2 * LEASE.heartbeatMs);
    assertEquals(http(), before);
    w.line.lose("sockets");
    await w.pass(2 * LEASE.heartbeatMs);
    assert(http() > before);
    const task = await w.enqueue();
    (await w.agent()).end();
    await w.is(task, "completed");
    w.line.lost = "nothing";
    await w.later("the socket is open again", () => w.line.sockets === 1);
  },
);

Deno.test("Daemon takes a WebSocket that says nothing any more for dead", async () => {
  await using w = await TeamWorld.started();
  w.server.hub.mute = true;
  const before = w.server.hub.connections.length;
  await w.clock.advance(60_000 + LEASE.heartbeatMs);
  w.server.hub.mute = false;
  await w.later("there is another connection", () => w.server.hub.connections.length > before);
});

Deno.test("Daemon starts no task twice when nobody knows what became of a claim, and asks by HTTP after a while", async () => {
  await using w = await TeamWorld.started();
  await w.clock.advance(LEASE.heartbeatMs);
  w.server.hub.rpcFault = "lost-answer";
  const task = w.server.enqueue(w.runtime.id);
  await w.later("the answer is lost", () => task.status === "dispatched");
  w.server.hub.rpcFault = undefined;
  const rpcs = w.server.count("WS daemon:rpc_request");
  const since = w.server.count("/tasks/claim");
  await w.clock.advance(12_000);
  assertEquals([w.server.count("/tasks/claim") - since, w.server.count("WS daemon:rpc_request") - rpcs], [0, 0]);
  await w.clock.advance(3_000);
  assert(w.server.count("/tasks/claim") > since);
  (await w.agent()).end();
  await w.is(task, "completed");
  assertEquals([task.claims, task.starts, w.agents.started.length], [2, 1, 1]);
});

Deno.test("Daemon asks by HTTP at once when the server refuses a claim over the WebSocket", async () => {
  await using w = await TeamWorld.started();
  w.server.hub.rpcFault = { status: 429 };
  const task = w.server.enqueue(w.runtime.id);
  await w.until("it runs", () => task.status === "running");
  (await w.agent()).end();
  await w.is(task, "completed");
});

conform("Daemon goes on when its credential is refused, says so, and recovers as soon as it has another", async (w) => {
  const task = await w.enqueue();
  const agent = await w.agent();
  const good = w.token;
  w.token = `${good.slice(0, -1)}${good.endsWith("f") ? "e" : "f"}`;
  w.line.cut();
  agent.end();
  await w.pass(120_000);
  assertEquals([w.daemon.phase.kind, (await w.side.task(task)).status], ["running", "running"]);
  assert(w.log.said("warn").some((message) => message.includes("heartbeat failed")));
  w.token = good;
  await w.is(task, "completed");
});

conform("Daemon survives the restart of its server", async (w) => {
  const task = await w.enqueue();
  const agent = await w.agent();
  w.line.lose("everything");
  agent.end();
  await w.pass(5 * 60_000);
  w.line.lost = "nothing";
  await w.is(task, "completed");
  const next = await w.enqueue();
  (await w.agent(1)).end();
  await w.is(next, "completed");
  assertEquals((await w.runtime()).online, true);
  if (w.side.endpoint.dial) await w.later("the socket is open again", () => w.line.sockets === 1);
});

Deno.test("Daemon works with a server of April 2026: old list, one claim per runtime, tasks without a token", async () => {
  await using w = await TeamWorld.started({ dialect: "april", found: ["bot", "pup"] });
  const tasks = [w.server.enqueue(w.runtime.id), w.server.enqueue(w.server.runtimeOf("pup").id)];
  await w.agent(1);
  for (const agent of w.agents.started) agent.end();
  for (const task of tasks) await w.is(task, "completed");
  await w.idle();
  assertEquals(w.agents.started.map(({ request }) => request.env.DROVER_TOKEN), [undefined, undefined]);
  const lookedForNew = () => w.server.calls.filter(({ route }) => route === "GET /api/daemon/workspaces").length;
  const missing = lookedForNew();
  await w.clock.advance(11 * 60_000);
  assertEquals(lookedForNew(), missing, "what is not there is not asked for again");
  assert(w.server.count("GET /api/workspaces") >= 2);
});

Deno.test("Daemon does the same over TCP, claims over a real WebSocket, and survives that being cut", async () => {
  await using w = await TeamWorld.started({ tcp: true });
  await w.later("claims are offered over the socket", () => w.server.count("WS daemon:heartbeat") > 1);
  const task = w.server.enqueue(w.runtime.id);
  (await w.agent()).end();
  await w.is(task, "completed");
  assert(w.server.count("WS daemon:rpc_request") > 0);
  w.server.hub.cut();
  const next = w.server.enqueue(w.runtime.id);
  (await w.agent(1)).end();
  await w.is(next, "completed");
  await w.later("the socket is open again", () => w.server.hub.peers.size === 1);
});
