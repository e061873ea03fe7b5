/** A daemon and what a team server asks and tells besides tasks: hints, things to do, workspaces that come and go. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import type { Backend } from "../../lib/agents/backend.ts";
import { LEASE } from "../../lib/core/lease.ts";
import type { Permission } from "../../lib/core/model.ts";
import type { Updates } from "../../lib/daemon/pending_actions.ts";
import { fakeBackend } from "./fake_agent.ts";
import { TeamWorld } from "./team_world.ts";

async function result(w: TeamWorld, id: string): Promise<Record<string, unknown>> {
  await w.later("there is a result", () => w.server.results.get(id)!.some(({ status }) => status !== "running"));
  return w.server.results.get(id)!.at(-1)!;
}

Deno.test("Daemon does at once what a hint says is pending, and reports it once, over either transport", async () => {
  for (const deaf of [false, true]) {
    await using w = await TeamWorld.started({ deaf });
    const id = w.server.ask(w.runtime.id, "pending_model_list");
    w.server.hub.send("daemon:pending_work", { runtime_id: w.runtime.id, kind: "model_list" });
    assertEquals(await result(w, id), { status: "completed", models: [], supported: false });
    await w.clock.advance(3 * LEASE.heartbeatMs);
    assertEquals(w.server.results.get(id)!.length, 1);
  }
});

Deno.test("Daemon reports a result again while the server is in trouble, and gives up when it is refused", async () => {
  await using w = await TeamWorld.started();
  let failures = 3;
  w.server.fault = ({ route }) =>
    route.endsWith("/result") && failures-- > 0 ? Response.json({ error: "database" }, { status: 500 }) : undefined;
  assertEquals((await result(w, w.server.ask(w.runtime.id, "pending_model_list"))).status, "completed");
  let asked = 0;
  w.server.fault = ({ route }) =>
    route.endsWith("/result") ? (asked++, Response.json({ error: "no" }, { status: 400 })) : undefined;
  w.server.ask(w.runtime.id, "pending_model_list");
  await w.clock.advance(60_000);
  assertEquals(asked, 1);
});

Deno.test("Daemon answers a ping with what the model says, once in 10 minutes for a runtime", async () => {
  await using w = await TeamWorld.started();
  const first = w.server.ask(w.runtime.id, "pending_ping");
  const agent = await w.agent();
  agent.say({ kind: "text", text: "pong" });
  agent.end();
  const { status, output } = await result(w, first);
  assertEquals([status, output], ["completed", "pong"]);
  const second = await result(w, w.server.ask(w.runtime.id, "pending_ping"));
  assertEquals([second.status, String(second.error).includes("10 minutes")], ["failed", true]);
  await w.clock.advance(10 * 60_000);
  const third = w.server.ask(w.runtime.id, "pending_ping");
  (await w.agent(1)).end({ kind: "failed", reason: "agent_error.unknown", detail: "not logged in" });
  const answer = await result(w, third);
  assertEquals([answer.status, answer.error], ["failed", "not logged in"]);
  assertEquals([...Deno.readDirSync(w.home.workspaces)].length, 0);
});

Deno.test("Daemon pings an agent with the least that it can promise, where its owner allows that", async () => {
  let policy: Permission = "ask";
  const agents: { backend?: Backend } = {};
  await using w = await TeamWorld.started({
    policy: () => policy,
    daemon: { backendFor: () => ({ ...agents.backend!, permissions: ["full", "ask"] }) },
  });
  agents.backend = fakeBackend(w.agents);
  const first = w.server.ask(w.runtime.id, "pending_ping");
  const agent = await w.agent();
  agent.end();
  assertEquals([agent.task!.permission, (await result(w, first)).status], ["ask", "completed"]);
  await w.clock.advance(10 * 60_000);
  policy = "read-only";
  const { status, error } = await result(w, w.server.ask(w.runtime.id, "pending_ping"));
  assertEquals([status, w.agents.started.length], ["failed", 1]);
  assertStringIncludes(String(error), "bot cannot be pinged here");
});

Deno.test("Daemon that cannot update itself says so, and what to do instead", async () => {
  await using w = await TeamWorld.started();
  const id = w.server.ask(w.runtime.id, "pending_update", { target_version: "v1.2.3" });
  const { status, error } = await result(w, id);
  assertEquals([status, String(error).includes("cannot replace itself")], ["failed", true]);
});

Deno.test("Daemon updates under no task, one at a time, claims nothing meanwhile, and restarts after the report", async () => {
  const done = Promise.withResolvers<string>();
  const seen: string[] = [];
  const updates: Updates = {
    refusal: () => undefined,
    install: (version) => (seen.push(`install ${version}`), done.promise),
    restart: () => seen.push("restart"),
  };
  await using w = await TeamWorld.started({ daemon: { updates } });
  const task = w.server.enqueue(w.runtime.id);
  const agent = await w.agent();
  const early = await result(w, w.server.ask(w.runtime.id, "pending_update", { target_version: "v1" }));
  assertEquals([early.status, String(early.error).includes("Tasks are running")], ["failed", true]);
  agent.end();
  await w.is(task, "completed");
  await w.idle();
  const id = w.server.ask(w.runtime.id, "pending_update", { target_version: "v2" });
  await w.later("it is under way", () => seen.length === 1);
  const waiting = w.server.enqueue(w.runtime.id);
  const other = await result(w, w.server.ask(w.runtime.id, "pending_update", { target_version: "v3" }));
  assertEquals([other.status, waiting.status], ["failed", "queued"]);
  done.resolve("updated to v2");
  assertEquals((await result(w, id)).output, "updated to v2");
  await w.later("it restarts", () => seen.includes("restart"));
  assertEquals([seen, w.server.results.get(id)!.map(({ status }) => status)], [["install v2", "restart"], [
    "running",
    "completed",
  ]]);
  await w.is(waiting, "running");
});

Deno.test("Daemon lists the user's own skills and hands each over once, whole", async () => {
  const surface = { title: "Bot", skills: ".bot/skills" };
  await using w = await TeamWorld.started({
    // deno-lint-ignore no-explicit-any
    daemon: { surfaceOf: () => surface as any },
  });
  const folder = join(w.home.root, ".bot/skills/pdf");
  Deno.mkdirSync(join(folder, "scripts"), { recursive: true });
  Deno.writeTextFileSync(join(folder, "SKILL.md"), '---\nname: PDF\ndescription: "Reads them"\n---\nHow.\n');
  Deno.writeTextFileSync(join(folder, "scripts/read.sh"), "echo\n");
  Deno.symlinkSync("/etc/hostname", join(folder, "leak"));
  const list = await result(w, w.server.ask(w.runtime.id, "pending_local_skills"));
  assertEquals(list.skills, [{
    key: "pdf",
    name: "PDF",
    description: "Reads them",
    source_path: "~/.bot/skills/pdf",
    file_count: 2,
    provider: "bot",
    root: "provider",
  }]);
  const [good, bad] = w.server.askImports(w.runtime.id, ["pdf", "../.."]);
  const { status, skill } = await result(w, good!) as { status: string; skill: { files: unknown } };
  assertEquals([status, skill.files], ["completed", [{ path: "scripts/read.sh", content: "echo\n" }]]);
  assertEquals((await result(w, bad!)).status, "failed");
});

Deno.test("Daemon registers a workspace that comes, and forgets one that goes without telling the server", async () => {
  await using w = await TeamWorld.started();
  w.server.workspaces.push({ id: "w2", name: "two" });
  w.server.hub.send("daemon:workspaces_changed", {});
  await w.later("it is registered", () => w.ids().length === 2);
  const told = w.server.count("/deregister");
  w.server.workspaces.shift();
  w.server.hub.send("daemon:workspaces_changed", {});
  await w.later("it is forgotten", () => w.ids().length === 1);
  assertEquals([w.server.runtimeOf("bot", "w2").id, w.server.count("/deregister")], [w.ids()[0]!, told]);
});

Deno.test("Daemon serves only the workspaces that its owner allows, and takes back what he allows no more", async () => {
  const allowed = new Set(["w1"]);
  await using w = await TeamWorld.started({ workspaces: ["w1", "w2"], watched: (id) => allowed.has(id) });
  assertEquals(w.server.runtimes.size, 1);
  allowed.add("w2");
  w.consentChanged();
  await w.later("the other one is registered", () => w.ids().length === 2);
  allowed.delete("w1");
  w.consentChanged();
  await w.later("the first is taken back", () => w.ids().length === 1);
  assertEquals(w.server.runtimeOf("bot", "w1").status, "offline");
});

Deno.test("Daemon claims at once from a workspace that its owner has just allowed, also without a WebSocket", async () => {
  let allowed = true;
  await using w = await TeamWorld.started({ deaf: true, watched: () => allowed });
  const consent = async (yes: boolean) => {
    allowed = yes;
    w.consentChanged();
    await w.until("the server knows", () => w.ids().length === (yes ? 1 : 0));
  };
  await consent(false);
  await w.clock.advance(10_000);
  const claims = w.server.count("/claim");
  await consent(true);
  await w.until("it claims", () => w.server.count("/claim") > claims);
});

Deno.test("Daemon whose workspaces stay the same asks for their list with its tag, and registers nothing", async () => {
  await using w = await TeamWorld.started({ deaf: true });
  // The first look came while nothing was registered yet.
  await w.clock.advance(60_000);
  const [registers, fetches] = [w.server.count("/register"), w.server.count("/runtime-profiles")];
  const tags = () => w.server.calls.filter(({ headers }) => headers.has("if-none-match")).length;
  const before = tags();
  await w.clock.advance(31 * 60_000);
  assertEquals([tags() - before, w.server.count("/register")], [1, registers]);
  assertEquals(w.server.count("/runtime-profiles") - fetches, 1);
});

Deno.test("Daemon serves one workspace while another one of the same server refuses", async () => {
  await using w = await TeamWorld.started();
  w.server.fault = ({ route, body }) =>
    route.endsWith("/register") && body.workspace_id === "w2"
      ? Response.json({ error: "database" }, { status: 500 })
      : undefined;
  w.server.workspaces.push({ id: "w2", name: "two" });
  w.server.hub.send("daemon:workspaces_changed", {});
  await w.clock.advance(5_000);
  const task = w.server.enqueue(w.runtime.id);
  (await w.agent()).end();
  await w.is(task, "completed");
  w.server.fault = undefined;
  await w.later("the other one is registered too", () => w.ids().length === 2);
});

Deno.test("Daemon opens its WebSocket for the runtimes that it has now", async () => {
  await using w = await TeamWorld.started();
  assertEquals(w.server.hub.connections.at(-1), w.ids());
  w.server.workspaces.push({ id: "w2", name: "two" });
  w.server.hub.send("daemon:workspaces_changed", {});
  await w.later("it serves both", () => w.server.hub.connections.at(-1)!.length === 2);
  assertEquals(w.server.hub.peers.size, 1);
});

Deno.test("Daemon looks at all its tasks when the WebSocket is open again", async () => {
  await using w = await TeamWorld.started();
  const task = w.server.enqueue(w.runtime.id);
  const agent = await w.agent();
  await w.clock.advance(5_000);
  w.server.tasks.cancel(task);
  w.server.hub.cut();
  await w.clock.advance(1_500);
  await w.until("the agent is stopped", () => agent.stops > 0);
});

Deno.test("Daemon after a sleep stops what was given away meanwhile, and keeps what its agent had done", async () => {
  await using w = await TeamWorld.started();
  const task = w.server.enqueue(w.runtime.id);
  const agent = await w.agent();
  agent.say({ kind: "text", text: "half of it" });
  await w.clock.advance(1_000);
  w.server.tasks.fail(task, { failure_reason: "runtime_offline", error: "silent for three hours" });
  w.clock.shiftWall(4 * 60 * 60_000);
  await w.clock.advance(LEASE.heartbeatMs);
  await w.until("the agent is stopped", () => agent.stops > 0);
  await w.later("the next attempt runs", () => w.agents.started.length === 2);
  w.agents.started[1]!.end();
  await w.idle();
  const kept = Deno.readTextFileSync(join(w.home.transcripts, `${task.id}.jsonl`));
  assert(kept.includes("half of "));
  assertEquals(w.server.count(`/tasks/${task.id}/complete`), 0);
});

Deno.test("Daemon tells a server of none but the agents that are offered to it, custom ones included", async () => {
  const offers = ({ provider }: { provider: string }) => provider !== "toy";
  await using w = await TeamWorld.started({ found: ["bot", "toy"], offers });
  w.server.setProfiles("w1", [{ id: "p1", display_name: "Mine", protocol_family: "toy", command_name: "mine" }, {
    id: "p2",
    display_name: "Other",
    protocol_family: "bot",
    command_name: "other",
  }]);
  await w.later("the profile is registered", () => w.ids().length === 2);
  assertEquals([...w.server.runtimes.values()].map(({ provider, profile_id }) => [provider, profile_id]), [
    ["bot", null],
    ["bot", "p2"],
  ]);
});

Deno.test("Daemon that has nothing to offer to a server registers nothing with it, and is well all the same", async () => {
  await using w = await TeamWorld.started({ found: [], offers: () => false });
  w.found = ["toy"];
  await w.clock.advance(3 * 60_000);
  const { state } = w.daemon.status().connections[0]!;
  assertEquals([w.server.count("/register"), state], [0, "connected"]);
});
