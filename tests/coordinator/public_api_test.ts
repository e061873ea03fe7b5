/** What a listener serves: nothing without a token but a sign of life, and with one only the workspace that it opens. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { deadline } from "@std/async";
import type { Database } from "../../lib/coordinator/database.ts";
import { openTokenBook, type TokenBook } from "../../lib/coordinator/token_book.ts";
import { createRandom } from "../../lib/host/random.ts";
import { FakeClock } from "../support/fake_clock.ts";
import * as act from "./actions.ts";
import { newPlace, type Place } from "./stores.ts";
import { type Action, type Answer, SILENT, World } from "./world.ts";

const DAY = 86_400_000;

interface Team extends AsyncDisposable {
  readonly world: World;
  readonly place: Place;
  readonly tokens: TokenBook;
  /** A call of somebody else, with a token or with any `authorization`. */
  call(path: string, options?: Call): Promise<Answer>;
}

interface Call {
  readonly token?: string;
  readonly headers?: Record<string, string>;
  readonly method?: string;
  readonly body?: unknown;
}

function bookOf(database: Database, clock: FakeClock): Promise<TokenBook> {
  return openTokenBook({ database, clock, random: createRandom(), log: SILENT, workspace: "team" });
}

async function team(): Promise<Team> {
  const place = await newPlace();
  const clock = new FakeClock();
  // A connection of its own, as that of a command beside the server.
  const tokens = await bookOf(place.database, clock);
  const world = await World.create({ database: place.database, clock });
  return {
    world,
    place,
    tokens,
    async call(path, { token, headers = {}, method = "GET", body } = {}) {
      const request = new Request(`http://server${path}`, {
        method,
        headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const response = await world.coordinator.publicApi(request);
      return { status: response.status, body: await response.json() };
    },
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]();
      await tokens[Symbol.asyncDispose]();
      await place[Symbol.asyncDispose]();
    },
  };
}

const QUEUE = { prompt: "Do it", agent: "claude", directory: { mode: "scratch" }, permission: "full" };

async function registerIn(t: Team, token: string, daemon = "d1"): Promise<void> {
  const [{ id }] = (await t.call("/api/daemon/workspaces", { token })).body;
  const body = {
    workspace_id: id,
    daemon_id: daemon,
    device_name: "box",
    runtimes: [{ type: "claude", version: "1" }],
  };
  assertEquals((await t.call("/api/daemon/register", { token, method: "POST", body })).status, 200);
}

Deno.test("anybody may ask whether the server is alive, and hears nothing else", async () => {
  await using t = await team();
  assertEquals(await t.call("/health"), { status: 200, body: { status: "ok" } });
  const elsewhere = ["/", "/healthz", "/v1", "/v2/tasks", "/api/daemon/workspaces"];
  const answers = await Promise.all(elsewhere.map((path) => t.call(path)));
  assertEquals(answers.map(({ status }) => status), [404, 404, 404, 404, 401]);
  assertEquals((await t.call("/health", { method: "POST" })).status, 404);
});

async function runtimeOf(t: Team, token: string): Promise<string> {
  return (await t.call("/v1/agents", { token })).body.agents[0].runtime_id;
}

