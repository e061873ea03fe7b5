/** The server's side of the WebSocket: the handshake, beats, hints, claims, and what it does not put up with. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { conformance } from "./coordinator_server.ts";
import { newName, type RawDaemon } from "./raw_daemon.ts";
import { OPCODE, type RawSocket, Refused } from "./raw_socket.ts";

const GHOST = "00000000-0000-4000-8000-00000000dead";
/** Long enough for what would come, short enough to wait for nothing. */
const QUIET_MS = 300;

function say(socket: RawSocket, type: string, payload: unknown): Promise<void> {
  return socket.send(JSON.stringify({ type, payload }));
}

function beat(socket: RawSocket, runtime_id: string): Promise<void> {
  return say(socket, "daemon:heartbeat", { runtime_id, supports_batch_import: true });
}

/** The next frame of the type; others may come before it. */
// deno-lint-ignore no-explicit-any
async function next(socket: RawSocket, type: string): Promise<any> {
  while (true) {
    const frame = await socket.json();
    assert(frame, `the connection ended before ${type} came`);
    if (frame.type === type) return frame.payload;
  }
}

// deno-lint-ignore no-explicit-any
async function claim(socket: RawSocket, daemon: RawDaemon, fields: Record<string, unknown> = {}): Promise<any> {
  const request_id = crypto.randomUUID();
  await say(socket, "daemon:rpc_request", {
    request_id,
    method: "tasks.claim",
    body: { daemon_id: daemon.daemonId, runtime_ids: daemon.runtimes, max_tasks: 1 },
    timeout_ms: 5_000,
    ...fields,
  });
  const answer = await next(socket, "daemon:rpc_response");
  assertEquals(answer.request_id, fields.request_id ?? request_id);
  return answer;
}

async function refused(opening: Promise<RawSocket>): Promise<[number, string]> {
  const { status, body } = await assertRejects(() => opening, Refused);
  return [status, JSON.parse(body).error];
}

conformance("socket: who may not hear of a runtime is refused before the upgrade", async (server) => {
  const daemon = await server.daemon();
  assertEquals((await refused(daemon.connect(daemon.runtimes, "")))[0], 401);
  assertEquals((await refused(daemon.connect(daemon.runtimes, `mul_${"0".repeat(40)}`)))[0], 401);
  assertEquals(await refused(daemon.connect([GHOST])), [404, "runtime not found"]);
  assertEquals(await refused(daemon.connect([daemon.runtime, GHOST])), [404, "runtime not found"], "all or nothing");
  using socket = await daemon.connect([]);
  await beat(socket, daemon.runtime);
  await assertRejects(() => socket.json(QUIET_MS), Error, "No frame", "nothing was asked for, so nothing is heard");
});

conformance("socket: a daemon of another workspace, another daemon and a task are not let in", async (server) => {
  const daemon = await server.daemon();
  const box = (wanted: { workspace: string; daemonId: string }) =>
    server.mine!.token({ scope: "daemon", name: newName("box"), ...wanted });
  const away = await box({ workspace: "away", daemonId: daemon.daemonId });
  const other = await box({ workspace: "home", daemonId: "other" });
  for (const { token } of [away, other]) {
    assertEquals(await refused(daemon.connect(daemon.runtimes, token)), [404, "not found"]);
    assertEquals((await refused(daemon.connect([], token)))[0], 400, "without a user it has to name runtimes");
  }
  await server.enqueue(daemon);
  const { auth_token } = await daemon.claimOne();
  assertEquals((await refused(daemon.connect(daemon.runtimes, auth_token)))[0], 401);
  const own = await box({ workspace: "home", daemonId: daemon.daemonId });
  using socket = await daemon.connect(daemon.runtimes, own.token);
  await beat(socket, daemon.runtime);
  assertEquals((await next(socket, "daemon:heartbeat_ack")).status, "ok");
}, { own: true });

conformance("socket: a beat is answered with what the server can do, and counts as a beat", async (server) => {
  const daemon = await server.daemon();
  await daemon.deregister();
  const id = await server.enqueue(daemon);
  assertEquals(await daemon.claim(), [], "offline");
  using socket = await daemon.connect();
  await beat(socket, daemon.runtime);
  const ack = await next(socket, "daemon:heartbeat_ack");
  assertEquals([ack.runtime_id, ack.status, ack.server_capabilities], [daemon.runtime, "ok", ["rpc-v1"]]);
  assertEquals((await daemon.claimOne()).id, id);
});

conformance("socket: a claim is the claim of the batch", async (server) => {
  const daemon = await server.daemon();
  using socket = await daemon.connect();
  const none = await claim(socket, daemon);
  assertEquals([none.status, none.body], [200, { tasks: [] }]);
  const id = await server.enqueue(daemon);
  const { status, body } = await claim(socket, daemon);
  const [task] = body.tasks;
  assertEquals([status, task.id, task.agent.id, task.auth_token.slice(0, 4)], [200, id, task.agent_id, "mat_"]);
  assertEquals(await daemon.claim(), []);
  const bad = { daemon_id: "", runtime_ids: [], max_tasks: 1 };
  assertEquals((await claim(socket, daemon, { body: bad })).status, 400);
  assertEquals((await claim(socket, daemon, { body: "x" })).status, 400);
  assert((await claim(socket, daemon, { method: "tasks.steal" })).status >= 400);
  assertEquals((await claim(socket, daemon)).status, 200, "and goes on");
});

