/** The server's side of the protocol, seen by a daemon that was written from it alone: registration, beats, workspaces and error texts. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { conformance, DIALECTS, refusal } from "./coordinator_server.ts";
import { call, newName, RawDaemon } from "./raw_daemon.ts";

// Where the rest of a coordinator's checklist is, beside this file:
// - atomic claim, one pending slot, cap, order, `mat_` tokens, `agent.id == agent_id`, non-empty `workspace_id`, inline
//   skills, lost answers, leases, silence, resume pointers: coordinator_claims_test.ts
// - conditional transitions, what may be said twice, retries, orphans, cancellation: coordinator_moves_test.ts
// - handshake, acks, hints, claims and limits of the WebSocket: coordinator_socket_test.ts
// - pending items once, custom runtimes, issues and comments, deleted runtimes, gc checks: coordinator_requests_test.ts
// - a real daemon: coordinator_daemon_test.ts; broken and hostile ones: fuzz_test.ts
// `DROVER_TEST_SERVER_URL` and `DROVER_TEST_SERVER_TOKEN` (a user's) name another server than one of our own.

const GHOST = "00000000-0000-4000-8000-00000000dead";
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

for (const dialect of DIALECTS) {
  conformance(`${dialect}: register, beat, claim nothing, deregister`, async (server) => {
    const daemon = new RawDaemon({ ...server.where, workspace: server.workspace, dialect });
    const list = await daemon.call(dialect === "head" ? "GET /api/daemon/workspaces" : "GET /api/workspaces");
    assertEquals(list.status, 200);
    assert(list.body.some(({ id }: { id: string }) => id === server.workspace));
    const { status, body } = await daemon.register();
    assertEquals(status, 200);
    const [runtime] = body.runtimes;
    assertEquals(
      [runtime.workspace_id, runtime.daemon_id, runtime.provider, runtime.status, runtime.profile_id],
      [server.workspace, daemon.daemonId, daemon.providers[0], "online", null],
    );
    assertMatch(runtime.last_seen_at, TIME);
    const beat = await daemon.beat();
    assertEquals([beat.status, beat.body.status], [200, "ok"]);
    // What only the WebSocket says.
    for (const field of ["runtime_id", "server_capabilities", "runtime_gone"]) assertEquals(field in beat.body, false);
    assertEquals(await daemon.claim(), []);
    const single = await daemon.call(`POST /api/daemon/runtimes/${daemon.runtime}/tasks/claim`);
    assertEquals([single.status, single.body], [200, { task: null }]);
    const gone = await daemon.deregister();
    assertEquals([gone.status, gone.body], [200, { status: "ok" }]);
  });

  conformance(`${dialect}: the same daemon gets the same ids again, another one others`, async (server) => {
    const providers = [newName("a"), newName("b")];
    const daemon = await server.daemon(dialect, { providers });
    const [first, second] = daemon.runtimes;
    assertNotEquals(first, second);
    await daemon.register();
    assertEquals(daemon.runtimes, [first, second]);
    const spelled = providers.map((type) => ({ type: ` ${type.toUpperCase()} ` })).reverse();
    await daemon.register({ runtimes: spelled });
    assertEquals(daemon.runtimes, [second, first], "spelled and ordered in another way");
    await daemon.register({ runtimes: [{ type: providers[0] }] });
    assertEquals(daemon.runtimes, [first], "the answer has what was asked for, no more");
    await daemon.deregister();
    await daemon.register();
    assertEquals(daemon.runtimes, [first, second], "offline in between");
    const other = await server.daemon(dialect, { providers });
    assertEquals(other.runtimes.filter((id) => daemon.runtimes.includes(id)), []);
  });
}

conformance("register: fields that nobody knows and those of the wrong type count as absent", async (server) => {
  const daemon = await server.daemon();
  const [known] = daemon.runtimes;
  const odd = { device_name: 7, cli_version: null, legacy_daemon_ids: "x", launched_by: {}, colour: "blue" };
  const { status } = await daemon.register({ ...odd, failed_profiles: null });
  assertEquals([status, daemon.runtime], [200, known]);
  const blank = await daemon.register({ runtimes: [{ type: "  " }] });
  assertEquals(blank.body.runtimes[0].provider, "unknown");
});

conformance("register: metadata is written anew by each call, with the capabilities of that call", async (server) => {
  const daemon = await server.daemon("head");
  const capabilities = async (value: string) => {
    const answer = await daemon.call("POST /api/daemon/register", {
      workspace_id: server.workspace,
      daemon_id: daemon.daemonId,
      runtimes: daemon.providers.map((type) => ({ type, version: "2.0" })),
    }, { "x-client-capabilities": value });
    return answer.body.runtimes[0].metadata;
  };
  const first = await capabilities("rpc-v1, local-worktree-v1");
  assertEquals([first.capabilities, first.version], [["rpc-v1", "local-worktree-v1"], "2.0"]);
  assertEquals((await capabilities("")).capabilities, []);
});

conformance("register: a machine that has another daemon id now keeps its runtime", async (server) => {
  const before = await server.daemon("head", { daemonId: newName("Old-Host") });
  const task = await server.enqueue(before);
  const after = new RawDaemon({
    ...server.where,
    workspace: server.workspace,
    dialect: "head",
    providers: before.providers,
  });
  await after.register({ legacy_daemon_ids: [newName("no"), before.daemonId.toLowerCase()] });
  assertEquals(after.runtimes, before.runtimes);
  assertEquals((await after.claimOne()).id, task, "and its tasks");
});

conformance("register: says what is wrong with a call that cannot be", async (server) => {
  const daemon = await server.daemon();
  const cases: [Record<string, unknown>, number, string][] = [
    [{ workspace_id: "" }, 400, "workspace_id is required"],
    [{ workspace_id: "home" }, 400, "invalid workspace_id"],
    [{ workspace_id: GHOST }, 404, "workspace not found"],
    [{ daemon_id: "" }, 400, "daemon_id is required"],
    [{ runtimes: [] }, 400, "at least one runtime or failed profile is required"],
    [{ runtimes: [{ type: "claude", profile_id: GHOST }] }, 400, `unknown runtime profile: ${GHOST}`],
  ];
  for (const [fields, ...wanted] of cases) assertEquals(refusal(await daemon.register(fields)), wanted);
});

conformance("the texts of errors that daemons act upon", async (server) => {
  const daemon = await server.daemon();
  const task = (verb: string, body: unknown = {}) => daemon.task(GHOST, verb, body);
  assertEquals(refusal(await daemon.beat(GHOST)), [404, "runtime not found"]);
  assertEquals(refusal(await daemon.recover(GHOST)), [404, "runtime not found"]);
  assertEquals(refusal(await daemon.call(`POST /api/daemon/runtimes/${GHOST}/tasks/claim`)), [
    404,
    "runtime not found",
  ]);
  assertEquals(refusal(await daemon.lease(GHOST, GHOST)), [404, "runtime not found"]);
  assertEquals(refusal(await daemon.lease(GHOST)), [404, "task not found"]);
  assertEquals(refusal(await daemon.call(`GET /api/daemon/tasks/${GHOST}/status`)), [404, "task not found"]);
  for (const verb of ["start", "complete", "fail", "progress", "cancel-ack", "wait-local-directory"]) {
    assertEquals(refusal(await task(verb)), [404, "task not found"], verb);
  }
  assertEquals(refusal(await task("session", { session_id: "s" })), [404, "task not found"]);
  assertEquals(refusal(await task("messages", { messages: [] })), [404, "task not found"]);
  assertEquals(refusal(await task("usage", { usage: [] })), [404, "task not found"]);
  // What is merely not well formed is no reason to give up a runtime or a task.
  assertEquals((await daemon.beat("r1")).status, 400);
  assertEquals((await daemon.beat("")).status, 400);
  assertEquals((await daemon.call("POST /api/daemon/tasks/t1/start")).status, 400);
  assertEquals((await daemon.call("POST /api/daemon/tasks/t1/complete")).status, 400);
  const missing = await daemon.call("POST /api/daemon/no/such/route");
  assertEquals(missing.status, 404);
  assertEquals(/(task|runtime|workspace) not found/.test(JSON.stringify(missing.body)), false);
});

conformance("ids are taken in every usual spelling, and answered in one", async (server) => {
  const daemon = await server.daemon();
  const id = daemon.runtime;
  for (const spelled of [id.toUpperCase(), `{${id}}`, `urn:uuid:${id}`, id.replaceAll("-", "")]) {
    assertEquals((await daemon.beat(spelled)).status, 200, spelled);
  }
  const task = await server.enqueue(daemon);
  assertEquals((await daemon.claim(1, [id.toUpperCase()]))[0].id, task);
  const started = await daemon.task(task.toUpperCase(), "start");
  assertEquals([started.body.id, started.body.runtime_id], [task, id]);
});

conformance("401 is for tokens alone, on every route that there is and that there is not", async (server) => {
  const daemon = await server.daemon();
  for (const token of ["", `mul_${"0".repeat(40)}`, "x"]) {
    for (
      const route of [
        "GET /api/daemon/workspaces",
        "POST /api/daemon/register",
        "POST /api/daemon/tasks/claim",
        `GET /api/daemon/tasks/${GHOST}/status`,
        "GET /api/daemon/nothing",
      ]
    ) {
      const { status } = await call({ baseUrl: daemon.where.baseUrl, token }, route, {});
      assertEquals(status, 401, `${token} on ${route}`);
    }
  }
});

conformance("GET workspaces: the list has a version, and who has that version is told so", async (server) => {
  const daemon = await server.daemon();
  const list = (headers: Record<string, string> = {}) => daemon.call("GET /api/daemon/workspaces", undefined, headers);
  const first = await list();
  const etag = first.headers.get("etag") ?? "";
  assertMatch(etag, /^W\/"[0-9a-f]+"$/);
  assertEquals(first.headers.get("cache-control"), "private, no-cache");
  const again = await list({ "if-none-match": etag });
  assertEquals([again.status, again.body], [304, ""]);
  assertEquals((await list({ "if-none-match": 'W/"0"' })).status, 200);
});

conformance("GET workspaces: another version once there is another workspace", async (server) => {
  const daemon = await server.daemon();
  const first = await daemon.call("GET /api/daemon/workspaces");
  await server.mine!.token({ scope: "user", name: "ann", workspace: "second" });
  const headers = { "if-none-match": first.headers.get("etag") ?? "" };
  const second = await daemon.call("GET /api/daemon/workspaces", undefined, headers);
  assertEquals([second.status, second.body.length], [200, first.body.length + 1]);
}, { own: true });

conformance("a daemon's token opens its workspace and its daemon, and owns no runtime", async (server) => {
  const { token } = await server.mine!.token({ scope: "daemon", name: "box", workspace: "home", daemonId: "box-1" });
  const daemon = await server.daemon("head", { token, daemonId: "box-1" });
  assertEquals((await daemon.call("GET /api/daemon/workspaces")).body.length, 1);
  const other = new RawDaemon({ ...daemon.where, workspace: server.workspace, dialect: "head" });
  const { status } = await other.call("POST /api/daemon/tasks/claim", {
    daemon_id: "d9",
    runtime_ids: [],
    max_tasks: 1,
  });
  assertEquals(status, 403);
}, { own: true });

conformance("deregister: unknown ids are passed over, bad ones refused, and tasks stay as they are", async (server) => {
  const daemon = await server.daemon();
  const task = await server.enqueue(daemon);
  await daemon.claimOne();
  assertEquals((await daemon.deregister([])).status, 400);
  assertEquals((await daemon.deregister([daemon.runtime, "r1"])).status, 400);
  assertEquals((await daemon.deregister([GHOST, daemon.runtime])).status, 200);
  assertEquals((await daemon.deregister()).status, 200, "again");
  assertEquals(await daemon.status(task), "dispatched");
  const waiting = await server.enqueue(daemon);
  assertEquals(await daemon.claim(), [], "offline");
  await daemon.beat();
  assertEquals((await daemon.claimOne()).id, waiting, "a beat brings it back");
});

conformance("repos: an empty list has the version of an empty list", async (server) => {
  const daemon = await server.daemon();
  const { status, body } = await daemon.call(`GET /api/daemon/workspaces/${server.workspace}/repos`);
  assertEquals([status, body.workspace_id, body.repos.length], [200, server.workspace, 0]);
  assertMatch(body.repos_version, /^e3b0c442[0-9a-f]{56}$/);
});

conformance("renew: a token that never ends is left as it is, a daemon's is refused", async (server) => {
  const renewed = await call(server.where, "POST /api/tokens/current/renew");
  assertEquals([renewed.status, renewed.body], [200, { expires_at: "", renewed: false }]);
  const soon = await server.mine!.token({ scope: "user", name: "ann", workspace: "home", days: 5 });
  const again = await call({ ...server.where, token: soon.token }, "POST /api/tokens/current/renew");
  assertEquals([again.status, again.body.renewed], [200, true]);
  await server.pass(6 * 86_400);
  assertEquals((await call({ ...server.where, token: soon.token }, "GET /api/daemon/workspaces")).status, 200);
  const box = await server.mine!.token({ scope: "daemon", name: "box", workspace: "home", daemonId: "box-1" });
  assertEquals((await call({ ...server.where, token: box.token }, "POST /api/tokens/current/renew")).status, 400);
  await server.pass(100 * 86_400);
  assertEquals((await call({ ...server.where, token: soon.token }, "POST /api/tokens/current/renew")).status, 401);
}, { own: true });