Deno.test("a token opens its person's workspaces, one of them is named where there are several, and no other is there", async () => {
  await using t = await team();
  const ann = await t.tokens.create({ scope: "user", name: "ann" });
  assertEquals([ann.workspace, ann.made], ["team", ["user"]]);
  const { token } = ann;
  await registerIn(t, token);
  const task = (await t.call("/v1/tasks", { token, method: "POST", body: QUEUE })).body;
  const bob = await t.tokens.create({ scope: "user", name: "bob", workspace: "büro" });
  assertEquals(bob.made, ["workspace", "user"]);
  for (const rest of ["", "/messages", "/follow"]) {
    assertEquals((await t.call(`/v1/tasks/${task.id}${rest}`, { token: bob.token })).body.error.code, "task_unknown");
  }
  assertEquals((await t.call("/v1/tasks", { token: bob.token })).body.tasks, []);
  const none = await t.call("/v1/tasks", { token: bob.token, headers: { "x-workspace-id": ann.workspaceId } });
  assertEquals([none.status, none.body.error.code], [400, "invalid_request"]);
  assertStringIncludes(none.body.error.message, "büro");
  assert(!none.body.error.message.includes("team"), "of the others not even the name");

  // One more makes a person of several workspaces, with every token of hers.
  await t.tokens.create({ scope: "user", name: "ann", workspace: "büro" });
  const which = await t.call("/v1/tasks", { token });
  assertEquals([which.status, which.body.error.code], [400, "invalid_request"]);
  for (const name of ["team", "büro", ann.workspaceId, bob.workspaceId]) {
    assertStringIncludes(which.body.error.message, name);
  }
  const count = async (workspace: string) =>
    (await t.call("/v1/tasks", { token, headers: { "x-workspace-id": workspace } })).body.tasks.length;
  const names = ["team", ` ${ann.workspaceId.toUpperCase()} `, encodeURIComponent("büro"), bob.workspaceId];
  assertEquals(await Promise.all(names.map(count)), [1, 1, 0, 0]);
  assertEquals((await t.tokens.list()).map(({ name, workspaces }) => `${name}: ${workspaces}`).sort(), [
    "ann: büro,team",
    "ann: büro,team",
    "bob: büro",
  ]);
  const { name } = (await t.call("/api/me", { token: bob.token })).body;
  assertEquals(name, "bob");
});

Deno.test("a task from elsewhere is for every daemon, whatever process its client says that it is", async () => {
  await using t = await team();
  const { token } = await t.tokens.create({ scope: "user", name: "ann" });
  await registerIn(t, token);
  const body = { ...QUEUE, submitted_by: "run" };
  const headers = { "x-drover-instance": "somebody" };
  const { id } = (await t.call("/v1/tasks", { token, method: "POST", body, headers })).body;
  const claimed = await t.call("/api/daemon/tasks/claim", {
    token,
    method: "POST",
    body: { daemon_id: "d1", runtime_ids: [await runtimeOf(t, token)], max_tasks: 1 },
  });
  assertEquals(claimed.body.tasks.map((one: { id: string }) => one.id), [id]);
  assertEquals((await t.call("/v1/queue", { token, headers })).body, { mine: 0, others: 0 });
});

Deno.test("tokens are made, revoked and refused at once while a coordinator works, and only their hash is kept", async () => {
  await using t = await team();
  assertEquals(await t.world.coordinator.hasToken(), false);
  const { token, id } = await t.tokens.create({ scope: "user", name: "ann" });
  assertEquals(await t.world.coordinator.hasToken(), true);
  const ask = async () => (await t.call("/v1/tasks", { token })).status;
  assertEquals(await ask(), 200);
  assertEquals((await t.tokens.list()).map(({ name, used_at }) => [name, used_at !== null]), [["ann", true]]);
  await t.tokens.revoke(id.slice(0, 6));
  assertEquals([await ask(), await t.world.coordinator.hasToken()], [401, false]);
  const kept = await t.place.sql("SELECT * FROM tokens");
  assertEquals(kept.length, 1);
  assert(!JSON.stringify(kept).includes(token.slice(4)));
});

