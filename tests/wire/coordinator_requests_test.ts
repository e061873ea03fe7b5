/** The server's side of what people ask of daemons in between, of custom runtimes, and of the issues that agents read. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { conformance, refusal, type TestServer } from "./coordinator_server.ts";
import { call, type Json, newName, type RawDaemon } from "./raw_daemon.ts";

interface Kind {
  readonly name: string;
  readonly path: string;
  readonly wish: Json;
  /** The field of a heartbeat's answer. */
  readonly field: string;
  readonly result: Json;
  /** What of the result people see. */
  readonly seen: Json;
  readonly unknown: string;
  readonly pendingS: number;
  readonly runningS: number;
}

const SKILLS = { unknown: "request not found", pendingS: 180, runningS: 60 };

const KINDS: readonly Kind[] = [
  {
    name: "update",
    path: "update",
    wish: { target_version: "v0.4.25" },
    field: "pending_update",
    result: { output: "replaced" },
    seen: { output: "replaced" },
    unknown: "update not found",
    pendingS: 120,
    runningS: 150,
  },
  {
    name: "models",
    path: "models",
    wish: {},
    field: "pending_model_list",
    result: { models: [{ id: "m1", label: "M1", provider: "p", default: true }], supported: true },
    seen: { models: [{ id: "m1", label: "M1", provider: "p", default: true }], supported: true },
    unknown: "request not found",
    pendingS: 30,
    runningS: 60,
  },
  {
    name: "local skills",
    path: "local-skills",
    wish: {},
    field: "pending_local_skills",
    result: { skills: [{ key: "pdf", name: "pdf" }], supported: true },
    seen: { supported: true },
    ...SKILLS,
  },
  {
    name: "an import",
    path: "local-skills/import",
    wish: { skill_key: "pdf" },
    field: "pending_local_skill_import",
    result: { skill: { name: "pdf", description: "", content: "how", source_path: "/x", provider: "p", files: [] } },
    seen: {},
    ...SKILLS,
  },
];

async function ask(server: TestServer, daemon: RawDaemon, { path, wish }: Kind): Promise<string> {
  const { status, body } = await server.user(`POST /api/runtimes/${daemon.runtime}/${path}`, wish);
  assertEquals(Math.floor(status / 100), 2, JSON.stringify(body));
  assertEquals(body.status, "pending");
  assertMatch(body.id, /^[0-9a-f]{32}$/);
  return body.id;
}

function seen(server: TestServer, daemon: RawDaemon, { path }: Kind, id: string) {
  return server.user(`GET /api/runtimes/${daemon.runtime}/${path}/${id}`);
}

function report(daemon: RawDaemon, { path }: Kind, id: string, body: Json, runtime = daemon.runtime) {
  return daemon.call(`POST /api/daemon/runtimes/${runtime}/${path}/${id}/result`, body);
}

