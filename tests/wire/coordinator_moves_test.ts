/** The server's side of a task's moves: every event in every state, what may be said twice, retries, orphans and the end. */
import { assert, assertEquals } from "@std/assert";
import { conformance, refusal, type TestServer } from "./coordinator_server.ts";
import type { RawAnswer, RawDaemon } from "./raw_daemon.ts";

const STATES = [
  "queued",
  "deferred",
  "dispatched",
  "waiting_local_directory",
  "running",
  "completed",
  "failed",
  "cancelled",
] as const;
type State = typeof STATES[number];

interface Placed {
  readonly server: TestServer;
  readonly daemon: RawDaemon;
  readonly id: string;
}

/** How a task comes into each state, by what a daemon and a person say and nothing else. */
const PLACE: Readonly<Record<State, (place: Placed) => Promise<string | void>>> = {
  queued: async () => {},
  // Tried again a second after its runtime was lost, with the next claim.
  deferred: async ({ server, daemon, id }) => {
    await daemon.claimOne();
    await daemon.task(id, "fail", { error: "gone", failure_reason: "runtime_offline" });
    return (await server.retryOf(id)).id;
  },
  dispatched: async ({ daemon }) => void await daemon.claimOne(),
  waiting_local_directory: async ({ daemon, id }) => {
    await daemon.claimOne();
    await daemon.task(id, "wait-local-directory", { reason: "held" });
  },
  running: async ({ daemon, id }) => {
    await daemon.claimOne();
    await daemon.task(id, "start");
  },
  completed: async ({ daemon, id }) => {
    await daemon.claimOne();
    await daemon.task(id, "start");
    await daemon.task(id, "complete", { output: "first" });
  },
  failed: async ({ daemon, id }) => {
    await daemon.claimOne();
    await daemon.task(id, "fail", { error: "first", failure_reason: "agent_error.unknown" });
  },
  cancelled: async ({ server, id }) => void await server.cancel(id),
};

type Outcome = readonly [status: number, after: string];

interface Event {
  readonly send: (place: Placed) => Promise<RawAnswer>;
  /** From which states, and to what. */
  readonly moves: Partial<Record<State, State>>;
  readonly ok: number;
  /** What is answered where it does not apply; the state stays. */
  readonly late: number;
  /** The answer has the task, and so its state. */
  readonly row?: boolean;
}

const task = (verb: string, body: unknown = {}) => ({ daemon, id }: Placed) => daemon.task(id, verb, body);
const always = { moves: {}, ok: 200, late: 200 } as const;

const EVENTS: Readonly<Record<string, Event>> = {
  start: {
    send: task("start"),
    moves: { dispatched: "running", waiting_local_directory: "running" },
    ok: 200,
    late: 400,
    row: true,
  },
  complete: {
    send: task("complete", { output: "second" }),
    moves: { running: "completed" },
    ok: 200,
    late: 200,
    row: true,
  },
  fail: {
    send: task("fail", { error: "second", failure_reason: "agent_error.unknown" }),
    moves: { dispatched: "failed", running: "failed", waiting_local_directory: "failed" },
    ok: 200,
    late: 200,
    row: true,
  },
  "wait-local-directory": {
    send: task("wait-local-directory", { reason: "held" }),
    moves: { dispatched: "waiting_local_directory" },
    ok: 200,
    late: 400,
    row: true,
  },
  "prepare-lease": {
    send: ({ daemon, id }) => daemon.lease(id),
    moves: { dispatched: "dispatched", waiting_local_directory: "waiting_local_directory" },
    ok: 200,
    late: 400,
    row: true,
  },
  "recover-orphans": {
    send: ({ daemon }) => daemon.recover(),
    moves: { dispatched: "failed", running: "failed", waiting_local_directory: "failed" },
    ok: 200,
    late: 200,
  },
  session: { send: task("session", { session_id: "s", work_dir: "/w" }), moves: {}, ok: 204, late: 204 },
  "cancel-ack": { send: task("cancel-ack"), ...always },
  messages: { send: task("messages", { messages: [{ seq: 1, type: "text", content: "x" }] }), ...always },
  usage: { send: task("usage", { usage: [{ model: "m", input_tokens: 1 }] }), ...always },
  progress: { send: task("progress", { summary: "x", step: 1, total: 2 }), ...always },
  status: { send: ({ daemon, id }) => daemon.call(`GET /api/daemon/tasks/${id}/status`), ...always, row: true },
  cancel: {
    send: ({ server, id }) => server.cancel(id),
    moves: {
      queued: "cancelled",
      deferred: "cancelled",
      dispatched: "cancelled",
      running: "cancelled",
      waiting_local_directory: "cancelled",
    },
    ok: 200,
    late: 200,
    row: true,
  },
};

