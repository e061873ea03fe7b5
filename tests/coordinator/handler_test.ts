/** The daemon protocol's answers: credentials, error texts, registration, claims, messages and usage. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ClaimedTask, RegisterResponse } from "../../lib/wire/payloads.ts";
import { createToken } from "../../lib/coordinator/tokens.ts";
import * as act from "./actions.ts";
import { Team } from "./team.ts";
import { type Answer, World } from "./world.ts";

const GHOST = "00000000-0000-4000-8000-00000000dead";

/** A task called `a`, claimed, and its id. */
async function claimed(world: World): Promise<string> {
  await act.submit("a", { prompt: "Look around\nand report", model: "m1", time_limit_ms: 5_000 }).run(world);
  await act.claim().run(world);
  return await world.id("a");
}

function errorOf({ status, body }: Answer): [number, string] {
  return [status, body.error];
}

Deno.test("fetch() answers 401 to a missing or wrong token, on every route", async () => {
  await using world = await World.with(["claude"]);
  for (const authorization of ["", "Bearer mul_0", world.coordinator.token, `bearer ${world.coordinator.token}`]) {
    for (const path of ["/api/daemon/workspaces", "/api/daemon/tasks/claim", "/api/nothing"]) {
      const answer = await world.daemon(path, undefined, { authorization });
      assertEquals(answer.status, 401, `${authorization} on ${path}`);
    }
  }
});

Deno.test("fetch() lets nobody in by an identity header", async () => {
  await using world = await World.with(["claude"]);
  const identity = { "x-user-id": GHOST, "x-actor-source": "token", "x-workspace-id": world.workspaceId };
  const answer = await world.daemon("/api/daemon/workspaces", undefined, { authorization: "", ...identity });
  assertEquals(answer.status, 401);
  const same = await world.daemon("/api/daemon/workspaces", undefined, identity);
  assertEquals(same.body, [{ id: world.workspaceId, name: "local" }]);
});

Deno.test("createCoordinator() makes a new token of 40 hex digits for each process", async () => {
  await using first = await World.with([]);
  assertMatch(first.coordinator.token, /^mul_[0-9a-f]{40}$/);
});

const NOT_FOUND: [string, string, unknown, string][] = [
  ["an unknown route", "/api/daemon/ws", undefined, "404 page not found"],
  ["an unknown route outside /api/", "/", undefined, "404 page not found"],
  ["the wrong method", "/api/daemon/heartbeat", undefined, "404 page not found"],
  ["a beat of an unknown runtime", "/api/daemon/heartbeat", { runtime_id: GHOST }, "runtime not found"],
  ["a claim for an unknown runtime", `/api/daemon/runtimes/${GHOST}/tasks/claim`, {}, "runtime not found"],
  ["orphans of an unknown runtime", `/api/daemon/runtimes/${GHOST}/recover-orphans`, {}, "runtime not found"],
  [
    "a lease on an unknown runtime",
    `/api/daemon/runtimes/${GHOST}/tasks/${GHOST}/prepare-lease`,
    {},
    "runtime not found",
  ],
  ...["start", "complete", "fail", "messages", "usage", "session", "progress", "cancel-ack", "wait-local-directory"]
    .map((
      verb,
    ): [string, string, unknown, string] => [
      `${verb} of an unknown task`,
      `/api/daemon/tasks/${GHOST}/${verb}`,
      { session_id: "s", messages: [], usage: [] },
      "task not found",
    ]),
  ["the status of an unknown task", `/api/daemon/tasks/${GHOST}/status`, undefined, "task not found"],
];
for (const [what, path, body, text] of NOT_FOUND) {
  Deno.test(`fetch() answers ${what} with 404 "${text}"`, async () => {
    await using world = await World.with(["claude"]);
    assertEquals(errorOf(await world.daemon(path, body)), [404, text]);
  });
}

Deno.test("fetch() answers 404 to a lease of a task that another runtime has", async () => {
  await using world = await World.with(["claude", "codex"]);
  const id = await claimed(world);
  const answer = await world.daemon(`/api/daemon/runtimes/${world.runtime("codex")}/tasks/${id}/prepare-lease`, {});
  assertEquals(errorOf(answer), [404, "task not found"]);
});