for (const kind of KINDS) {
  conformance(`${kind.name}: handed out with one heartbeat, answered once, and seen by who asked`, async (server) => {
    const daemon = await server.daemon();
    const other = await server.daemon();
    const id = await ask(server, daemon, kind);
    assertEquals(kind.field in (await other.beat()).body, false, "another runtime's beat has nothing of it");
    const { body } = await daemon.beat();
    assertEquals(body[kind.field], { id, ...kind.wish });
    if (kind.name === "an import") assertEquals(body.pending_local_skill_imports, [{ id, ...kind.wish }]);
    assertEquals((await daemon.beat()).body, { status: "ok" }, "once, whether it has arrived or not");
    assertEquals((await seen(server, daemon, kind, id)).body.status, "running");
    const wrong = await report(daemon, kind, id, { status: "completed" }, other.runtime);
    assertEquals(refusal(wrong), [404, kind.unknown], "as another runtime");
    assertEquals(refusal(await report(daemon, kind, "0".repeat(32), { status: "failed" })), [404, kind.unknown]);
    const done = await report(daemon, kind, id, { status: "completed", ...kind.result });
    assertEquals([done.status, done.body], [200, { status: "ok" }]);
    const late = await report(daemon, kind, id, { status: "failed", error: "too late" });
    assertEquals([late.status, late.body], [200, { status: "ok" }]);
    const result = (await seen(server, daemon, kind, id)).body;
    assertEquals(result.status, "completed");
    for (const [name, value] of Object.entries(kind.seen)) assertEquals(result[name], value);
    assertEquals((await seen(server, daemon, kind, "0".repeat(32))).status, 404);
  });

  conformance(`${kind.name}: a daemon that fails says why`, async (server) => {
    const daemon = await server.daemon();
    const id = await ask(server, daemon, kind);
    await daemon.beat();
    await report(daemon, kind, id, { status: "failed", error: "cannot do that" });
    const { status, error } = (await seen(server, daemon, kind, id)).body;
    assertEquals([status, error], ["failed", "cannot do that"]);
  });

  conformance(`${kind.name}: times out while it waits, and while it runs`, async (server) => {
    const daemon = await server.daemon();
    const waiting = await ask(server, daemon, kind);
    await server.pass(kind.pendingS + 1);
    assertEquals((await daemon.beat()).body, { status: "ok" }, "nobody waits for it any more");
    assertEquals((await seen(server, daemon, kind, waiting)).body.status, "timeout");
    const running = await ask(server, daemon, kind);
    await daemon.beat();
    await server.pass(kind.runningS - 1);
    assertEquals((await seen(server, daemon, kind, running)).body.status, "running");
    await server.pass(2);
    assertEquals((await seen(server, daemon, kind, running)).body.status, "timeout");
    assertEquals((await report(daemon, kind, running, { status: "completed", ...kind.result })).status, 200);
    assertEquals((await seen(server, daemon, kind, running)).body.status, "timeout", "too late");
  }, { own: true });
}

const [UPDATE, MODELS, , IMPORT] = KINDS as readonly [Kind, Kind, Kind, Kind];

conformance("one update of a runtime at a time; a sign of life changes nothing", async (server) => {
  const daemon = await server.daemon();
  const id = await ask(server, daemon, UPDATE);
  const again = await server.user(`POST /api/runtimes/${daemon.runtime}/update`, UPDATE.wish);
  assertEquals(again.status, 409);
  await daemon.beat();
  assertEquals((await report(daemon, UPDATE, id, { status: "running" })).status, 200);
  assertEquals((await seen(server, daemon, UPDATE, id)).body.status, "running");
  assertEquals((await report(daemon, UPDATE, id, { status: "what" })).status, 400);
  await report(daemon, UPDATE, id, { status: "completed", output: "" });
  await ask(server, daemon, UPDATE);
});

conformance("many heartbeats at once hand each request out once", async (server) => {
  const daemon = await server.daemon();
  const ids = [];
  for (let n = 0; n < 6; n++) ids.push(await ask(server, daemon, MODELS));
  const beats = [];
  while (beats.length < 30) beats.push(...await Promise.all(Array.from({ length: 10 }, () => daemon.beat())));
  const handed = beats.flatMap(({ body }) => body.pending_model_list?.id ?? []);
  assertEquals(handed.sort(), ids.sort());
});

conformance(
  "imports come up to ten with one beat, the first of them named twice; to an old daemon one",
  async (server) => {
    const daemon = await server.daemon();
    for (let n = 0; n < 12; n++) await ask(server, daemon, { ...IMPORT, wish: { skill_key: `s${n}` } });
    const { body } = await daemon.beat();
    assertEquals(body.pending_local_skill_imports.length, 10);
    assertEquals(body.pending_local_skill_import, body.pending_local_skill_imports[0]);
    const old = await daemon.call("POST /api/daemon/heartbeat", { runtime_id: daemon.runtime });
    assertEquals("pending_local_skill_imports" in old.body, false);
    assert(old.body.pending_local_skill_import.skill_key);
    assertEquals((await daemon.beat()).body.pending_local_skill_imports.length, 1);
  },
);

