/** The server's side of claims: each task to one claimer once, what a claim carries, whose turn it is, and lost answers. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { conformance, DIALECTS, refusal } from "./coordinator_server.ts";
import { call, newName } from "./raw_daemon.ts";

const CLAIMERS = 24;
/** An agent's cap unless somebody sets another. */
const CAP = 6;

for (const dialect of DIALECTS) {
  conformance(`${dialect}: a task is handed out once, with all that a daemon insists on`, async (server) => {
    const daemon = await server.daemon(dialect);
    const id = await server.enqueue(daemon);
    const task = await daemon.claimOne();
    assertEquals(await daemon.claim(), []);
    assertEquals([task.id, task.status, task.runtime_id], [id, "dispatched", daemon.runtime]);
    assertEquals(task.workspace_id, server.workspace);
    assertEquals(task.agent.id, task.agent_id);
    assertMatch(task.auth_token, /^mat_[0-9a-f]{40}$/);
    assertEquals([task.agent.skills, "skill_refs" in task.agent], [[], false], "skills come with the task");
    assertEquals([typeof task.issue_id, typeof task.thread_name, task.kind], ["string", "string", "direct"]);
    assertEquals([task.attempt, task.started_at, task.leader_role_resolved], [1, null, true]);
    assertEquals([task.agent.custom_env, task.agent.custom_args], [{}, []]);
    assertEquals(await daemon.status(id), "dispatched");
  });

  conformance(`${dialect}: of many claims at once each task is in exactly one`, async (server) => {
    const providers = [newName("a"), newName("b"), newName("c"), newName("d")];
    const daemon = await server.daemon(dialect, { providers });
    const ids = [];
    for (let n = 0; n < CAP; n++) {
      for (const cli of providers.keys()) ids.push(await server.enqueue(daemon, { cli }));
    }
    const claims = await Promise.all(Array.from({ length: CLAIMERS }, () => daemon.claim(2)));
    while (claims.flat().length < ids.length) {
      const more = await daemon.claim(4);
      assert(more.length > 0, `only ${claims.flat().length} of ${ids.length} came`);
      claims.push(more);
    }
    assertEquals(claims.flat().map(({ id }) => id).sort(), ids.sort());
    assertEquals(await daemon.claim(32), []);
  });
}

conformance("claims over every way at once give each task to one", async (server) => {
  const daemon = await server.daemon();
  const ids = await Promise.all(Array.from({ length: CAP }, () => server.enqueue(daemon)));
  const single = async () => {
    const { body } = await daemon.call(`POST /api/daemon/runtimes/${daemon.runtime}/tasks/claim`);
    return body.task ? [body.task] : [];
  };
  const ways = [single, () => daemon.claim(2)];
  const claims = await Promise.all(Array.from({ length: 2 * CAP }, (_, n) => ways[n % 2]!()));
  const claimed: string[] = claims.flat().map(({ id }) => id);
  assertEquals(claimed.sort(), ids.sort());
});

conformance("a batch has at most one fresh task of an agent, and no more than there are slots", async (server) => {
  const providers = [newName("a"), newName("b")];
  const daemon = await server.daemon("head", { providers });
  for (const cli of [0, 0, 1]) await server.enqueue(daemon, { cli });
  assertEquals(await daemon.claim(0), []);
  for (const none of [{}, { max_tasks: null }]) {
    const body = { daemon_id: daemon.daemonId, runtime_ids: daemon.runtimes, ...none };
    const { status, body: { tasks } } = await daemon.call("POST /api/daemon/tasks/claim", body);
    assertEquals([status, tasks], [200, []], JSON.stringify(none));
  }
  assertEquals((await daemon.claim(1)).length, 1);
  assertEquals((await daemon.claim(5)).map(({ runtime_id }) => runtime_id).sort(), [...daemon.runtimes].sort());
  assertEquals(await daemon.claim(5), []);
});