for (const [event, { send, moves, ok, late, row }] of Object.entries(EVENTS)) {
  conformance(`${event} in every state of a task`, async (server) => {
    for (const state of STATES) {
      const daemon = await server.daemon();
      const first = await server.enqueue(daemon);
      const id = await PLACE[state]({ server, daemon, id: first }) || first;
      assertEquals(await daemon.status(id), state, "it is in place");
      const answer = await send({ server, daemon, id });
      const wanted: Outcome = state in moves ? [ok, moves[state]!] : [late, state];
      const got: Outcome = [answer.status, await daemon.status(id)];
      assertEquals(got, wanted, `${event} of a task that is ${state}`);
      if (row && answer.status === 200) assertEquals(answer.body.status, wanted[1], "and the answer says so");
    }
  });
}

conformance("what ends a task is told once: the later word changes nothing of it", async (server) => {
  const daemon = await server.daemon();
  const id = await server.enqueue(daemon);
  await daemon.claimOne();
  await daemon.task(id, "start");
  await daemon.task(id, "complete", { output: "first", branch_name: "b", pr_url: "p" });
  const before = await server.view(id);
  for (const [verb, body] of [["complete", { output: "second" }], ["fail", { error: "no" }], ["start", {}]] as const) {
    await daemon.task(id, verb, body);
  }
  await server.cancel(id);
  await daemon.recover();
  assertEquals(await server.view(id), before);
});

conformance("of many ends at once one counts, and all answers agree on it", async (server) => {
  const daemon = await server.daemon();
  for (let round = 0; round < 5; round++) {
    const id = await server.enqueue(daemon);
    await daemon.claimOne();
    await daemon.task(id, "start");
    const answers = await Promise.all([
      daemon.task(id, "complete", { output: "x" }),
      daemon.task(id, "fail", { error: "x", failure_reason: "agent_error.unknown" }),
      server.cancel(id),
      daemon.task(id, "complete", { output: "y" }),
    ]);
    const status = await daemon.status(id);
    for (const { status: code, body } of answers) assertEquals([code, body.status], [200, status]);
  }
});

conformance("of many starts at once one is taken", async (server) => {
  const daemon = await server.daemon();
  const id = await server.enqueue(daemon);
  await daemon.claimOne();
  const starts = await Promise.all(Array.from({ length: 8 }, () => daemon.task(id, "start")));
  assertEquals(starts.map(({ status }) => status).sort(), [200, ...Array(7).fill(400)]);
});

/** Reason of a failure to how many attempts there are in all, and in which state the next one is made. */
const RETRIES: readonly [reason: string, attempts: number, state?: State][] = [
  ["runtime_offline", 2, "deferred"],
  ["runtime_recovery", 2, "queued"],
  ["timeout", 2, "queued"],
  ["codex_semantic_inactivity", 2, "queued"],
  ["skill_bundle_unavailable", 2, "queued"],
  ["agent_error.provider_network", 3, "queued"],
  ["agent_error.unknown", 1],
  ["agent_error.provider_auth_or_access", 1],
  ["iteration_limit", 1],
  ["something of its own", 1],
];