const BAD: [string, string, unknown][] = [
  ["a register that is no JSON", "/api/daemon/register", "{"],
  ["a register without a workspace", "/api/daemon/register", { daemon_id: "d", runtimes: [{ type: "x" }] }],
  ["a claim that is no JSON", "/api/daemon/tasks/claim", "no"],
  ["a claim that is an array", "/api/daemon/tasks/claim", []],
  ["a claim without a daemon", "/api/daemon/tasks/claim", { runtime_ids: [], max_tasks: 1 }],
  ["a claim of no number", "/api/daemon/tasks/claim", { daemon_id: "d1", runtime_ids: [], max_tasks: "1" }],
  ["a claim of less than nothing", "/api/daemon/tasks/claim", { daemon_id: "d1", runtime_ids: [], max_tasks: -1 }],
  ["a beat without a runtime", "/api/daemon/heartbeat", {}],
  ["a beat of a malformed runtime", "/api/daemon/heartbeat", { runtime_id: "r1" }],
  ["a deregister of nothing", "/api/daemon/deregister", {}],
  ["a deregister with a malformed id", "/api/daemon/deregister", { runtime_ids: [GHOST, "r1"] }],
  ["a complete that is no JSON", "/api/daemon/tasks/ID/complete", "x"],
  ["a fail that is no JSON", "/api/daemon/tasks/ID/fail", "x"],
  ["messages that are no list", "/api/daemon/tasks/ID/messages", { messages: 1 }],
  ["a message with seq 0", "/api/daemon/tasks/ID/messages", { messages: [{ seq: 0, type: "text" }] }],
  ["usage that is no list", "/api/daemon/tasks/ID/usage", { usage: {} }],
  ["a session without anything", "/api/daemon/tasks/ID/session", {}],
  ["a malformed task id", "/api/daemon/tasks/x/start", {}],
  ["a malformed runtime id", "/api/daemon/runtimes/x/recover-orphans", {}],
];
for (const [what, path, body] of BAD) {
  Deno.test(`fetch() answers 400 to ${what}`, async () => {
    await using world = await World.with(["claude"]);
    const id = await claimed(world);
    const { status, body: answer } = await world.daemon(path.replace("ID", id), body);
    assertEquals([status, typeof answer.error], [400, "string"]);
    assertEquals(await act.status("a").run(world), "dispatched");
  });
}

Deno.test("GET workspaces answers 304 to who knows the list already", async () => {
  await using world = await World.with([]);
  const get = (etag?: string) =>
    world.coordinator.fetch(
      new Request("http://c/api/daemon/workspaces", {
        headers: { authorization: `Bearer ${world.coordinator.token}`, ...(etag ? { "if-none-match": etag } : {}) },
      }),
    );
  const first = await get();
  const etag = first.headers.get("etag") ?? "";
  assertMatch(etag, /^W\/"[0-9a-f]+"$/);
  assertEquals(first.headers.get("cache-control"), "private, no-cache");
  assertEquals(await first.json(), [{ id: world.workspaceId, name: "local" }]);
  for (const known of [etag, etag.slice(2), `"other", ${etag}`]) {
    const again = await get(known);
    assertEquals([again.status, await again.text()], [304, ""], known);
  }
  const other = await get('W/"other"');
  assertEquals(other.status, 200);
  await other.body?.cancel();
  assertEquals((await world.daemon("/api/workspaces")).body, [{ id: world.workspaceId, name: "local" }]);
});

Deno.test("register() gives the same ids for the same CLIs, and promises to drop repeated messages", async () => {
  await using world = await World.with([]);
  const first = await world.register(["claude", " Codex "]);
  const again = await world.register(["codex", "claude"]);
  const ids = (answer: Answer) =>
    Object.fromEntries(RegisterResponse.parse(answer.body).runtimes.map(({ provider, id }) => [provider, id]));
  assertEquals(Object.keys(ids(first)), ["claude", "codex"]);
  assertEquals(ids(again), ids(first));
  assertEquals(RegisterResponse.parse(first.body).server_capabilities, ["message-dedup-v1"]);
  const [claude] = first.body.runtimes;
  assertEquals([claude.name, claude.status, claude.workspace_id], ["claude (box)", "online", world.workspaceId]);
});