conformance(
  "a batch passes over runtimes that are malformed, unknown or another daemon's, without a word",
  async (server) => {
    const daemon = await server.daemon();
    const other = await server.daemon();
    await server.enqueue(other);
    assertEquals(await daemon.claim(5, ["r1", "", crypto.randomUUID(), other.runtime]), []);
    const refused = await daemon.call("POST /api/daemon/tasks/claim", { daemon_id: "", runtime_ids: [], max_tasks: 1 });
    assertEquals(refusal(refused)[0], 400);
    for (const max_tasks of [-1, "1", 1.5]) {
      const body = { daemon_id: daemon.daemonId, runtime_ids: daemon.runtimes, max_tasks };
      assertEquals((await daemon.call("POST /api/daemon/tasks/claim", body)).status, 400, `${max_tasks}`);
    }
  },
);

conformance("the best task comes first: by priority, then by age", async (server) => {
  const daemon = await server.daemon();
  const low = await server.enqueue(daemon, { fields: { priority: "low" } });
  const urgent = await server.enqueue(daemon, { fields: { priority: "urgent" } });
  const lowToo = await server.enqueue(daemon, { fields: { priority: "low" } });
  const order = [];
  for (let n = 0; n < 3; n++) order.push((await daemon.claimOne()).id);
  // In one second two of a kind may come in either order.
  assertEquals(order[0], urgent);
  assertEquals(order.slice(1).sort(), [low, lowToo].sort());
});

conformance("an agent has no more tasks at once than it may, and the end of one makes room", async (server) => {
  const daemon = await server.daemon();
  const ids = [];
  for (let n = 0; n <= CAP; n++) ids.push(await server.enqueue(daemon));
  const first: string = (await daemon.claimOne()).id;
  const taken = [first];
  while (taken.length < CAP) taken.push((await daemon.claimOne()).id);
  assertEquals(await daemon.claim(), []);
  await daemon.task(first, "start");
  assertEquals(await daemon.claim(), [], "a started one takes its place as before");
  await daemon.task(first, "complete", { output: "" });
  assertEquals((await daemon.claimOne()).id, ids.find((id) => !taken.includes(id)));
});

conformance("runs of one issue are strictly one after the other, with one waiting at most", async (server) => {
  const daemon = await server.daemon();
  const first = await server.enqueue(daemon);
  assertEquals(await server.comment(first), first, "what is said while one is queued goes with it");
  await daemon.claimOne();
  await daemon.task(first, "start");
  const second = await server.comment(first);
  assertNotEquals(second, first);
  assertEquals(await server.comment(first), second, "a running one leaves one place");
  assertEquals(await daemon.claim(), []);
  await daemon.task(first, "complete", { output: "" });
  assertEquals((await daemon.claimOne()).id, second);
});

conformance(
  "a claim whose answer was lost is handed out again after 90 seconds, with another token",
  async (server) => {
    const daemon = await server.daemon();
    const id = await server.enqueue(daemon);
    const first = await daemon.claimOne();
    await server.pass(89);
    await daemon.beat();
    assertEquals(await daemon.claim(), []);
    await server.pass(2);
    const second = await daemon.claimOne();
    assertEquals([second.id, second.attempt], [id, 1]);
    assertNotEquals(second.auth_token, first.auth_token);
    for (const { auth_token } of [first, second]) {
      const { status } = await call({ ...server.where, token: auth_token }, "GET /api/workspaces");
      assertEquals(status, 200, "the earlier token goes on to be good");
    }
    await daemon.task(id, "start");
    await server.pass(100);
    await daemon.beat();
    assertEquals(await daemon.claim(), [], "a started one is never handed out again");
  },
  { own: true },
);

conformance("a lease holds a claim for as long as it is renewed", async (server) => {
  const daemon = await server.daemon();
  const id = await server.enqueue(daemon);
  await daemon.claimOne();
  for (let seconds = 0; seconds < 240; seconds += 15) {
    await server.pass(15);
    await daemon.beat();
    assertEquals((await daemon.lease(id)).status, 200);
    assertEquals(await daemon.claim(), [], `after ${seconds} s`);
  }
  await server.pass(46);
  await daemon.beat();
  assertEquals((await daemon.claimOne()).id, id, "and no longer");
}, { own: true });