conformance("only the owner of a runtime has its skills imported", async (server) => {
  const daemon = await server.daemon();
  const { token } = await server.mine!.token({ scope: "user", name: "bob", workspace: "home" });
  const bob = { ...server.where, token };
  const path = `POST /api/runtimes/${daemon.runtime}`;
  assertEquals((await call(bob, `${path}/local-skills/import`, IMPORT.wish)).status, 403);
  assertEquals(Math.floor((await call(bob, `${path}/models`)).status / 100), 2);
}, { own: true });

conformance("models are not asked of a runtime that is offline", async (server) => {
  const daemon = await server.daemon();
  await daemon.deregister();
  assertEquals((await server.user(`POST /api/runtimes/${daemon.runtime}/models`)).status, 503);
});

conformance("asking wakes the daemon, over the socket as well", async (server) => {
  const daemon = await server.daemon();
  using socket = await daemon.connect();
  const id = await ask(server, daemon, MODELS);
  const hint = await socket.json();
  assertEquals([hint.type, hint.payload.runtime_id], ["daemon:pending_work", daemon.runtime]);
  await socket.send(JSON.stringify({ type: "daemon:heartbeat", payload: { runtime_id: daemon.runtime } }));
  const { payload } = await socket.json();
  assertEquals(payload.pending_model_list, { id });
  assertEquals((await daemon.beat()).body, { status: "ok" });
});

async function profile(server: TestServer, fields: Json = {}): Promise<Json> {
  const { status, body } = await server.user(`POST /api/workspaces/${server.workspace}/runtime-profiles`, {
    display_name: newName("In-house"),
    protocol_family: "codex",
    command_name: "acme-codex",
    fixed_args: ["serve", "--fast"],
    ...fields,
  });
  assertEquals(status, 201, JSON.stringify(body));
  return body;
}

async function profiles(server: TestServer, daemon: RawDaemon): Promise<Json[]> {
  const { status, body } = await daemon.call(`GET /api/daemon/workspaces/${server.workspace}/runtime-profiles`);
  assertEquals([status, body.workspace_id], [200, server.workspace]);
  return body.runtime_profiles;
}

conformance("profiles: what people add daemons get, and are told of", async (server) => {
  const daemon = await server.daemon();
  using socket = await daemon.connect();
  const added = await profile(server);
  assertEquals(await socket.json(), {
    type: "daemon:runtime_profiles_changed",
    payload: { workspace_id: server.workspace },
  });
  const got = (await profiles(server, daemon)).find(({ id }) => id === added.id);
  assertEquals(
    [got.display_name, got.protocol_family, got.command_name, got.fixed_args, got.visibility, got.enabled],
    [added.display_name, "codex", "acme-codex", ["serve", "--fast"], "workspace", true],
  );
  await server.user(`PATCH /api/workspaces/${server.workspace}/runtime-profiles/${added.id}`, { enabled: false });
  assertEquals((await socket.json())?.type, "daemon:runtime_profiles_changed");
  assertEquals(
    (await profiles(server, daemon)).some(({ id }) => id === added.id),
    false,
    "only those that are enabled",
  );
});

conformance("profiles: a runtime of its own beside the built-in one, with the same id each time", async (server) => {
  const { id, display_name } = await profile(server, { protocol_family: "claude" });
  const daemon = await server.daemon("head", { providers: ["claude"] });
  const entry = { type: "ignored", name: `${display_name} (box)`, profile_id: id };
  const send = () => daemon.register({ runtimes: [{ type: "claude" }, entry] });
  const [builtIn, custom] = (await send()).body.runtimes;
  assertNotEquals(builtIn.id, custom.id);
  assertEquals([builtIn.profile_id, custom.profile_id, custom.provider], [null, id, "claude"]);
  assertEquals((await send()).body.runtimes.map((one: Json) => one.id), [builtIn.id, custom.id]);
  const path = `/api/workspaces/${server.workspace}/runtime-profiles/${id}`;
  await server.user(`PATCH ${path}`, { enabled: false });
  assertEquals(refusal(await send()), [409, `runtime profile is disabled: ${id}`]);
  await server.user(`PATCH ${path}`, { enabled: true });
  assertEquals((await send()).body.runtimes[1].id, custom.id);
  await server.user(`DELETE ${path}`);
  assertEquals(refusal(await send()), [400, `unknown runtime profile: ${id}`]);
  assertEquals(refusal(await daemon.beat(custom.id)), [404, "runtime not found"]);
  assertEquals((await daemon.beat(builtIn.id)).status, 200);
});