conformance("a failure is tried again or not, by its reason, as often as the protocol says", async (server) => {
  for (const [reason, attempts, state] of RETRIES) {
    const daemon = await server.daemon();
    let id: string | null = await server.enqueue(daemon);
    for (let attempt = 1; id !== null; attempt++) {
      if (await daemon.status(id) === "deferred") break;
      const task = await daemon.claimOne();
      assertEquals([task.id, task.attempt], [id, attempt], reason);
      await daemon.task(id, "session", { session_id: "s1", work_dir: "/w" });
      await daemon.task(id, "start");
      await daemon.task(id, "fail", { error: "no", failure_reason: reason });
      const next: string | null = (await server.retryOf(id))?.id ?? null;
      if (attempt === attempts) assertEquals(next, null, `${reason} has no attempt ${attempt + 1}`);
      if (next !== null && attempt === 1) assertEquals(await daemon.status(next), state, reason);
      assert(next !== null || attempt === attempts, `${reason} has an attempt ${attempt + 1}`);
      id = next;
      if (reason === "agent_error.provider_network" && attempt === 2) break;
    }
  }
});

conformance("the next attempt goes on in the same session, unless that is what failed", async (server) => {
  for (const [reason, session] of [["timeout", "s1"], ["codex_semantic_inactivity", undefined]] as const) {
    const daemon = await server.daemon();
    const id = await server.enqueue(daemon);
    await daemon.claimOne();
    await daemon.task(id, "start");
    await daemon.task(id, "fail", { error: "no", failure_reason: reason, session_id: "s1", work_dir: "/w" });
    const again = await daemon.claimOne();
    assertEquals([again.attempt, again.parent_task_id, again.prior_session_id], [2, id, session], reason);
  }
});

conformance("a lost runtime's task waits for a beat and then a second, not longer", async (server) => {
  const daemon = await server.daemon();
  const id = await server.enqueue(daemon);
  await daemon.claimOne();
  await daemon.task(id, "fail", { error: "gone", failure_reason: "runtime_offline" });
  assertEquals(await daemon.claim(), []);
  await server.pass(2);
  assertEquals((await daemon.claimOne()).attempt, 2);
}, { own: true });

conformance("orphans: everything in flight on the runtime fails and is tried again, nothing else", async (server) => {
  const daemon = await server.daemon();
  const other = await server.daemon();
  const running = await server.enqueue(daemon);
  await daemon.claimOne();
  await daemon.task(running, "start");
  const claimed = await server.enqueue(daemon);
  await daemon.claimOne();
  const queued = await server.enqueue(daemon);
  const elsewhere = await server.enqueue(other);
  await other.claimOne();
  const answer = await daemon.recover();
  assertEquals([answer.status, answer.body], [200, { orphaned: 2, retried: 2 }]);
  assertEquals((await daemon.recover()).body, { orphaned: 0, retried: 0 });
  assertEquals([await daemon.status(queued), await other.status(elsewhere)], ["queued", "dispatched"]);
  for (const id of [running, claimed]) {
    const { failure_reason, error } = await server.view(id);
    assertEquals([failure_reason, error], ["runtime_recovery", "daemon restarted while task was in flight"]);
    assertEquals((await server.retryOf(id)).status, "queued");
  }
  await daemon.register();
  assertEquals(await other.status(elsewhere), "dispatched", "registering again ends nothing");
});