Deno.test("who follows a task hears nothing more of it soon after the token is revoked; who keeps theirs does", async () => {
  await using t = await team();
  const [ann, eve] = [
    await t.tokens.create({ scope: "user", name: "ann" }),
    await t.tokens.create({ scope: "user", name: "eve" }),
  ];
  await registerIn(t, ann.token);
  const { id } = (await t.call("/v1/tasks", { token: ann.token, method: "POST", body: QUEUE })).body;
  const follow = async (token: string) => {
    const headers = { authorization: `Bearer ${token}` };
    const request = new Request(`http://server/v1/tasks/${id}/follow`, { headers });
    const response = await t.world.coordinator.publicApi(request);
    assertEquals(response.status, 200);
    return response.body!.pipeThrough(new TextDecoderStream()).getReader();
  };
  const [hers, theirs] = [await follow(ann.token), await follow(eve.token)];
  for (const reader of [hers, theirs]) assertStringIncludes((await reader.read()).value ?? "", "event: task");
  await t.tokens.revoke("eve");
  // One more workspace for ann takes nothing away from her.
  await t.tokens.create({ scope: "user", name: "ann", workspace: "other" });
  await t.world.clock.advance(5_001);
  let left = "";
  for (let next = await deadline(theirs.read(), 5_000); !next.done; next = await deadline(theirs.read(), 5_000)) {
    left += next.value;
  }
  assertEquals(left.replaceAll(":\n\n", ""), "");
  await t.world.clock.advance(30_000);
  const workspaceId = ann.workspaceId;
  const headers = { "x-workspace-id": workspaceId };
  await t.call(`/v1/tasks/${id}/cancel`, { token: ann.token, method: "POST", headers });
  let heard = "";
  for (let next = await deadline(hers.read(), 5_000); !next.done; next = await deadline(hers.read(), 5_000)) {
    heard += next.value;
  }
  assertStringIncludes(heard, "event: end");
});

Deno.test("what a database says of itself is told to nobody elsewhere, with a token or without", async () => {
  await using t = await team();
  const { token } = await t.tokens.create({ scope: "user", name: "ann" });
  await registerIn(t, token);
  const failed = async (path: string, token: string) => {
    const { status, body } = await t.call(path, { token });
    assertEquals([status, /threads|tokens|daily_usage/.test(JSON.stringify(body))], [500, false], JSON.stringify(body));
    return body.error.code ?? body.error;
  };
  const away = async (table: string) => {
    await t.place.sql(`ALTER TABLE ${table} RENAME TO ${table}_gone`);
    return {
      [Symbol.asyncDispose]: async () => void await t.place.sql(`ALTER TABLE ${table}_gone RENAME TO ${table}`),
    };
  };
  await using _usage = await away("daily_usage");
  await using _threads = await away("threads");
  assertEquals([await failed("/v1/usage", token), await failed("/api/issues", token)], [
    "store_failed",
    "database error",
  ]);
  await using _tokens = await away("tokens");
  assertEquals([await failed("/v1/tasks", "mul_0"), await failed("/api/me", "mul_0")], [
    "store_failed",
    "database error",
  ]);
});

Deno.test("messages past their retention go, and leave the task, its outcome and its usage", async () => {
  await using place = await newPlace();
  await using world = await World.create({ database: place.database });
  await world.register(["claude"]);
  const run = async (...actions: readonly Action[]) => {
    for (const action of actions) await action.run(world);
  };
  await run(act.submit("done"), act.claim(), act.start("done"));
  const usage = [{ provider: "anthropic", model: "m", input_tokens: 3, output_tokens: 4 }];
  await world.daemon(`/api/daemon/tasks/${await world.id("done")}/usage`, { usage });
  await run(act.complete("done"));
  // More than go at once.
  for (let i = 0; i < 55; i++) await run(act.submit(`early${i}`), act.cancel(`early${i}`));
  await world.clock.advance(DAY);
  await world.register(["claude"]);
  await run(act.submit("late"), act.cancel("late"), act.submit("runs"), act.claim(), act.start("runs"));
  await place.sql(
    "INSERT INTO messages (task_id, seq, type, content, created_at) SELECT id, 1, 'text', 'x', 0 FROM tasks",
  );

  const { purgeMessages } = world.coordinator;
  const yesterday = world.clock.now() - DAY / 2;
  assertEquals([await purgeMessages(yesterday), await purgeMessages(yesterday)], [56, 0]);
  const view = await world.viewOf(await world.id("done"));
  assertEquals([view.status, view.output, view.usage[0]?.output_tokens], ["completed", "done is done", 4]);
  const left = async (alias: string) =>
    (await world.user(`/v1/tasks/${await world.id(alias)}/messages`)).body.messages.length;
  assertEquals(await Promise.all(["done", "early54", "late", "runs"].map(left)), [0, 0, 1, 1]);
  assertEquals(await purgeMessages(world.clock.now() + 1), 1, "a task that runs keeps its own");
});