conformance("profiles: one that cannot run here is offline and not in the answer", async (server) => {
  const { id } = await profile(server, { protocol_family: "claude" });
  const daemon = await server.daemon();
  const [runtime] = daemon.runtimes;
  const failed = [{ profile_id: id, command_name: "acme-codex", reason: "not found" }, { profile_id: "nonsense" }];
  const { status, body } = await daemon.register({ failed_profiles: failed });
  assertEquals([status, body.runtimes.map((one: Json) => one.id)], [200, [runtime]]);
  const alone = await daemon.register({ runtimes: [], failed_profiles: failed });
  assertEquals([alone.status, alone.body.runtimes], [200, []]);
});

conformance("the agent of a task reads its issue, says something about it, and reaches no other", async (server) => {
  const daemon = await server.daemon();
  const id = await server.enqueue(daemon, { fields: { title: "Paint it", description: "black" } });
  const other = await server.enqueue(daemon);
  const task = (await daemon.claim())[0];
  assertEquals([task.id, task.thread_name, "title" in task], [id, "Paint it", false], "the text is not in the claim");
  const agent = { ...server.where, token: task.auth_token };
  const issue = await call(agent, `GET /api/issues/${task.issue_id}`);
  assertEquals([issue.status, issue.body.title, issue.body.description], [200, "Paint it", "black"]);
  const said = await call(agent, `POST /api/issues/${task.issue_id}/comments`, { content: "Which black?" });
  assertEquals([said.status, said.body.author_type], [201, "agent"]);
  const comments = await call(agent, `GET /api/issues/${task.issue_id}/comments`);
  assertEquals(comments.body.map(({ content }: Json) => content), ["Which black?"]);
  assertEquals((await server.tasksOf(task.issue_id)).length, 1, "what an agent says makes no task");
  const moved = await call(agent, `PUT /api/issues/${task.issue_id}`, { status: "in_review" });
  assertEquals([moved.status, moved.body.status], [200, "in_review"]);
  assertEquals((await call(agent, `GET /api/issues/${server.issueOf(other)}`)).status, 404);
  const stolen = { "x-task-id": other, "x-workspace-id": crypto.randomUUID(), "x-user-id": crypto.randomUUID() };
  assertEquals((await call(agent, `GET /api/issues/${server.issueOf(other)}`, undefined, stolen)).status, 404);
});

conformance("what is said while a task runs comes with the next one, all of it", async (server) => {
  for (const capable of [true, false]) {
    const daemon = await server.daemon(capable ? "head" : "april");
    const first = await server.enqueue(daemon);
    await daemon.claimOne();
    await daemon.task(first, "start");
    const issue = server.issueOf(first);
    for (const content of ["One.", "Two."]) {
      await server.moment();
      await server.user(`POST /api/issues/${issue}/comments`, { content });
    }
    await daemon.task(first, "complete", { output: "" });
    const task = await daemon.claimOne();
    assertEquals([task.kind, task.issue_id, task.trigger_author_type], ["comment", issue, "member"]);
    assertEquals(task.trigger_comment_content.includes("Two."), true);
    const earlier = capable
      ? task.coalesced_comments.map(({ content }: Json) => content).join()
      : task.trigger_comment_content;
    assert(earlier.includes("One."), JSON.stringify(task));
  }
});

conformance("a runtime that is deleted takes its tasks with it, and comes back as another one", async (server) => {
  const daemon = await server.daemon();
  const id = await server.enqueue(daemon);
  await daemon.claimOne();
  await daemon.task(id, "start");
  const { status } = await server.user(`DELETE /api/runtimes/${daemon.runtime}`);
  assertEquals(Math.floor(status / 100), 2);
  assertEquals(refusal(await daemon.beat()), [404, "runtime not found"]);
  assertEquals(refusal(await daemon.recover()), [404, "runtime not found"]);
  assertEquals(await daemon.claim(), [], "a batch passes over it");
  const state = await daemon.call(`GET /api/daemon/tasks/${id}/status`);
  assert(state.status === 404 || state.body.status === "cancelled", "its agent is to be stopped");
  const before = daemon.runtime;
  await daemon.register();
  assertNotEquals(daemon.runtime, before);
  await daemon.beat();
  await server.enqueue(daemon);
  await daemon.claimOne();
});