conformance("cancelled while it runs: the daemon sees it when it asks, and its last words are kept", async (server) => {
  const daemon = await server.daemon();
  const id = await server.enqueue(daemon);
  await daemon.claimOne();
  await daemon.task(id, "start");
  await server.cancel(id);
  assertEquals(await daemon.status(id), "cancelled");
  await daemon.task(id, "messages", { messages: [{ seq: 1, type: "text", content: "last words" }] });
  await daemon.task(id, "usage", { usage: [{ model: "m", input_tokens: 5 }] });
  await daemon.task(id, "session", { session_id: "s1" });
  const ack = await daemon.task(id, "cancel-ack", {
    branch_name: "b",
    error_message: "stopped",
    failure_reason: "cancelled",
  });
  assertEquals([ack.status, ack.body], [200, { status: "ok" }]);
  assertEquals((await daemon.task(id, "cancel-ack", { branch_name: "later" })).status, 200);
  assertEquals((await daemon.task(id, "cancel-ack", "not JSON")).status, 200);
  const { status, branch_name, error, session_id, usage } = await server.view(id);
  assertEquals([status, branch_name, error, session_id], ["cancelled", "b", "stopped", "s1"]);
  assertEquals(usage[0].input_tokens, 5);
  await daemon.task(id, "session", { session_id: "s2" });
  assertEquals((await server.view(id)).session_id, "s1", "a session only into an empty place");
  assertEquals(await server.retryOf(id), undefined);
});

conformance("complete: says all of a run; what it leaves out is cleared", async (server) => {
  const daemon = await server.daemon();
  const id = await server.enqueue(daemon);
  await daemon.claimOne();
  await daemon.task(id, "start");
  await daemon.task(id, "session", { session_id: "s1", work_dir: "/w" });
  const { status, body } = await daemon.task(id, "complete", { output: "a\u0000b", pr_url: "p", session_id: "" });
  assertEquals([status, body.status, body.result], [200, "completed", { output: "ab", pr_url: "p" }]);
  const { session_id, work_dir } = await server.view(id);
  assertEquals([session_id, work_dir], [null, null]);
});

conformance("fail: keeps what it leaves out, and names its own reason where the daemon gives none", async (server) => {
  const daemon = await server.daemon();
  const id = await server.enqueue(daemon);
  await daemon.claimOne();
  await daemon.task(id, "session", { session_id: "s1", work_dir: "/w" });
  await daemon.task(id, "fail", { error: "it broke" });
  const { session_id, work_dir, failure_reason, error } = await server.view(id);
  assertEquals([session_id, work_dir, failure_reason, error], ["s1", "/w", "agent_error.unknown", "it broke"]);
});

conformance("messages come back by their numbers, usage as it was said last", async (server) => {
  const daemon = await server.daemon();
  const id = await server.enqueue(daemon);
  await daemon.claimOne();
  const say = (messages: unknown[]) => daemon.task(id, "messages", { messages });
  await say([{ seq: 3, type: "text", content: "c" }]);
  await say([
    { seq: 1, type: "thinking", content: "a" },
    { seq: 2, type: "tool_use", tool: "Bash", input: { command: "ls" } },
  ]);
  assertEquals((await say([])).status, 200);
  const numbers = async (query: string) => {
    const { body } = await daemon.call(`GET /api/daemon/tasks/${id}/messages${query}`);
    return body.map(({ seq }: { seq: number }) => seq);
  };
  assertEquals([await numbers(""), await numbers("?since=2")], [[1, 2, 3], [3]]);
  for (const input_tokens of [10, 4]) await daemon.task(id, "usage", { usage: [{ model: "m", input_tokens }] });
  const [usage] = (await server.view(id)).usage;
  assertEquals([usage.provider, usage.input_tokens], [daemon.providers[0], 4]);
});

conformance("a directory that is private is not shown as what a task waits for", async (server) => {
  const daemon = await server.daemon();
  const id = await server.enqueue(daemon);
  await daemon.claimOne();
  const { body } = await daemon.task(id, "wait-local-directory", { reason: "local_directory /home/me/secret" });
  assertEquals(JSON.stringify(body).includes("secret"), false);
  assertEquals(refusal(await daemon.task(id, "wait-local-directory", { reason: "x" }))[0], 400);
});

conformance("a session pin with nothing in it is refused, and one that comes too late is not", async (server) => {
  const daemon = await server.daemon();
  const id = await server.enqueue(daemon);
  assertEquals((await daemon.task(id, "session", {})).status, 400);
  const early = await daemon.task(id, "session", { session_id: "s0" });
  assertEquals([early.status, early.body, (await server.view(id)).session_id], [204, "", null]);
});
