/** Answers and frames of a broken or an evil server: no call of ours throws, hangs or takes all memory, and the daemon keeps its tasks' outcomes. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { readFrame } from "../../lib/wire/frames.ts";
import { createClient, type WireClient } from "../../lib/wire/client.ts";
import { createWorkspaceLister } from "../../lib/wire/workspace_list.ts";
import { gcCheck, reportDailyUsage, workspaceRepos } from "../../lib/wire/upkeep.ts";
import { randomFrom, seedOfRun } from "../core/seed.ts";
import { isLong } from "../support/length.ts";
import { TeamWorld } from "../daemon/team_world.ts";
import { FakeClock } from "../support/fake_clock.ts";
import type { FakeFault } from "../support/fake_multica.ts";
import type { FakeTask } from "../support/fake_multica_tasks.ts";
import { Fuzz, written } from "./fuzz_values.ts";
import { scriptedFetch } from "./scripted_fetch.ts";

/** Answers to each call. */
const ROUNDS = isLong() ? 1500 : 60;
const TASKS = 12;
const SHARE = 0.3;
const LIMIT_MS = 2 * 60 * 60_000;

/** A state that ends a task, and a 404 that ends a runtime, are words of the server that count: they are no garbage. */
const MEANS_SOMETHING = /"(completed|failed|cancelled)"|not found|runtime_gone|pending_/;

/** A word of the server that counts, too, is a 4xx: what it refuses for good is not tried again. */
const TRANSIENT = [200, 200, 200, 201, 299, 408, 429, 500, 503];
/** After which the server may have done it. */
const UNCERTAIN = [200, 200, 201, 299, 502, 504];
const ANY_STATUS = [...TRANSIENT, 400, 401, 404, 409, 418];

function garbage(fuzz: Fuzz, statuses: readonly number[] = ANY_STATUS): Response {
  const status = fuzz.of(statuses);
  const headers = {
    "content-type": fuzz.of(["application/json", "text/html", "application/octet-stream", ""]),
    "retry-after": fuzz.of(["", "-1", "999999999999", "soon"]),
    etag: fuzz.of(["", "W/", "x".repeat(10_000)]),
  };
  let bytes = fuzz.body(GOOD);
  if (MEANS_SOMETHING.test(new TextDecoder().decode(bytes))) {
    bytes = new TextEncoder().encode("<html>Bad Gateway</html>");
  }
  switch (fuzz.below(8)) {
    case 0:
      return new Response(null, { status: 204, headers });
    case 1:
      return new Response(breaksOff(bytes), { status, headers });
    case 2:
      return new Response("", { status, headers });
    default:
      return new Response(bytes, { status, headers });
  }
}

function breaksOff(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(bytes.slice(0, bytes.length / 2));
      controller.error(new TypeError("Connection reset"));
    },
  });
}

/** Every call that a daemon makes. */
const CALLS: Readonly<Record<string, (client: WireClient) => Promise<{ kind: string }>>> = {
  workspaces: (client) => client.workspaces(),
  "workspaces of an old server": (client) => createWorkspaceLister(client.call).list(),
  profiles: (client) => client.profiles("w1"),
  register: (client) => client.register({ workspace_id: "w1" } as Parameters<WireClient["register"]>[0]),
  heartbeat: (client) => client.heartbeat("r1"),
  deregister: (client) => client.deregister(["r1"]),
  recoverOrphans: (client) => client.recoverOrphans("r1"),
  claim: (client) => client.claim({ daemonId: "d1", runtimeIds: ["r1"], maxTasks: 1 }),
  claimOne: (client) => client.claimOne("r1"),
  prepareLease: (client) => client.prepareLease("r1", "t1"),
  waitForDirectory: (client) => client.waitForDirectory("t1", "held"),
  start: (client) => client.start("t1"),
  status: (client) => client.status("t1"),
  progress: (client) => client.progress("t1", "at it"),
  messages: (client) => client.messages("t1", []),
  usage: (client) => client.usage("t1", []),
  session: (client) => client.session("t1", { session_id: "s", work_dir: "" }),
  complete: (client) => client.complete("t1", { output: "" }),
  fail: (client) => client.fail("t1", { error: "" }),
  cancelAck: (client) => client.cancelAck("t1", {}),
  repos: (client) => workspaceRepos(client, "w1"),
  gcCheck: (client) => gcCheck(client, { kind: "issue", id: "i1" }),
  dailyUsage: (client) => reportDailyUsage(client, "r1", { entries: [] }),
};