conformance("an agent's cap holds over all that it has, and is what people set", async (server) => {
  const daemon = await server.daemon();
  const { id } = await server.agent(daemon);
  const changed = await server.user(`PATCH /api/agents/${id}`, { max_concurrent_tasks: 2 });
  assertEquals([changed.status, changed.body.max_concurrent_tasks], [200, 2], JSON.stringify(changed.body));
  for (const max_concurrent_tasks of [0, 51, 1.5, "2"]) {
    assertEquals((await server.user(`PATCH /api/agents/${id}`, { max_concurrent_tasks })).status, 400);
  }
  for (let n = 0; n < 3; n++) await server.enqueue(daemon);
  const first = await daemon.claimOne();
  await daemon.claimOne();
  assertEquals(await daemon.claim(), []);
  await daemon.task(first.id, "fail", { error: "no", failure_reason: "agent_error.unknown" });
  await daemon.claimOne();
});

conformance("pending: what waits and what is claimed; nothing that is under way", async (server) => {
  const daemon = await server.daemon();
  const ids = [await server.enqueue(daemon), await server.enqueue(daemon), await server.enqueue(daemon)];
  const running = (await daemon.claimOne()).id;
  await daemon.task(running, "start");
  await daemon.claimOne();
  const { body } = await daemon.call(`GET /api/daemon/runtimes/${daemon.runtime}/tasks/pending`);
  assertEquals(body.map(({ id }: Json) => id).sort(), ids.filter((id) => id !== running).sort());
});

conformance(
  "skill bundles: nothing for nothing, and 404 for what is not there, while a task is prepared",
  async (server) => {
    const daemon = await server.daemon();
    const id = await server.enqueue(daemon);
    const resolve = (skills: Json) =>
      daemon.call(`POST /api/daemon/runtimes/${daemon.runtime}/tasks/${id}/skill-bundles/resolve`, { skills });
    await daemon.claimOne();
    assertEquals((await resolve([])).body, { bundles: [] });
    const missing = await resolve([{ id: "sk-1", source: "workspace", hash: "sha256:0" }]);
    assertEquals(refusal(missing), [404, "skill bundle not found"]);
    await daemon.task(id, "start");
    assertEquals(refusal(await resolve([])), [409, "task is not preparing"]);
  },
);

conformance("gc checks: by issue, by many issues at once, and by task", async (server) => {
  const daemon = await server.daemon();
  const id = await server.enqueue(daemon);
  const issue = server.issueOf(id);
  const ghost = crypto.randomUUID();
  const one = await daemon.call(`GET /api/daemon/issues/${issue}/gc-check`);
  assertEquals([one.status, one.body.status, Number.isNaN(Date.parse(one.body.updated_at))], [200, "todo", false]);
  assertEquals((await daemon.call(`GET /api/daemon/issues/${ghost}/gc-check`)).status, 404);
  const task = await daemon.call(`GET /api/daemon/tasks/${id}/gc-check`);
  assertEquals([task.body.status, task.body.completed_at], ["queued", null]);
  const path = `POST /api/daemon/workspaces/${server.workspace}/issues/gc-check`;
  const { body } = await daemon.call(path, { issue_ids: [issue, ghost, "x", issue] });
  assertEquals(body.issues.map(({ id, found }: Json) => [id, found]), [
    [issue, true],
    [ghost, false],
    ["x", false],
    [issue, true],
  ]);
  assertEquals((await daemon.call(path, { issue_ids: Array(501).fill(ghost) })).status, 400);
  assertEquals((await daemon.call(path, { issue_ids: ["x".repeat(66_000)] })).status, 413);
});