async function addedProfile(world: World, name: string): Promise<string> {
  const profile = { display_name: name, protocol_family: "claude", command_name: "my-claude" };
  return (await world.user("/v1/runtime-profiles", profile)).body.id;
}

Deno.test("register() tells profiles of one provider and the provider itself apart", async () => {
  await using world = await World.with(["claude"]);
  const profile = async (name: string) => ({ type: "claude", name, profile_id: await addedProfile(world, name) });
  const custom = [await profile("fast"), await profile("safe")];
  const send = () =>
    world.daemon("/api/daemon/register", {
      workspace_id: world.workspaceId,
      daemon_id: "d1",
      runtimes: [{ type: "claude" }, ...custom],
    });
  const first = RegisterResponse.parse((await send()).body).runtimes.map((runtime) => runtime.id);
  assertEquals(new Set(first).size, 3);
  assertEquals(first[0], world.runtime("claude"));
  assertEquals(RegisterResponse.parse((await send()).body).runtimes.map((runtime) => runtime.id), first);
  const { agents } = (await world.user("/v1/agents")).body;
  assertEquals(agents.map((agent: { name: string }) => agent.name), ["claude", "fast", "safe"]);
});

Deno.test("register() follows the daemon's order and names", async () => {
  await using world = await World.with(["claude"]);
  const send = (runtimes: unknown[], failed_profiles: unknown[] = []) =>
    world.daemon("/api/daemon/register", {
      workspace_id: world.workspaceId,
      daemon_id: "d1",
      runtimes,
      failed_profiles,
    });
  const agents = async () => {
    const { body } = await world.user("/v1/agents");
    return body.agents.map((agent: { name: string; status: string }) => `${agent.name} ${agent.status}`);
  };
  const profile_id = await addedProfile(world, "fast");
  const custom = { type: "claude", name: "fast (box)", profile_id };
  await send([{ type: "claude" }, custom]);
  assertEquals(await agents(), ["claude online", "fast online"]);
  await send([custom, { type: "claude" }]);
  assertEquals(await agents(), ["fast online", "claude online"]);
  const failed = await send([{ type: "claude" }], [{ profile_id, command_name: "x", reason: "missing" }]);
  assertEquals(failed.body.runtimes.length, 1);
  assertEquals((await agents()).sort(), ["claude online", "fast offline"]);
  assertEquals((await send([], [{ profile_id: "p9" }])).body.runtimes, []);
});

Deno.test("register() shows people why a profile cannot be used on a machine, until it can", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const [{ id: workspace_id }] = await team.ok("GET /api/workspaces", ada);
  const profile = { display_name: "fast", protocol_family: "claude", command_name: "my-claude" };
  const { id: profile_id } = await team.ok(`POST /api/workspaces/${workspace_id}/runtime-profiles`, ada, profile);
  const register = (fields: Record<string, unknown>) =>
    team.ok("POST /api/daemon/register", ada, { ...{ workspace_id, daemon_id: "d1", device_name: "box" }, ...fields });
  const failed = { profile_id, command_name: "my-claude", reason: "it is not on PATH" };
  const unknown = { ...failed, profile_id: GHOST };
  assertEquals((await register({ failed_profiles: [failed, unknown, { ...failed, profile_id: "p" }] })).runtimes, []);
  const seen = async () =>
    (await team.ok("GET /api/runtimes", ada)).map((
      one: { id: string; name: string; status: string; metadata: { offline_reason?: { detail: string } } },
    ) => [one.id, one.name, one.status, one.metadata.offline_reason?.detail]);
  const [[id, ...rest], ...others] = await seen();
  assertEquals([rest, others], [["fast (box)", "offline", failed.reason], []]);
  assertEquals(await team.ok("GET /api/agents", ada), []);
  await register({ runtimes: [{ type: "claude", profile_id, name: "fast (box)" }] });
  assertEquals(await seen(), [[id, "fast (box)", "online", undefined]]);
  assertEquals((await team.ok("GET /api/agents", ada)).length, 1);
});

