/** The daemon's conformance checklist (wire protocol 7.1): what of it is tried where, and a task from its claim to its end. */
import { assert, assertEquals } from "@std/assert";
import { conform } from "./conformance_world.ts";
import { rawCall } from "./server_side.ts";

/** Each item of the list, with the tests that make it so; those of a title are tried against several servers. */
const CHECKLIST: Readonly<Record<string, readonly (readonly [file: string, title: string])[]>> = {
  "register, beat, claim null": [["", "Daemon registers, beats, and asks for work before there is any"]],
  "enqueue, claim returns it once, second claim null, dispatched, start 200, start again 400": [
    ["", "Server hands a task out once, and starts and completes it once"],
    ["", "Daemon is given a task once, and takes it through all of its calls in order"],
  ],
  "two message batches ordered by seq, usage twice = last values": [
    ["", "Server hands a task out once, and starts and completes it once"],
    ["", "Daemon is given a task once, and takes it through all of its calls in order"],
  ],
  "session pin 204, complete with session, next run has prior_session_id and prior_work_dir": [
    ["", "Server offers the next task of an issue the session and the directory of the one before"],
    ["_queue", "Daemon goes on with an issue in its session and its directory"],
  ],
  "complete again 200 unchanged": [["", "Server hands a task out once, and starts and completes it once"]],
  "agent cap 2: the third of three issues only after a finish": [
    ["_queue", "Daemon is given no third task of an agent that may have two, before one is over"],
  ],
  "same issue twice is strictly serial": [["_queue", "Daemon works on one issue with one agent at a time"]],
  "cancel while running: killed within 5 s, cancel-ack, no complete": [
    ["_queue", "Daemon kills the agent of a cancelled task within 5 s, confirms that, and reports no result"],
  ],
  "fail timeout: attempt 2 at once with resume": [
    ["_queue", "Daemon takes up a task that is tried again, where the first attempt was"],
  ],
  "fail agent_error.unknown: no retry": [["_queue", "Daemon hears no more of a task that failed for good"]],
  "kill -9 and restart: recover-orphans, attempt 2": [
    ["_registration", "Daemon that was killed recovers what it left in flight, once for each runtime"],
  ],
  "runtime deleted: registered with a new id": [
    [
      "_registration",
      "Daemon whose runtime was deleted registers anew, and recovers the orphans of every id of the answer",
    ],
  ],
  "profile add, disable, delete, with and without other runtimes, no recover-orphans": [
    [
      "_registration",
      "Daemon follows its runtime profiles without recovering orphans or stopping a task, down to none",
    ],
    ["_registration", "Daemon without agents of its own serves a profile, and registers nothing when that is gone"],
    ["_registration", "Daemon keeps the profiles it had when they cannot be fetched"],
  ],
  "WS down: HTTP beats within 2 intervals, claims go on": [
    ["_outage", "Daemon beats over the WebSocket instead of HTTP, and over HTTP within two intervals when it is gone"],
    ["_outage", "Daemon takes a WebSocket that says nothing any more for dead"],
  ],
  "WS claim uncertain: no double start": [
    ["_outage", "Daemon starts no task twice when nobody knows what became of a claim, and asks by HTTP after a while"],
    ["_outage", "Daemon asks by HTTP at once when the server refuses a claim over the WebSocket"],
  ],
  "shutdown: runtimes offline": [["_registration", "Daemon takes its runtimes off the server when it ends"]],
  "401: keeps running, warns": [
    ["_outage", "Daemon goes on when its credential is refused, says so, and recovers as soon as it has another"],
  ],
  "server restart: recovers by itself": [["_outage", "Daemon survives the restart of its server"]],
  "7.3, the April dialect": [
    ["_outage", "Daemon works with a server of April 2026: old list, one claim per runtime, tasks without a token"],
  ],
};