conformance("socket: claims over it and over HTTP at once give each task to one", async (server) => {
  const daemon = await server.daemon();
  const ids = await Promise.all(Array.from({ length: 6 }, () => server.enqueue(daemon)));
  using first = await daemon.connect();
  using second = await daemon.connect();
  const claims = await Promise.all([
    ...[first, second, first, second].map((socket, n) =>
      say(socket, "daemon:rpc_request", {
        request_id: `r${n}`,
        method: "tasks.claim",
        body: { daemon_id: daemon.daemonId, runtime_ids: daemon.runtimes, max_tasks: 1 },
        timeout_ms: 5_000,
      })
    ),
    ...Array.from({ length: 4 }, () => daemon.claim()),
  ]);
  const tasks = claims.flatMap((one) => one ?? []);
  for (const socket of [first, second, first, second]) {
    tasks.push(...(await next(socket, "daemon:rpc_response")).body.tasks);
  }
  assertEquals(tasks.map(({ id }) => id).sort(), ids.sort());
});

conformance("socket: hints for its runtimes and no others", async (server) => {
  const daemon = await server.daemon();
  const other = await server.daemon();
  using socket = await daemon.connect();
  await beat(socket, daemon.runtime);
  await next(socket, "daemon:heartbeat_ack");
  await server.enqueue(other);
  const id = await server.enqueue(daemon);
  assertEquals(await next(socket, "daemon:task_available"), { runtime_id: daemon.runtime, task_id: id });
  await daemon.claimOne();
  await daemon.task(id, "start");
  await daemon.task(id, "complete", { output: "" });
  assertEquals(await next(socket, "daemon:task_available"), { runtime_id: daemon.runtime }, "something may go on now");
});

conformance("socket: what it does not know it leaves unanswered, and goes on", async (server) => {
  const daemon = await server.daemon();
  using socket = await daemon.connect();
  const odd = [
    "",
    "{",
    "[]",
    "null",
    '"x"',
    '{"type":7}',
    '{"type":"daemon:unheard_of","payload":{}}',
    '{"payload":{}}',
  ];
  for (const text of odd) await socket.send(text);
  await say(socket, "daemon:heartbeat", null);
  await say(socket, "daemon:heartbeat", { runtime_id: 7 });
  await say(socket, "daemon:heartbeat", { runtime_id: GHOST });
  await say(socket, "daemon:rpc_request", {});
  await beat(socket, daemon.runtime);
  assertEquals((await next(socket, "daemon:heartbeat_ack")).runtime_id, daemon.runtime);
});

conformance("socket: more than 64 KiB in one frame is the end of the connection, and only of that", async (server) => {
  const daemon = await server.daemon();
  using large = await daemon.connect();
  using other = await daemon.connect();
  await say(large, "daemon:heartbeat", { runtime_id: daemon.runtime, filler: "x".repeat(65_536) });
  assertEquals(await large.json(), undefined);
  await say(other, "daemon:heartbeat", { runtime_id: daemon.runtime, filler: "x".repeat(60_000) });
  assertEquals((await next(other, "daemon:heartbeat_ack")).status, "ok");
});

conformance("socket: no more than eight claims at once", async (server) => {
  const daemon = await server.daemon();
  using socket = await daemon.connect();
  const body = { daemon_id: daemon.daemonId, runtime_ids: daemon.runtimes, max_tasks: 1 };
  const frames = Array.from({ length: 40 }, (_, n) =>
    socket.send(JSON.stringify({
      type: "daemon:rpc_request",
      payload: { request_id: `r${n}`, method: "tasks.claim", body, timeout_ms: 5_000 },
    })));
  await Promise.all(frames);
  const answers = [];
  for (const _ of frames) answers.push(await next(socket, "daemon:rpc_response"));
  assertEquals(new Set(answers.map(({ request_id }) => request_id)).size, frames.length, "each is answered once");
  for (const { status } of answers) assert(status === 200 || status === 429, `${status}`);
});

conformance("socket: a ping is answered", async (server) => {
  const daemon = await server.daemon();
  using socket = await daemon.connect();
  await socket.send("are you there", OPCODE.ping);
  const frame = await socket.frame();
  assertEquals([frame?.opcode, new TextDecoder().decode(frame?.payload)], [OPCODE.pong, "are you there"]);
});

conformance("socket: a runtime that was deleted is said to be gone", async (server) => {
  const daemon = await server.daemon();
  using socket = await daemon.connect();
  const gone = await server.user(`DELETE /api/runtimes/${daemon.runtime}`);
  assertEquals(Math.floor(gone.status / 100), 2, JSON.stringify(gone.body));
  await beat(socket, daemon.runtime);
  const ack = await next(socket, "daemon:heartbeat_ack");
  assertEquals([ack.runtime_id, ack.status, ack.runtime_gone], [daemon.runtime, "runtime_gone", true]);
  assertEquals((await daemon.beat()).body.error, "runtime not found");
  const before = daemon.runtime;
  await daemon.register();
  assert(daemon.runtime !== before, "registered anew it is another one");
});