Deno.test("register() keeps the runtime of a machine whose daemon id has changed", async () => {
  await using world = await World.with(["claude"]);
  const { body } = await world.daemon("/api/daemon/register", {
    workspace_id: world.workspaceId.toUpperCase(),
    daemon_id: "d2",
    legacy_daemon_ids: ["D1"],
    runtimes: [{ type: "claude" }],
  });
  assertEquals(body.runtimes[0].id, world.runtime("claude"));
});

Deno.test("register() takes over a machine's runtimes by an earlier id only for its owner, never by a token of one daemon", async () => {
  await using team = await Team.create();
  const [ada, eve] = [await team.person("Ada"), await team.person("Eve")];
  const machine = await team.machine(ada, { daemon: "box" });
  const made = await createToken(team.shared, { scope: "daemon", name: "d", workspace: "home", daemonId: "mine" });
  const [{ id: workspace_id }] = await team.ok("GET /api/workspaces", ada);
  const moved = async (token: string, daemon_id: string) => {
    const { runtimes: [{ id }] } = await team.ok("POST /api/daemon/register", token, {
      ...{ workspace_id, daemon_id, runtimes: [{ type: "claude" }] },
      legacy_daemon_ids: ["BOX"],
    });
    return id === machine.runtimes[0];
  };
  assertEquals([await moved(made.token, "mine"), await moved(eve, "hers"), await moved(ada, "new")], [
    false,
    false,
    true,
  ]);
});

Deno.test("what a daemon lists is of a length that holds nobody else up", async () => {
  await using world = await World.with(["claude"]);
  const many = Array.from({ length: 10_001 }, () => GHOST);
  const register = (fields: Record<string, unknown>) =>
    world.daemon("/api/daemon/register", {
      ...{ workspace_id: world.workspaceId, daemon_id: "d2", runtimes: [{ type: "claude" }] },
      ...fields,
    });
  const runtimes = Array.from({ length: 501 }, (_, number) => ({ type: `t${number}` }));
  assertEquals(errorOf(await register({ runtimes })), [400, "at most 500 runtimes at once"]);
  const failed_profiles = Array.from({ length: 500 }, () => ({ profile_id: GHOST }));
  assertEquals(errorOf(await register({ failed_profiles })), [400, "at most 500 runtimes at once"]);
  const legacy_daemon_ids = [...Array.from({ length: 100 }, (_, number) => `old${number}`), "d1"];
  const [{ id }] = (await register({ legacy_daemon_ids })).body.runtimes;
  assert(id !== world.runtime(), "the first hundred earlier ids count");
  const refusal = [400, "at most 10000 runtime_ids at once"];
  const claim = { daemon_id: "d1", runtime_ids: many, max_tasks: 1 };
  assertEquals(errorOf(await world.daemon("/api/daemon/tasks/claim", claim)), refusal);
  assertEquals(errorOf(await world.daemon("/api/daemon/deregister", { runtime_ids: many })), refusal);
});

Deno.test("register() refuses another workspace and an empty list", async () => {
  await using world = await World.with(["claude"]);
  const send = (fields: Record<string, unknown>) =>
    world.daemon("/api/daemon/register", {
      workspace_id: world.workspaceId,
      daemon_id: "d1",
      runtimes: [{ type: "x" }],
      ...fields,
    });
  assertEquals(errorOf(await send({ workspace_id: GHOST })), [404, "workspace not found"]);
  assertEquals(errorOf(await send({ workspace_id: "local" })), [400, "invalid workspace_id"]);
  assertEquals(errorOf(await send({ daemon_id: "" })), [400, "daemon_id is required"]);
  assertEquals(errorOf(await send({ runtimes: [] })), [400, "at least one runtime or failed profile is required"]);
});

