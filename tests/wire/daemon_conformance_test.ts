/** The daemon's conformance checklist (wire protocol 7.1), line by line: the real daemon against the strict fake server. */
import { assert, assertEquals } from "@std/assert";
import { LEASE } from "../../lib/core/lease.ts";
import { TeamWorld } from "../daemon/team_world.ts";
import type { FakeProfile } from "../support/fake_multica.ts";

const PROFILE: FakeProfile = {
  id: "7a000000-0000-4000-8000-000000000001",
  display_name: "In-house",
  protocol_family: "bot",
  command_name: "acme-bot",
};

Deno.test("Daemon registers, beats, claims a task once, and takes it through all of its calls in order", async () => {
  await using w = await TeamWorld.started();
  await w.clock.advance(LEASE.heartbeatMs);
  assert(w.runtime.beats > 0);
  const task = w.server.enqueue(w.runtime.id);
  const agent = await w.agent();
  assertEquals([task.status, task.claims, task.starts], ["running", 1, 1]);
  agent.say({ kind: "session", sessionId: "s-1" }, { kind: "text", text: "one" });
  await w.clock.advance(1_000);
  agent.say({ kind: "text", text: "two" });
  await w.clock.advance(1_000);
  assertEquals(task.session_id, "s-1");
  agent.end();
  await w.is(task, "completed");
  await w.idle();
  assertEquals(task.messages.map(({ seq, content }) => [seq, content]), [[1, "one"], [2, "two"]]);
  assertEquals([task.output, task.session_id, task.work_dir !== ""], ["done", "s-1", true]);
});

Deno.test("Daemon kills the agent of a cancelled task within 5 s, confirms that, and reports no result", async () => {
  await using w = await TeamWorld.started();
  const task = w.server.enqueue(w.runtime.id);
  const agent = await w.agent();
  w.server.tasks.cancel(task);
  await w.clock.advance(5_000);
  await w.until("the agent is stopped", () => agent.stops > 0);
  await w.later("that is confirmed", () => task.cancelAcks === 1);
  await w.idle();
  assertEquals([w.server.count("/complete"), w.server.count("/fail")], [0, 0]);
});

Deno.test("Daemon leaves repeating to the server, which repeats what may go well another time", async () => {
  await using w = await TeamWorld.started();
  const task = w.server.enqueue(w.runtime.id);
  (await w.agent()).end({ kind: "failed", reason: "timeout", detail: "too slow" });
  await w.is(task, "failed");
  assertEquals((await w.agent(1)).task!.id !== task.id, true);
  const second = [...w.server.tasks.all.values()][1]!;
  w.agents.started[1]!.end({ kind: "failed", reason: "agent_error.unknown", detail: "no" });
  await w.is(second, "failed");
  await w.clock.advance(60_000);
  assertEquals([w.server.tasks.all.size, second.attempt], [2, 2]);
});

Deno.test("Daemon that was killed recovers what it left in flight, once for each runtime", async () => {
  await using w = await TeamWorld.started({ found: ["bot", "pup"] });
  const task = w.server.enqueue(w.runtime.id);
  await w.agent();
  // Nothing that it still says arrives: as good as killed.
  w.server.fault = () => Response.json({ error: "gone" }, { status: 503 });
  w.server.hub.down = true;
  let closed = false;
  void w.daemon.close().then(() => closed = true);
  await w.later("the first is gone", () => closed);
  w.server.fault = undefined;
  w.server.hub.down = false;
  const before = w.server.count("/recover-orphans");
  assertEquals(task.status, "running");
  Deno.removeSync(w.home.outboxDb);
  w.daemon = w.newDaemon();
  await w.daemon.start();
  (await w.agent(1)).end();
  await w.idle();
  const attempts = [...w.server.tasks.all.values()].map(({ status, attempt }) => [status, attempt]);
  assertEquals(attempts, [["failed", 1], ["completed", 2]]);
  assertEquals(w.server.count("/recover-orphans") - before, 2);
});

Deno.test("Daemon whose runtime was deleted registers anew, and recovers the orphans of every id of the answer", async () => {
  for (const deaf of [false, true]) {
    await using w = await TeamWorld.started({ found: ["bot", "pup"], deaf });
    const old = w.runtime.id;
    const recovered = w.server.count("/recover-orphans");
    w.server.forget(old);
    await w.later("there is another one", () => w.ids().length === 2 && !w.ids().includes(old));
    assertEquals(w.server.count("/recover-orphans") - recovered, 2);
    const task = w.server.enqueue(w.runtime.id);
    (await w.agent()).end();
    await w.is(task, "completed");
  }
});