Deno.test("The conformance checklist names tests that there are", async () => {
  for (const [item, tests] of Object.entries(CHECKLIST)) {
    assert(tests.length > 0, item);
    for (const [file, title] of tests) {
      const path = new URL(`daemon_conformance${file}_test.ts`, import.meta.url);
      const text = (await Deno.readTextFile(path)).replace(/\(\s+"/g, '("');
      const quoted = JSON.stringify(title);
      assert([`conform(${quoted}`, `Deno.test(${quoted}`].some((start) => text.includes(start)), `${item}: ${title}`);
    }
  }
});

const USAGE = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, costUsdTicks: 0 };

conform("Daemon registers, beats, and asks for work before there is any", async (w) => {
  assertEquals((await w.runtime()).online, true);
  await w.later("it beats", () => w.line.count("heartbeat") > 0);
  await w.later("it has asked", () => w.line.count("/tasks/claim") + w.line.count("rpc_request") > 0);
  assertEquals([w.line.count("/recover-orphans"), w.agents.started.length], [1, 0]);
});

conform("Daemon is given a task once, and takes it through all of its calls in order", async (w) => {
  const task = await w.enqueue();
  const agent = await w.agent();
  assertEquals([(await w.side.task(task)).status, w.line.count(`/${task}/start`)], ["running", 1]);
  const tokens = (inputTokens: number) => ({ ...USAGE, model: "m", inputTokens, outputTokens: 2 });
  agent.say({ kind: "session", sessionId: "s-1" }, { kind: "text", text: "one" }, {
    kind: "usage",
    usage: [tokens(5)],
  });
  await w.later("its session is known", async () => (await w.side.task(task)).sessionId === "s-1");
  await w.later("its words are there", async () => (await w.side.messages(task)).length === 1);
  agent.say({ kind: "text", text: "two" }, { kind: "usage", usage: [tokens(7)] });
  await w.pass(1_000);
  agent.end();
  const { output, sessionId, workDir } = await w.is(task, "completed");
  await w.idle();
  assertEquals(await w.side.messages(task), [{ seq: 1, content: "one" }, { seq: 2, content: "two" }]);
  assertEquals(await w.side.usage(task), [{ model: "m", input: 7, output: 2 }]);
  assertEquals([output, sessionId, workDir], ["done", "s-1", agent.request.cwd]);
  assertEquals([w.agents.started.length, w.line.count(`/${task}/complete`), w.line.count("/fail")], [1, 1, 0]);
});

conform("Server hands a task out once, and starts and completes it once", async (w) => {
  await w.daemon.pauses.all.pause({ until: null, reason: "" });
  const runtime = (await w.runtime()).id;
  const call = (path: string, body?: unknown) => rawCall(w.side, `/api/daemon/tasks/${path}`, body);
  const claim = () => call("claim", { daemon_id: w.daemonId, runtime_ids: [runtime], max_tasks: 3 });
  assertEquals((await claim()).body.tasks, []);
  const task = await w.enqueue();
  const claimed = (await claim()).body.tasks;
  assertEquals([claimed.length, claimed[0].id, claimed[0].runtime_id], [1, task, runtime]);
  assertEquals([(await w.side.task(task)).status, (await claim()).body.tasks], ["dispatched", []]);
  assertEquals([(await call(`${task}/start`)).status, (await call(`${task}/start`)).status], [200, 400]);
  const say = (...seqs: number[]) =>
    call(`${task}/messages`, { messages: seqs.map((seq) => ({ seq, type: "text", content: `text ${seq}` })) });
  assertEquals([(await say(1, 2)).status, (await say(3)).status], [200, 200]);
  assertEquals((await w.side.messages(task)).map(({ seq }) => seq), [1, 2, 3]);
  const use = (input_tokens: number) =>
    call(`${task}/usage`, { usage: [{ provider: "claude", model: "m", input_tokens, output_tokens: 1 }] });
  await use(5);
  await use(9);
  assertEquals(await w.side.usage(task), [{ model: "m", input: 9, output: 1 }]);
  assertEquals((await call(`${task}/session`, { session_id: "s-1", work_dir: "/w" })).status, 204);
  const done = await call(`${task}/complete`, { output: "first", session_id: "s-1", work_dir: "/w" });
  assertEquals([done.status, done.body.status], [200, "completed"]);
  const again = await call(`${task}/complete`, { output: "second" });
  assertEquals([again.status, again.body.status], [200, "completed"]);
  const { output, sessionId } = await w.side.task(task);
  assertEquals([output, sessionId], ["first", "s-1"]);
});

conform("Server offers the next task of an issue the session and the directory of the one before", async (w) => {
  await w.daemon.pauses.all.pause({ until: null, reason: "" });
  const runtime = (await w.runtime()).id;
  const call = (path: string, body?: unknown) => rawCall(w.side, `/api/daemon/tasks/${path}`, body);
  const claim = async () =>
    (await call("claim", { daemon_id: w.daemonId, runtime_ids: [runtime], max_tasks: 1 })).body.tasks[0];
  const first = await w.enqueue();
  const { prior_session_id: none = "" } = await claim();
  await call(`${first}/start`);
  await call(`${first}/complete`, { output: "", session_id: "s-1", work_dir: "/w" });
  const second = await w.enqueue({ after: first });
  const { id, prior_session_id, prior_work_dir } = await claim();
  assertEquals([none, id, prior_session_id, prior_work_dir], ["", second, "s-1", "/w"]);
  await w.enqueue();
  assertEquals((await claim()).prior_session_id ?? "", "", "another issue has none of it");
});
