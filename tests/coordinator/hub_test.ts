/** The hub: who is let in, what a beat and a claim over a WebSocket are answered with, who hears of what, and who is cut off. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { createUpgrade } from "../../lib/host/websocket_server.ts";
import { outwardDial } from "../../lib/host/socket.ts";
import { createCoordinator } from "../../lib/coordinator/embedded.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createRandom } from "../../lib/host/random.ts";
import { type Hint, openChannel } from "../../lib/wire/channel.ts";
import { createToken } from "../../lib/coordinator/tokens.ts";
import { eventually } from "../support/drover.ts";
import { newDatabase, newPlace, storeKind } from "./stores.ts";
import { type Line, Team } from "./team.ts";
import { SILENT } from "./world.ts";

const GHOST = "00000000-0000-4000-8000-00000000dead";

async function queued(team: Team, token: string, title = "Look around"): Promise<string> {
  const [agent] = await team.ok("GET /api/agents", token);
  return (await team.ok("POST /api/issues", token, { title, agent_id: agent.id })).id;
}

Deno.test("GET /api/daemon/ws refuses what it may not open, in plain HTTP", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const eve = await team.person("Eve", "elsewhere");
  const { runtimes: [runtime] } = await team.machine(ada);
  const home =
    (await createToken(team.shared, { scope: "daemon", name: "box", workspace: "home", daemonId: "d1" })).token;
  const refusal = async (token: string, query: string, headers: Record<string, string> = {}) => {
    const { answer: { status, body }, line } = await team.dial(token, query, headers);
    assertEquals(line, undefined);
    return [status, body.error];
  };
  assertEquals(await refusal("mul_0", ""), [401, "invalid or missing token"]);
  assertEquals(await refusal(ada, `?runtime_ids=${runtime},${GHOST}`), [404, "runtime not found"]);
  assertEquals(await refusal(ada, "?runtime_ids=nonsense"), [404, "runtime not found"]);
  assertEquals(await refusal(eve, `?runtime_id=${runtime}`), [404, "not found"]);
  assertEquals(await refusal(home, ""), [400, "runtime_ids or user identity required"]);
  assertEquals(await refusal(ada, "", { upgrade: "h2c" }), [400, "this is no WebSocket handshake"]);
  assertEquals(team.hub.size, 0);
  const { line } = await team.dial(ada, "");
  assert(line, "a user needs no runtimes");
});

Deno.test("a coordinator without WebSockets answers as one that never had them", async () => {
  const own = await newDatabase();
  const coordinator = await createCoordinator({
    database: own.database,
    clock: createClock(),
    random: createRandom(),
    log: SILENT,
  });
  const headers = { authorization: `Bearer ${coordinator.token}` };
  const answer = await coordinator.fetch(new Request("http://coordinator/api/daemon/ws", { headers }));
  assertEquals([answer.status, await answer.json()], [404, { error: "404 page not found" }]);
  await coordinator.close();
  await own[Symbol.asyncDispose]();
});

Deno.test("a beat is answered with what the server can do; one of a runtime that is gone says so; others' are not answered", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const machine = await team.machine(ada, { providers: ["claude", "codex"] });
  const [first, second] = machine.runtimes as [string, string];
  const line = await team.connect({ token: ada, runtimes: [first] });
  await team.clock.advance(600_000);
  await team.sweep();
  assertEquals((await team.ok("GET /api/agents", ada))[0].status, "offline");
  line.beat(first);
  assertEquals(await line.next("heartbeat_ack"), {
    status: "ok",
    runtime_id: first,
    server_capabilities: ["rpc-v1"],
  });
  assertEquals((await team.ok("GET /api/agents", ada))[0].status, "online");
  line.beat(second);
  line.handlers.text("no frame");
  line.say("daemon:something", {});
  line.say("daemon:heartbeat", { runtime_id: 7 });
  await team.ok(`DELETE /api/runtimes/${first}`, ada);
  assertEquals((await line.next("pending_work")).runtime_id, first);
  line.beat(first.toUpperCase());
  const gone = await line.next("heartbeat_ack");
  assertEquals([gone.runtime_id, gone.status, gone.runtime_gone], [first.toUpperCase(), "runtime_gone", true]);
  assertEquals(line.heard, []);
});

Deno.test("a hint reaches the connections that it concerns and costs nothing to others", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const eve = await team.person("Eve", "elsewhere");
  const machines = [];
  for (const daemon of ["d1", "d2"]) machines.push(await team.machine(ada, { daemon }));
  const away = await team.machine(eve, { workspace: "elsewhere" });
  const lines: Line[] = [];
  for (const machine of [...machines, away]) lines.push(await team.connect(machine));
  const types = () => lines.map((line) => line.heard.splice(0).map(({ type, payload }) => [type.slice(7), payload]));
  const issue = await queued(team, ada);
  const [task] = await team.ok(`GET /api/issues/${issue}/tasks`, ada);
  const [runtime] = machines[0]!.runtimes;
  assertEquals(types(), [[["task_available", { runtime_id: runtime, task_id: task.id }]], [], []]);
  const workspace = (await team.ok("GET /api/workspaces", ada))[0].id;
  const profile = { display_name: "mine", protocol_family: "claude", command_name: "my-claude" };
  await team.ok(`POST /api/workspaces/${workspace}/runtime-profiles`, ada, profile);
  const changed = [["runtime_profiles_changed", { workspace_id: workspace }]];
  assertEquals(types(), [changed, changed, []]);
  await team.person("Eve", "home");
  assertEquals(types(), [[], [], [["workspaces_changed", {}]]]);
  await team.ok(`POST /api/runtimes/${machines[1]!.runtimes[0]}/models`, ada);
  assertEquals(types(), [[], [["pending_work", { runtime_id: machines[1]!.runtimes[0] }]], []]);
  lines[0]!.handlers.closed("gone");
  await queued(team, ada, "Again");
  assertEquals(types(), [[], [], []]);
  assertEquals(team.hub.size, 2);
});

const alone = storeKind() !== "postgres";
Deno.test("what another process does is hinted at, too", { ignore: alone }, async () => {
  await using place = await newPlace();
  const options = { database: place.database, random: createRandom() };
  await using here = await Team.create(options);
  await using there = await Team.create({ ...options, clock: here.clock });
  const ada = await here.person("Ada");
  const machine = await here.machine(ada);
  const line = await here.connect(machine);
  await queued(there, ada);
  assertEquals((await line.next("task_available")).runtime_id, machine.runtimes[0]);
});

Deno.test("tasks.claim over a WebSocket is the claim of a batch, with what the daemon said at the handshake", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const machine = await team.machine(ada);
  const line = await team.connect(machine, "coalesced-comments-v1, rpc-v1");
  const issue = await queued(team, ada);
  const body = { daemon_id: machine.daemon, runtime_ids: machine.runtimes, max_tasks: 3 };
  line.claim("one", body);
  const { request_id, status, body: { tasks } } = await line.next("rpc_response");
  assertEquals([request_id, status, tasks.length, tasks[0].issue_id], ["one", 200, 1, issue]);
  line.claim("two", body);
  assertEquals(await line.next("rpc_response"), { request_id: "two", status: 200, body: { tasks: [] } });
  line.claim("three", { ...body, max_tasks: "many" });
  line.claim("four", { ...body, daemon_id: "" });
  line.say("daemon:rpc_request", { request_id: "five", method: "tasks.steal", body });
  line.say("daemon:rpc_request", { method: "tasks.claim", body });
  const answers = [];
  for (let count = 0; count < 3; count++) answers.push(await line.next("rpc_response"));
  assertEquals(answers.map((one) => [one.request_id, one.status]).sort(), [["five", 404], ["four", 400], [
    "three",
    400,
  ]]);
  assertEquals(line.take("rpc_response"), []);
});

Deno.test("a claim that took longer than its sender waits has claimed nothing", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const machine = await team.machine(ada);
  const line = await team.connect(machine);
  await queued(team, ada);
  team.onAuthenticate = () => team.clock.advance(2_000);
  const body = { daemon_id: machine.daemon, runtime_ids: machine.runtimes, max_tasks: 1 };
  line.claim("slow", body, 1_000);
  const answer = await line.next("rpc_response");
  assertEquals([answer.status, answer.body], [503, undefined]);
  team.onAuthenticate = () => {};
  assertEquals((await team.claim(machine)).length, 1, "it is still in the queue");
});

Deno.test("a claim for a daemon that has gone away claims nothing", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const machine = await team.machine(ada);
  const line = await team.connect(machine);
  await queued(team, ada);
  team.onAuthenticate = () => line.handlers.closed("gone");
  line.claim("late", { daemon_id: machine.daemon, runtime_ids: machine.runtimes, max_tasks: 1 });
  await eventually(() => team.hub.size === 0, "it left");
  team.onAuthenticate = () => {};
  assertEquals((await team.claim(machine)).length, 1);
  assertEquals(line.take("rpc_response"), []);
});

Deno.test("of many claims at once the ninth is refused, and only that", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const machine = await team.machine(ada);
  const line = await team.connect(machine);
  const body = { daemon_id: machine.daemon, runtime_ids: machine.runtimes, max_tasks: 1 };
  const gate = Promise.withResolvers<void>();
  team.onAuthenticate = () => gate.promise;
  for (let count = 1; count <= 9; count++) line.claim(`${count}`, body);
  const refused = await line.next("rpc_response");
  assertEquals([refused.request_id, refused.status], ["9", 429]);
  gate.resolve();
  for (let count = 1; count <= 8; count++) assertEquals((await line.next("rpc_response")).status, 200);
  line.claim("10", body);
  assertEquals((await line.next("rpc_response")).status, 200);
});

Deno.test("a frame of more than 64 KiB ends the connection, whatever its characters", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const machine = await team.machine(ada);
  const most = 64 * 1024;
  for (
    const [filler, ends] of [["x".repeat(most), false], ["x".repeat(most + 1), true], [
      "€".repeat(22_000),
      true,
    ]] as const
  ) {
    const line = await team.connect(machine);
    line.handlers.text(filler);
    assertEquals(line.closed !== undefined, ends, `${filler.length} characters`);
    line.handlers.closed("over");
  }
});

Deno.test("who does not read is cut off once 16 frames wait; many frames in one breath are nobody's fault", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const machine = await team.machine(ada);
  const line = await team.connect(machine);
  const runtimeId = machine.runtimes[0]!;
  const hint = () => team.shared.wakeups.publish({ kind: "task-available", runtimeId });
  line.waiting = 100;
  for (let count = 0; count < 40; count++) hint();
  assertEquals([line.closed, line.heard.length], [undefined, 40]);
  line.waiting = 0;
  await team.clock.advance(5_000);
  hint();
  line.waiting = 100;
  for (let count = 0; count < 15; count++) hint();
  await team.clock.advance(1_001);
  assertEquals(line.closed, undefined);
  hint();
  assertStringIncludes(line.closed ?? "", "too slow");
  hint();
  assertEquals([team.hub.size, line.heard.length], [0, 56]);
});

Deno.test("a token that is revoked opens nothing any more, on a connection that stands either", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const eve = await team.person("Eve");
  const machine = await team.machine(ada);
  const lines = [await team.connect(machine), await team.connect(machine)] as const;
  await queued(team, ada);
  await team.revoke("Ada");
  lines[0].claim("one", { daemon_id: machine.daemon, runtime_ids: machine.runtimes, max_tasks: 1 });
  await eventually(() => lines[0].closed !== undefined, "the claim ended it");
  await team.clock.advance(15_001);
  lines[1].beat(machine.runtimes[0]!);
  await eventually(() => lines[1].closed !== undefined, "the beat ended it");
  assertEquals([lines[0].heard.length, lines[1].take("heartbeat_ack")], [1, []]);
  assertEquals((await team.claim({ ...machine, token: eve })).length, 1, "nobody has taken it");
});

Deno.test("a connection that never says anything hears nothing any more once its token is revoked", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const eve = await team.person("Eve");
  const machine = await team.machine(ada);
  const [theirs, hers] = [await team.connect(machine), await team.connect({ ...machine, token: eve })];
  await team.clock.advance(15_001);
  const asked: unknown[] = [];
  team.onAuthenticate = () => asked.push(true);
  await queued(team, ada);
  assertEquals([await theirs.next("task_available"), await hers.next("task_available")].length, 2);
  await team.revoke("Eve");
  await team.clock.advance(15_001);
  asked.splice(0);
  const runtimeId = machine.runtimes[0]!;
  for (let count = 0; count < 3; count++) team.shared.wakeups.publish({ kind: "task-available", runtimeId });
  await eventually(() => hers.closed !== undefined, "the hint ended it");
  await theirs.next("task_available");
  assertEquals([asked.length, theirs.closed, hers.heard], [2, undefined, []], "each is asked once, however many hints");
});

Deno.test("close() ends all connections, and takes no more", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const machine = await team.machine(ada);
  const lines = [await team.connect(machine), await team.connect(machine)];
  team.hub.close();
  assertEquals(lines.map(({ closed }) => closed), Array(2).fill("the server is closing"));
  assertEquals((await team.dial(ada, "")).answer.status, 503);
});

Deno.test("our own daemon's connection works with it over a real socket", async () => {
  const own = await newDatabase();
  const clock = createClock();
  const random = createRandom();
  const options = { database: own.database, clock, random, log: SILENT, upgrade: createUpgrade() };
  const coordinator = await createCoordinator(options);
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, coordinator.fetch);
  const baseUrl = `http://127.0.0.1:${server.addr.port}`;
  const headers = { authorization: `Bearer ${coordinator.token}` };
  const call = async (path: string, body?: unknown) => {
    const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    return await (await fetch(`${baseUrl}${path}`, { headers, ...init })).json();
  };
  const [workspace] = await call("/api/daemon/workspaces");
  const registered = await call("/api/daemon/register", {
    workspace_id: workspace.id,
    daemon_id: "d1",
    runtimes: [{ type: "claude" }],
  });
  assertEquals(registered.server_capabilities, ["message-dedup-v1", "rpc-v1"]);
  const runtime: string = registered.runtimes[0].id;
  const hints: Hint[] = [];
  const dial = outwardDial({});
  const { signal } = new AbortController();
  const onHint = (hint: Hint) => void hints.push(hint);
  const ports = { dial, baseUrl, headers: () => headers, clock, random, onHint };
  const channel = await openChannel({ ...ports, runtimes: [runtime] }, signal);
  await eventually(() => channel.rpc, "the first beat was answered");
  const task = await coordinator.userApi(
    new Request("http://drover/v1/tasks", {
      method: "POST",
      body: JSON.stringify({ prompt: "Look", directory: { mode: "scratch" }, permission: "full" }),
    }),
  );
  assertEquals(task.status, 201);
  await eventually(() => hints.some(({ kind }) => kind === "task-available"), "the hint came");
  const outcome = await channel.claim({ daemon_id: "d1", runtime_ids: [runtime], max_tasks: 1 }, signal);
  assert(outcome.kind === "answered" && outcome.status === 200, JSON.stringify(outcome));
  assertEquals((outcome.body as { tasks: { prompt: string }[] }).tasks.map(({ prompt }) => prompt), ["Look"]);
  await coordinator.close();
  assertStringIncludes(await channel.closed, "the server is closing");
  await server.shutdown();
  await own[Symbol.asyncDispose]();
});