/** What a good answer to any of the calls may have in it. */
const GOOD = {
  status: "ok",
  runtimes: [{ id: "r1", name: "bot", provider: "bot", status: "online", profile_id: null }],
  server_capabilities: ["rpc-v1"],
  tasks: [{ id: "t1", agent_id: "a1", runtime_id: "r1", workspace_id: "w1", agent: { id: "a1", name: "Bot" } }],
  task: { id: "t1", agent_id: "a1", runtime_id: "r1", workspace_id: "w1", agent: { id: "a1", name: "Bot" } },
  runtime_profiles: [{ id: "p1", display_name: "P", protocol_family: "claude", command_name: "c", fixed_args: [] }],
  repos: [{ url: "https://example.test/r.git" }],
  orphaned: 1,
  retried: 1,
};

function clientOf(answer: () => Response, clock = new FakeClock()): { client: WireClient; clock: FakeClock } {
  const { fetch } = scriptedFetch(answer);
  const client = createClient({
    name: "team",
    baseUrl: "http://team.test",
    token: () => "mul_0",
    fetch,
    clock,
    version: "9.9.9",
    os: "linux",
    capabilities: [],
  });
  return { client, clock };
}

for (const [name, send] of Object.entries(CALLS)) {
  Deno.test(`Client.${name}: whatever is answered, it says how it went and throws nothing`, async () => {
    const seed = seedOfRun();
    const fuzz = new Fuzz(randomFrom(seed));
    for (let n = 0; n < ROUNDS; n++) {
      const { client, clock } = clientOf(() => garbage(fuzz));
      const { kind } = await send(client).catch((error) => {
        throw new Error(`seed ${seed}, answer ${n}: it threw`, { cause: error });
      });
      assert(kind === "ok" || kind === "failed", `seed ${seed}, answer ${n}: ${kind}`);
      assertEquals(clock.waiting, 0, `seed ${seed}, answer ${n}: a deadline was left behind`);
    }
  });
}

Deno.test("Client gives up an answer that has no end, before it has taken all memory", async () => {
  let chunks = 0;
  const endless = () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          chunks++;
          controller.enqueue(new Uint8Array(1024 * 1024).fill(32));
        },
      }),
    );
  for (const call of [CALLS.claim, CALLS.heartbeat, CALLS.complete]) {
    chunks = 0;
    const result = await call!(clientOf(endless).client);
    assertEquals(result.kind, "failed");
    assert(chunks < 70, `${chunks} MiB were taken`);
  }
});

Deno.test("readFrame() takes any text, and gives back only what it knows", () => {
  const seed = seedOfRun();
  const fuzz = new Fuzz(randomFrom(seed));
  const types = [
    "daemon:heartbeat_ack",
    "daemon:task_available",
    "daemon:runtime_profiles_changed",
    "daemon:workspaces_changed",
    "daemon:pending_work",
    "daemon:rpc_response",
    "__proto__",
    "constructor",
  ];
  for (let n = 0; n < ROUNDS * 10; n++) {
    const text = written(fuzz.spoiled({ type: fuzz.of(types), payload: fuzz.object() }));
    const frame = readFrame(text);
    assert(frame === undefined || typeof frame.kind === "string", `seed ${seed}, frame ${n}: ${text.slice(0, 300)}`);
  }
});

const isOver = ({ status }: FakeTask) => ["completed", "failed", "cancelled"].includes(status);