Deno.test("claim() carries the whole task", async () => {
  await using world = await World.with(["claude"]);
  const id = await claimed(world);
  const raw = world.claims.get(id);
  const task = ClaimedTask.parse(raw);
  const { agent } = task;
  assert(agent);
  assertEquals(
    {
      prompt: task.prompt,
      directory: task.directory,
      permission: task.permission,
      limit: task.time_limit_ms,
      attempt: task.attempt,
      thread: task.thread_name,
      workspace: task.workspace_id,
      runtime: task.runtime_id,
      agent: [agent.id, agent.name, agent.model, agent.instructions, agent.custom_env, agent.custom_args],
    },
    {
      prompt: "Look around\nand report",
      directory: { mode: "scratch" },
      permission: "full",
      limit: 5_000,
      attempt: 1,
      thread: "Look around",
      workspace: world.workspaceId,
      runtime: world.runtime(),
      agent: [task.agent_id, "claude", "m1", "", {}, []],
    },
  );
  assertMatch(task.auth_token, /^mat_[0-9a-f]{40}$/);
  assert(task.issue_id);
  assertEquals(
    [raw.kind, raw.leader_role_resolved, raw.status, raw.agent.skills, raw.created_at, raw.started_at],
    ["direct", true, "dispatched", [], "2026-01-15T12:00:00Z", null],
  );
});

Deno.test("claim() gives a task that is handed out again a new token", async () => {
  await using world = await World.with(["claude"]);
  const id = await claimed(world);
  const first = world.claims.get(id).auth_token;
  await world.advanceTo(91);
  assertEquals(await act.claim().run(world), ["a"]);
  assert(world.claims.get(id).auth_token !== first);
});

Deno.test("claim() passes over runtime ids that are malformed, unknown or another daemon's", async () => {
  await using world = await World.with(["claude"]);
  await act.submit("a").run(world);
  const claim = (daemon_id: string, runtime_ids: string[]) =>
    world.daemon("/api/daemon/tasks/claim", { daemon_id, runtime_ids, max_tasks: 1 });
  assertEquals(await claim("d2", [world.runtime()]), { status: 200, body: { tasks: [] } });
  assertEquals(await claim("d1", ["x", GHOST]), { status: 200, body: { tasks: [] } });
  const spelled = `{${world.runtime().toUpperCase()}}`;
  assertEquals((await claim("d1", ["x", GHOST, spelled])).body.tasks.length, 1);
});

Deno.test("claim() treats more than 32 free slots as 32", async () => {
  const providers = Array.from({ length: 34 }, (_, i) => `cli${i}`);
  await using world = await World.with(providers);
  for (const provider of providers) await act.submit(provider, { agent: provider }).run(world);
  assertEquals((await act.claim(100, providers).run(world) as string[]).length, 32);
});

Deno.test("messages() stores a message once however often it is sent, all of a batch or none", async () => {
  await using world = await World.with(["claude"]);
  const id = await claimed(world);
  const send = (messages: unknown[]) => world.daemon(`/api/daemon/tasks/${id}/messages`, { messages });
  const batch = [
    { seq: 2, type: "tool_use", tool: "Bash", input: { command: "ls" }, call_id: "c1" },
    { seq: 1, type: "text", content: "Hi\u0000 there" },
  ];
  assertEquals((await send(batch)).body, { status: "ok" });
  assertEquals((await send([...batch, { seq: 3, type: "text", content: "more" }])).status, 200);
  assertEquals((await send([{ seq: 1, type: "text", content: "other" }])).status, 200);
  assertEquals((await send([{ seq: 4, type: "text" }, { seq: "x", type: "text" }])).status, 400);
  assertEquals((await send([])).status, 200);
  const { messages } = (await world.user(`/v1/tasks/${id}/messages`)).body;
  assertEquals(messages.map((one: { seq: number; content: string }) => [one.seq, one.content]), [
    [1, "Hi there"],
    [2, null],
    [3, "more"],
  ]);
  assertEquals([messages[1].input, messages[1].call_id, messages[1].tool], [{ command: "ls" }, "c1", "Bash"]);
});