Deno.test("Daemon follows its runtime profiles without recovering orphans or stopping a task, down to none", async () => {
  await using w = await TeamWorld.started({ found: ["bot"] });
  const [recovered, runtime] = [w.server.count("/recover-orphans"), w.runtime];
  const task = w.server.enqueue(runtime.id);
  const agent = await w.agent();
  w.server.setProfiles("w1", [PROFILE]);
  await w.later("it is registered", () => w.ids().length === 2);
  w.server.setProfiles("w1", [{ ...PROFILE, enabled: false }]);
  await w.later("it is taken back", () => w.ids().length === 1);
  const registers = w.server.count("/register");
  w.server.hub.send("daemon:runtime_profiles_changed", { workspace_id: "w1" });
  await w.clock.advance(5_000);
  assertEquals(w.server.count("/register"), registers, "the same profiles are no change");
  assertEquals([w.server.count("/recover-orphans"), agent.stops], [recovered, 0]);
  agent.end();
  await w.is(task, "completed");
});

Deno.test("Daemon without agents of its own serves a profile, and registers nothing when that is gone", async () => {
  await using w = await TeamWorld.started({ found: [] });
  w.server.setProfiles("w1", [PROFILE]);
  await w.later("it is registered", () => w.ids().length === 1);
  w.server.setProfiles("w1", []);
  await w.later("it is taken back", () => w.ids().length === 0);
  const calls = w.server.count("/register");
  assertEquals(w.server.runtimeOf("bot").status, "offline");
  await w.clock.advance(60_000);
  assertEquals(w.server.count("/register"), calls);
});

Deno.test("Daemon keeps the profiles it had when they cannot be fetched", async () => {
  await using w = await TeamWorld.started({ found: ["bot"] });
  w.server.setProfiles("w1", [PROFILE]);
  await w.later("it is registered", () => w.ids().length === 2);
  w.server.fault = ({ route }) =>
    route.endsWith("/runtime-profiles") ? Response.json({ error: "database" }, { status: 500 }) : undefined;
  w.server.setProfiles("w1", []);
  await w.clock.advance(10_000);
  assertEquals(w.ids().length, 2);
});

Deno.test("Daemon beats over the WebSocket instead of HTTP, and over HTTP within two intervals when it is gone", async () => {
  await using w = await TeamWorld.started();
  await w.clock.advance(2 * LEASE.heartbeatMs);
  const http = w.server.count("POST /api/daemon/heartbeat");
  await w.clock.advance(4 * LEASE.heartbeatMs);
  assertEquals(w.server.count("POST /api/daemon/heartbeat"), http);
  w.server.hub.down = true;
  w.server.hub.cut();
  await w.clock.advance(2 * LEASE.heartbeatMs);
  assert(w.server.count("POST /api/daemon/heartbeat") > http);
  const task = w.server.enqueue(w.runtime.id);
  (await w.agent()).end();
  await w.is(task, "completed");
  w.server.hub.down = false;
  await w.later("the socket is open again", () => w.server.hub.peers.size === 1);
});

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

Deno.test("Daemon takes its runtimes off the server when it ends", async () => {
  const w = await TeamWorld.started();
  await w[Symbol.asyncDispose]();
  assertEquals(w.runtime.status, "offline");
});

Deno.test("Daemon goes on when its credential is refused, says so, and recovers as soon as it has another", async () => {
  await using w = await TeamWorld.started();
  const task = w.server.enqueue(w.runtime.id);
  const agent = await w.agent();
  w.server.token = `${w.token.slice(0, -1)}f`;
  w.server.hub.cut();
  agent.end();
  await w.clock.advance(120_000);
  assertEquals([w.daemon.phase.kind, task.status], ["running", "running"]);
  assert(w.log.said("warn").some((message) => message.includes("heartbeat failed")));
  w.token = w.server.token;
  await w.is(task, "completed");
});

Deno.test("Daemon survives the restart of its server", async () => {
  await using w = await TeamWorld.started();
  w.server.fault = () => {
    throw new TypeError("Connection refused");
  };
  w.server.hub.down = true;
  w.server.hub.cut();
  await w.clock.advance(5 * 60_000);
  w.server.fault = undefined;
  w.server.hub.down = false;
  const task = w.server.enqueue(w.runtime.id);
  (await w.agent()).end();
  await w.is(task, "completed");
  await w.later("the socket is open again", () => w.server.hub.peers.size === 1);
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