Deno.test("Daemon keeps running and loses no outcome while every third answer is garbage and the socket says anything", async () => {
  const seed = seedOfRun();
  const fuzz = new Fuzz(randomFrom(seed));
  await using w = await TeamWorld.started({ found: ["bot"], daemon: { slots: 4 } });
  const tasks = Array.from({ length: TASKS }, () => w.server.enqueue(w.runtime.id));
  const fault: FakeFault = (_, real) => {
    if (!fuzz.chance(SHARE)) return undefined;
    // Not done; or done, and told in a way that nobody can read.
    if (fuzz.chance(0.5)) return garbage(fuzz, TRANSIENT);
    return real().then(async (one) => {
      await one.body?.cancel();
      return garbage(fuzz, UNCERTAIN);
    });
  };
  w.server.fault = fault;
  const ended = new Set<unknown>();
  const end = w.clock.monotonic() + LIMIT_MS;
  while ([...w.server.tasks.all.values()].some((task) => !isOver(task))) {
    assert(w.clock.monotonic() < end, `seed ${seed}: it never came to an end`);
    for (const peer of w.server.hub.peers) {
      const text = written(fuzz.spoiled({ type: "daemon:heartbeat_ack", payload: { runtime_id: w.ids()[0] ?? "" } }));
      if (!MEANS_SOMETHING.test(text)) peer.send(text);
    }
    for (const agent of w.agents.started.filter(({ task }) => task !== undefined)) {
      if (ended.has(agent)) continue;
      ended.add(agent);
      agent.end();
    }
    await w.clock.advance(2_000);
  }
  w.server.fault = undefined;
  await w.idle();
  const all = [...w.server.tasks.all.values()];
  for (const task of tasks) {
    const family = all.filter(({ id, more }) => id === task.id || more.parent_task_id === task.id);
    const runs = w.agents.started.filter(({ task: one }) => one?.id === task.id).length;
    assert(runs <= 1, `seed ${seed}: ${runs} runs of ${task.id}`);
    assertEquals(
      family.filter(({ status }) => status === "completed").length,
      1,
      `seed ${seed}: ${JSON.stringify(family)}`,
    );
  }
  w.server.violations.length = 0;
});

Deno.test("Daemon refuses claims that would lead it out of its home, and works on", async () => {
  await using w = await TeamWorld.started({ found: ["bot"] });
  const mark = `drover-escape-${crypto.randomUUID()}`;
  const agent = { id: "a1", name: "../../x", skills: [{ name: `../../../../${mark}`, content: "x", files: [] }] };
  const base = {
    agent_id: "a1",
    agent,
    runtime_id: w.runtime.id,
    workspace_id: w.server.workspaces[0]!.id,
    auth_token: `mat_${"0".repeat(40)}`,
    issue_id: `../../../../${mark}`,
    thread_name: "\u0000",
    prior_work_dir: `/tmp/${mark}`,
  };
  const claims = [
    { ...base, id: `../../../../${mark}` },
    { ...base, id: "t2", workspace_id: `../../${mark}` },
    { ...base, id: "t7", workspace_id: `/../../../tmp/${mark}` },
    { ...base, id: "t3", agent: { ...agent, id: "other" } },
    { ...base, id: "t4", auth_token: "mul_stolen" },
    { ...base, id: "t5", runtime_id: "r9" },
    { ...base, id: "t6", directory: { mode: "in-place", path: `/tmp/${mark}` } },
    { ...base, id: "__proto__" },
    { ...base, id: "constructor", workspace_id: "__proto__" },
  ];
  let handed = false;
  w.server.hub.rpc = false;
  w.server.hub.cut();
  w.server.fault = ({ route }) => {
    if (handed || !route.endsWith("/tasks/claim")) return undefined;
    handed = true;
    return Response.json({ tasks: claims });
  };
  await w.later("they were handed out", () => handed);
  const good = w.server.enqueue(w.runtime.id);
  await w.later("what was begun is over", () => {
    for (const one of w.agents.started) if (one.task) one.end();
    return good.status === "completed";
  });
  await w.idle();
  const beside = await Array.fromAsync(Deno.readDir(join(w.home.root, "..")), ({ name }) => name);
  assertEquals(beside.filter((name) => name.includes(mark)), []);
  w.server.violations.length = 0;
});