Deno.test("messages() are accepted after the end of the task", async () => {
  await using world = await World.with(["claude"]);
  const id = await claimed(world);
  await act.cancel("a").run(world);
  await world.daemon(`/api/daemon/tasks/${id}/messages`, { messages: [{ seq: 1, type: "text", content: "last" }] });
  assertEquals((await world.user(`/v1/tasks/${id}/messages`)).body.messages.length, 1);
});

Deno.test("usage() replaces what was reported for a model, and fills in the provider", async () => {
  await using world = await World.with(["claude"]);
  const id = await claimed(world);
  const send = (model: string, input_tokens: number) =>
    world.daemon(`/api/daemon/tasks/${id}/usage`, { usage: [{ model, input_tokens, output_tokens: 1 }] });
  await send("m1", 10);
  await send("m2", 5);
  await send("m1", 12);
  const rest = { output_tokens: 1, cache_read_tokens: 0, cache_write_tokens: 0, cost_usd_ticks: 0 };
  assertEquals((await world.viewOf(id)).usage, [
    { provider: "claude", model: "m1", input_tokens: 12, ...rest },
    { provider: "claude", model: "m2", input_tokens: 5, ...rest },
  ]);
});

Deno.test("progress() shows the latest line while the task runs", async () => {
  await using world = await World.with(["claude"]);
  const id = await claimed(world);
  const send = (summary: string) => world.daemon(`/api/daemon/tasks/${id}/progress`, { summary, step: 1, total: 2 });
  await act.start("a").run(world);
  await send("Launching");
  await send("Working");
  assertEquals((await world.viewOf(id)).progress, "Working");
  await act.complete("a").run(world);
  await send("too late");
  assertEquals((await world.viewOf(id)).progress, null);
});

Deno.test("complete() stores all that a run leaves behind", async () => {
  await using world = await World.with(["claude"]);
  const id = await claimed(world);
  await act.start("a").run(world);
  const { body } = await world.daemon(`/api/daemon/tasks/${id}/complete`, {
    output: "done",
    session_id: "s1",
    work_dir: "/tmp/worktree",
    durable_work_dir: "/home/me/repo",
    branch_name: "agent/x",
    pr_url: "https://example.test/1",
  });
  assertEquals(body.result, { output: "done", pr_url: "https://example.test/1" });
  const view = await world.viewOf(id);
  assertEquals([view.output, view.session_id, view.work_dir, view.branch_name], [
    "done",
    "s1",
    "/home/me/repo",
    "agent/x",
  ]);
});

Deno.test("fetch() and userApi() answer 503 once the coordinator is closed", async () => {
  const world = await World.with(["claude"]);
  await world.coordinator.close();
  await world.coordinator.close();
  assertEquals((await world.daemon("/api/daemon/workspaces")).status, 503);
  const { status, body } = await world.user("/v1/tasks");
  // Whoever follows a task looks for the next holder then, and does not take the store for broken.
  assertEquals([status, body.error.code], [503, "not_running"]);
  assertStringIncludes(body.error.message, "closed");
});

Deno.test("claim carries what the user gave the task for its agent, also when it is tried again", async () => {
  await using world = await World.with(["claude"]);
  const brings = {
    instructions: "Be brief.",
    skills: [{ name: "review", description: "", content: "how", files: [{ path: "x", content: "y" }] }],
    mcp_config: { mcpServers: { tools: { command: "tools" } } },
  };
  const { body } = await world.user("/v1/tasks", {
    prompt: "p",
    directory: { mode: "scratch" },
    permission: "full",
    ...brings,
  });
  assertEquals(JSON.stringify(body).includes("tools"), false, "servers may hold keys, which nobody has to be shown");
  for (const attempt of [1, 2]) {
    const answer = await world.daemon("/api/daemon/tasks/claim", {
      daemon_id: "d1",
      runtime_ids: [...world.runtimes.values()],
      max_tasks: 1,
    });
    const [task] = answer.body.tasks;
    const { instructions, skills, mcp_config } = task.agent;
    assertEquals([task.attempt, { instructions, skills, mcp_config }], [attempt, brings]);
    await world.daemon(`/api/daemon/tasks/${task.id}/fail`, { error: "x", failure_reason: "runtime_recovery" });
  }
});