conformance("a runtime that does not beat gets nothing, and no error; a beat brings its work", async (server) => {
  const daemon = await server.daemon();
  const id = await server.enqueue(daemon);
  await server.pass(151);
  assertEquals(await daemon.claim(), []);
  const single = await daemon.call(`POST /api/daemon/runtimes/${daemon.runtime}/tasks/claim`);
  assertEquals([single.status, single.body], [200, { task: null }]);
  await daemon.beat();
  assertEquals((await daemon.claimOne()).id, id);
}, { own: true });

conformance("silence: offline after 150 seconds, its tasks failed after three hours and not before", async (server) => {
  const daemon = await server.daemon();
  const id = await server.enqueue(daemon);
  await daemon.claimOne();
  await daemon.task(id, "start");
  await server.pass(3 * 3_600 - 60);
  await server.mine!.sweep();
  assertEquals(await daemon.status(id), "running");
  await server.pass(120);
  await server.mine!.sweep();
  assertEquals(await daemon.status(id), "failed");
  assertEquals((await server.view(id)).failure_reason, "runtime_offline");
}, { own: true });

conformance("a task's token is for what people use, never for what daemons use", async (server) => {
  const daemon = await server.daemon();
  const id = await server.enqueue(daemon);
  const { auth_token } = await daemon.claimOne();
  const agent = { ...server.where, token: auth_token };
  for (
    const route of ["GET /api/daemon/workspaces", `POST /api/daemon/tasks/${id}/start`, "POST /api/daemon/heartbeat"]
  ) {
    assertEquals((await call(agent, route)).status, 401, route);
  }
  assertEquals(await daemon.status(id), "dispatched");
  assertEquals((await call(agent, "GET /api/workspaces")).status, 200);
});

for (
  const [end, body] of [["complete", { output: "done" }], ["fail", { error: "no", failure_reason: "x" }], [
    "cancel",
    {},
  ]] as const
) {
  conformance(`after ${end} the task's tokens are worth nothing`, async (server) => {
    const daemon = await server.daemon();
    const id = await server.enqueue(daemon);
    const { auth_token } = await daemon.claimOne();
    await daemon.task(id, "start");
    if (end === "cancel") await server.cancel(id);
    else await daemon.task(id, end, body);
    assertEquals((await call({ ...server.where, token: auth_token }, "GET /api/workspaces")).status, 401);
  });
}

conformance(
  "resume pointers: session and directory of the last run that may be continued",
  async (server) => {
    const daemon = await server.daemon();
    const run = async (id: string) => {
      await server.moment();
      const [task] = await daemon.claim();
      assertEquals(task.id, id);
      await daemon.task(id, "start");
      return task;
    };
    const first = await server.enqueue(daemon);
    assertEquals("prior_session_id" in await run(first), false);
    assertEquals((await daemon.task(first, "session", { session_id: "s1", work_dir: "/w/1" })).status, 204);
    await daemon.task(first, "complete", { output: "", session_id: "s1", work_dir: "/w/1" });
    const second = await server.comment(first);
    const again = await run(second);
    assertEquals([again.prior_session_id, again.prior_work_dir], ["s1", "/w/1"]);
    // What a completed run does not say is forgotten, though it was pinned.
    await daemon.task(second, "session", { session_id: "s2", work_dir: "/w/2" });
    await daemon.task(second, "complete", { output: "" });
    const third = await server.comment(first);
    assertEquals((await run(third)).prior_session_id, "s1");
    // A failed one keeps it.
    await daemon.task(third, "session", { session_id: "s3", work_dir: "/w/3" });
    await daemon.task(third, "fail", { error: "no", failure_reason: "agent_error.unknown" });
    const fourth = await server.comment(first);
    assertEquals((await run(fourth)).prior_session_id, "s3");
    await daemon.task(fourth, "complete", { output: "", session_id: "s4", retired_session_id: "s3" });
    const fifth = await server.comment(first);
    assertEquals((await run(fifth)).prior_session_id, "s4");
    // One that must not be continued is passed over.
    await daemon.task(fifth, "session", { session_id: "s5" });
    await daemon.task(fifth, "fail", { error: "no", failure_reason: "agent_error.context_overflow", session_id: "s5" });
    const sixth = await server.comment(first);
    assertNotEquals((await run(sixth)).prior_session_id, "s5");
  },
);
