/** Several coordinators over one PostgreSQL database: nothing is done twice, what one hears all hear, and a lost connection is survived. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { deadline } from "@std/async";
import type { Wakeup } from "../../lib/coordinator/coordinator.ts";
import type { Shared } from "../../lib/coordinator/deps.ts";
import { MIGRATIONS } from "../../lib/coordinator/migrations.ts";
import { POSTGRES_MIGRATIONS } from "../../lib/coordinator/migrations_postgres.ts";
import { openStore } from "../../lib/coordinator/open_store.ts";
import { type Store, StoreError } from "../../lib/coordinator/store.ts";
import { submitTask } from "../../lib/coordinator/submit.ts";
import { takeSweep } from "../../lib/coordinator/sweeper.ts";
import { createRandom } from "../../lib/host/random.ts";
import type { CreateTask } from "../../lib/wire/control.ts";
import { eventually } from "../support/drover.ts";
import { FakeClock } from "../support/fake_clock.ts";
import * as act from "./actions.ts";
import { newPlace, type Place, SqlitePlace } from "./stores.ts";
import { Team } from "./team.ts";
import { SILENT, World } from "./world.ts";

const CAP = 6;

/** Two coordinators that know the same runtimes, each with connections enough to be busy with several calls at once. */
class Fleet implements AsyncDisposable {
  private constructor(readonly place: Place, readonly clock: FakeClock, readonly a: World, readonly b: World) {}

  static async with(providers: readonly string[]): Promise<Fleet> {
    const place = await newPlace();
    const clock = new FakeClock();
    const database = place.database.kind === "postgres" ? { ...place.database, connections: 5 } : place.database;
    // Both find an empty database, at once.
    const open = () => World.create({ database, clock, random: createRandom() });
    const [a, b] = await Promise.all([open(), open()]);
    await Promise.all([a.register(providers), b.register(providers)]);
    return new Fleet(place, clock, a, b);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.a[Symbol.asyncDispose](), this.b[Symbol.asyncDispose]()]);
    await this.place[Symbol.asyncDispose]();
  }

  /** What the other coordinator calls so as well. */
  async submit(alias: string, fields: Record<string, unknown> = {}): Promise<void> {
    assertEquals(await act.submit(alias, fields).run(this.a), "queued");
    this.b.name(alias, await this.a.id(alias));
  }

  async count(condition: string): Promise<number> {
    return Number((await this.place.sql(`SELECT count(*) AS n FROM tasks WHERE ${condition}`))[0]?.n);
  }
}

Deno.test("createCoordinator() twice on an empty database makes one schema and one workspace", async () => {
  await using fleet = await Fleet.with(["claude"]);
  assertEquals(fleet.a.workspaceId, fleet.b.workspaceId);
  assertEquals(fleet.a.runtime(), fleet.b.runtime());
  assertEquals((await fleet.place.sql("SELECT * FROM drover_schema")).length, 1);
});

/** `table.column` or the name of an index, but for what only one of them needs. */
async function schemaOf(place: Place, sql: string): Promise<string[]> {
  const own = (name: string) => !/^(drover_schema|sqlite_|\w+_pkey|\w+_key)|\.rowid$/.test(name);
  return (await place.sql(sql)).map(({ name }) => String(name)).filter(own).sort();
}

Deno.test("POSTGRES_MIGRATIONS make the tables, columns and indexes that those for SQLite make", async () => {
  assertEquals(POSTGRES_MIGRATIONS.length, MIGRATIONS.length);
  await using fleet = await Fleet.with([]);
  await using file = new SqlitePlace();
  await (await openStore(file.database, { clock: fleet.clock, log: SILENT })).close();
  const ours = await schemaOf(
    file,
    `SELECT m.name || '.' || c.name AS name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'
     UNION ALL SELECT name FROM sqlite_master WHERE type = 'index'`,
  );
  const theirs = await schemaOf(
    fleet.place,
    `SELECT table_name || '.' || column_name AS name FROM information_schema.columns WHERE table_schema = current_schema()
     UNION ALL SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()`,
  );
  assert(ours.includes("tasks.brings") && ours.includes("tasks_slot"));
  assertEquals(theirs, ours);
});

/** Claims of everything by callers in different orders, each ending what it got; the ids in the order of the answers. */
async function claimAll(fleet: Fleet, total: number): Promise<string[]> {
  const claimed: string[] = [];
  const runtimes = [...fleet.a.runtimes.values()];
  const orders = [runtimes, runtimes.toReversed(), [...runtimes.slice(1), ...runtimes.slice(0, 1)]];
  const caller = async (world: World, at: number) => {
    for (let idle = 0; idle < 20 && claimed.length < total;) {
      const body = { daemon_id: "d1", runtime_ids: orders[at % orders.length], max_tasks: 2 };
      const answer = await world.daemon("/api/daemon/tasks/claim", body);
      assertEquals(answer.status, 200, JSON.stringify(answer.body));
      idle = answer.body.tasks.length === 0 ? idle + 1 : 0;
      for (const { id } of answer.body.tasks) {
        claimed.push(id);
        // The one that claims is not the one that hears of the end.
        const other = world === fleet.a ? fleet.b : fleet.a;
        assertEquals((await other.daemon(`/api/daemon/tasks/${id}/start`, {})).status, 200);
        assertEquals((await world.daemon(`/api/daemon/tasks/${id}/complete`, { output: "" })).status, 200);
      }
    }
  };
  await Promise.all([fleet.a, fleet.b, fleet.a, fleet.b, fleet.a, fleet.b].map(caller));
  return claimed;
}

Deno.test("claim() of two coordinators gives each task to one caller, whatever the order of their runtimes", async () => {
  const providers = ["claude", "codex", "gemini"];
  await using fleet = await Fleet.with(providers);
  const submitted: string[] = [];
  for (let i = 0; i < 30; i++) {
    await fleet.submit(`t${i}`, { agent: providers[i % 3] });
    submitted.push(await fleet.a.id(`t${i}`));
  }
  const claimed = await claimAll(fleet, submitted.length);
  assertEquals(claimed.toSorted(), submitted.toSorted());
  assertEquals(await fleet.count("status = 'completed' AND attempt = 1"), submitted.length);
});

Deno.test("claim() of two coordinators keeps to an agent's cap together", async () => {
  await using fleet = await Fleet.with(["claude"]);
  for (let i = 0; i < 2 * CAP; i++) await fleet.submit(`t${i}`);
  const claims = Array.from({ length: 2 * CAP }, (_, i) => act.claim().run(i % 2 ? fleet.a : fleet.b));
  const handed = (await Promise.all(claims)).flat();
  assertEquals([handed.length, new Set(handed).size], [CAP, CAP]);
  assertEquals(await fleet.count("status = 'dispatched'"), CAP);
});

Deno.test("claim() of two coordinators runs the tasks of a thread one after the other", async () => {
  await using fleet = await Fleet.with(["claude"]);
  await fleet.submit("first");
  for (const step of [act.claim(), act.start("first")]) await step.run(fleet.a);
  await fleet.submit("second", { resume: "first" });
  const claims = await Promise.all([fleet.a, fleet.b, fleet.a, fleet.b].map((world) => act.claim().run(world)));
  assertEquals(claims, [[], [], [], []]);
});

Deno.test("submit() to two coordinators at once gives a thread one pending task", async () => {
  await using fleet = await Fleet.with(["claude"]);
  await fleet.submit("first");
  for (const step of [act.claim(), act.start("first")]) await step.run(fleet.a);
  const resume = { resume: "first" };
  const words = await Promise.all(
    [fleet.a, fleet.b, fleet.a, fleet.b].map((world, i) => act.submit(`again${i}`, resume).run(world)),
  );
  assertEquals(words.toSorted(), ["queued", "thread_busy", "thread_busy", "thread_busy"]);
});

Deno.test("fail() that is told to both coordinators makes one next attempt", async () => {
  await using fleet = await Fleet.with(["claude"]);
  await fleet.submit("a");
  for (const step of [act.claim(), act.start("a")]) await step.run(fleet.a);
  await Promise.all([fleet.a, fleet.b, fleet.a, fleet.b].map((world) => act.fail("a", "timeout").run(world)));
  assertEquals([await fleet.count("status = 'failed'"), await fleet.count("attempt = 2")], [1, 1]);
});

/** What both hear while `fn` runs, until each has heard `count`. */
async function heardBy(worlds: readonly World[], count: number, fn: () => Promise<unknown>): Promise<string[][]> {
  const stop = new AbortController();
  const lists = worlds.map((world) => ({ wakeups: world.coordinator.subscribe(stop.signal), heard: [] as Wakeup[] }));
  const reading = lists.map(async ({ wakeups, heard }) => {
    for await (const wakeup of wakeups) heard.push(wakeup);
  });
  await fn();
  await eventually(() => lists.every(({ heard }) => heard.length >= count), "every coordinator hears of it", 5_000);
  stop.abort();
  await deadline(Promise.all(reading), 5_000);
  return lists.map(({ heard }) => heard.map(({ kind, runtimeId }) => `${kind} ${runtimeId}`));
}

Deno.test("subscribe() hears, once, what the other coordinator does", async () => {
  await using fleet = await Fleet.with(["claude"]);
  const { a, b } = fleet;
  const changed = `task-changed ${a.runtime()}`;
  const available = `task-available ${a.runtime()}`;
  const all = await heardBy([a, b], 3, async () => {
    await act.submit("t").run(a);
    await act.cancel("t").run(a);
  });
  assertEquals(all, [[available, changed, available], [available, changed, available]]);
});

Deno.test("follow() and progress() show what the daemon tells the other coordinator", async () => {
  await using fleet = await Fleet.with(["claude"]);
  const { a, b } = fleet;
  await fleet.submit("t");
  for (const step of [act.claim(), act.start("t")]) await step.run(a);
  const id = await a.id("t");
  const answer = await b.coordinator.userApi(new Request(`http://c/v1/tasks/${id}/follow`));
  assert(answer.body);
  // The clock stands still: nothing is found by looking again after a while.
  let text = "";
  const reading = (async () => {
    for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) text += chunk;
  })();
  await eventually(() => text.includes('"status":"running"'), "the follower has begun", 5_000);
  await a.daemon(`/api/daemon/tasks/${id}/messages`, { messages: [{ seq: 1, type: "text", content: "Hello" }] });
  await eventually(() => text.includes("Hello"), "the follower sees the message", 5_000);
  await a.daemon(`/api/daemon/tasks/${id}/progress`, { summary: "half way" });
  await eventually(async () => (await b.viewOf(id)).progress === "half way", "the line is known everywhere", 5_000);
  await act.complete("t").run(a);
  await deadline(reading, 5_000);
  assertStringIncludes(text, "event: end");
  await eventually(async () => (await b.viewOf(id)).progress === null, "the line went with the task", 5_000);
});

Deno.test("subscribe() hears again after the connection that listens was cut", async () => {
  await using fleet = await Fleet.with(["claude"]);
  const { a, b, place } = fleet;
  const listening = "FROM pg_stat_activity WHERE application_name = 'drover' AND query ILIKE 'listen%'";
  const old = await place.sql(`SELECT pid, pg_terminate_backend(pid) ${listening}`);
  assertEquals(old.length, 2);
  const again = `SELECT pid ${listening} AND pid NOT IN (${old.map(({ pid }) => pid)})`;
  await eventually(async () => (await place.sql(again)).length === 2, "both listen again", 10_000);
  await heardBy([a, b], 1, () => act.submit("t").run(a));
});

Deno.test("fetch() goes on after all connections to the database were cut", async () => {
  await using fleet = await Fleet.with(["claude"]);
  await fleet.submit("t");
  await fleet.place.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'drover'");
  let claimed: unknown;
  await eventually(
    async () => Array.isArray(claimed = await act.claim().run(fleet.a)),
    "the coordinator is connected again",
    10_000,
  );
  assertEquals(claimed, ["t"]);
});

Deno.test("sweep() of two coordinators at once fails a task once, with one next attempt", async () => {
  await using fleet = await Fleet.with(["claude"]);
  for (let i = 0; i < 4; i++) await fleet.submit(`t${i}`);
  for (let i = 0; i < 4; i++) await act.claim().run(fleet.a);
  await fleet.a.advanceTo(301);
  await Promise.all([fleet.a, fleet.b, fleet.a].map((world) => world.coordinator.sweep()));
  const counts = [await fleet.count("status = 'failed'"), await fleet.count("attempt = 2"), await fleet.count("TRUE")];
  assertEquals(counts, [4, 4, 8]);
});

/** A call while another process is in the middle of changing what it needs: begun before that commits, ended after it. */
async function during<T>(
  { team, place }: { team: Team; place: Place },
  change: (tx: Store) => Promise<unknown>,
  call: () => Promise<T>,
): Promise<T> {
  const waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'drover' AND wait_event_type = 'Lock'";
  let answer: Promise<T> | undefined;
  await team.shared.store.transaction(async (tx) => {
    await change(tx);
    let over = false;
    answer = call().finally(() => over = true);
    await eventually(async () => over || (await place.sql(waiting)).length > 0, "the call waits or is over", 5_000);
  });
  return await answer!;
}

Deno.test("PATCH /api/issues keeps what another process has just changed", async () => {
  await using place = await newPlace();
  await using team = await Team.create({ database: place.database, random: createRandom() });
  const ada = await team.person("Ada");
  const { id } = await team.ok("POST /api/issues", ada, { title: "mine", description: "d" });
  const theirs = (tx: Store) => tx.run("UPDATE threads SET title = 'theirs' WHERE id = :id", { id });
  await during({ team, place }, theirs, () => team.ok(`PATCH /api/issues/${id}`, ada, { priority: "high" }));
  const { title, priority } = await team.ok(`GET /api/issues/${id}`, ada);
  assertEquals([title, priority], ["theirs", "high"]);
});

const TASK: CreateTask = { prompt: "Go on", directory: { mode: "scratch" }, permission: "full" };

async function submit(shared: Shared, agent: string): Promise<void> {
  const workspace = await shared.store.get<{ id: string }>("SELECT id FROM workspaces");
  const deps = { ...shared, workspaceId: workspace!.id };
  await submitTask(deps, { ...TASK, agent }, { instance: null, resumed: undefined });
}

const AGENT = "SELECT * FROM agents WHERE id = :id FOR NO KEY UPDATE";
const ARRIVALS: Record<string, (team: Team, ada: string, agent: string) => Promise<unknown>> = {
  "POST /v1/tasks": (team, _, agent) => submit(team.shared, agent),
  "POST /api/issues": (team, ada, agent) => team.ok("POST /api/issues", ada, { title: "Look", agent }),
};
for (const [route, arrive] of Object.entries(ARRIVALS)) {
  Deno.test(`${route} for an agent that is being moved waits for it where it goes`, async () => {
    await using place = await newPlace();
    await using team = await Team.create({ database: place.database, random: createRandom() });
    const ada = await team.person("Ada");
    const [from, to] = await Promise.all(["d1", "d2"].map((daemon) => team.machine(ada, { daemon })));
    const agent = await team.ok("POST /api/agents", ada, { name: "mover", runtime_id: from!.runtimes[0] });
    const move = async (tx: Store) => {
      await tx.get(AGENT, { id: agent.id });
      await tx.run("UPDATE agents SET runtime_id = :to WHERE id = :id", { id: agent.id, to: to!.runtimes[0]! });
    };
    await during({ team, place }, move, () => arrive(team, ada, "mover"));
    assertEquals((await team.claim(to!)).length, 1);
  });
}

Deno.test("DELETE /api/runtimes cancels what another process is just queueing there", async () => {
  await using place = await newPlace();
  await using team = await Team.create({ database: place.database, random: createRandom() });
  const ada = await team.person("Ada");
  const { runtimes: [runtime] } = await team.machine(ada);
  const queue = (store: Store) => submit({ ...team.shared, store }, "claude");
  await during({ team, place }, queue, () => team.ok(`DELETE /api/runtimes/${runtime}`, ada));
  assertEquals((await place.sql("SELECT status FROM tasks")).map(({ status }) => status), ["cancelled"]);
});

Deno.test("takeSweep() gives each round to one of the coordinators", async () => {
  await using place = await newPlace();
  const clock = new FakeClock();
  const stores = await Promise.all([1, 2, 3].map(() => openStore(place.database, { clock, log: SILENT })));
  const rounds: number[] = [];
  for (let round = 0; round < 3; round++) {
    const taken = await Promise.all(stores.map((store) => takeSweep({ store, clock, log: SILENT })));
    rounds.push(taken.filter(Boolean).length);
    await clock.advance(30_000);
  }
  assertEquals(rounds, [1, 1, 1]);
  // A coordinator whose clock was a day ahead must not end all sweeping for a day.
  clock.shiftWall(-86_400_000);
  assertEquals(await takeSweep({ store: stores[0]!, clock, log: SILENT }), true);
  await Promise.all(stores.map((store) => store.close()));
});

Deno.test("Store.transaction() that gets into a deadlock with another is done again, and tells once", async () => {
  await using place = await newPlace();
  const store = await openStore(place.database, { clock: new FakeClock(), log: SILENT });
  await store.run("INSERT INTO meta (key, value) VALUES ('a', '0'), ('b', '0')");
  const told: string[] = [];
  let attempts = 0;
  const both = Promise.withResolvers<void>();
  const add = (name: string, [first, second]: readonly [string, string]) =>
    store.transaction(async (tx) => {
      const sql = "UPDATE meta SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE key = :key";
      tx.afterCommit(() => told.push(name));
      await tx.run(sql, { key: first });
      if (++attempts === 2) both.resolve();
      await both.promise;
      await tx.run(sql, { key: second });
    });
  await Promise.all([add("x", ["a", "b"]), add("y", ["b", "a"])]);
  const rows = await store.all("SELECT key, value FROM meta ORDER BY key");
  await store.close();
  assertEquals([...rows], [{ key: "a", value: "2" }, { key: "b", value: "2" }]);
  assert(attempts > 2, "there was no deadlock");
  assertEquals(told.toSorted(), ["x", "y"]);
});

async function openFails(database: Place["database"]): Promise<StoreError> {
  return await assertRejects(() => openStore(database, { clock: new FakeClock(), log: SILENT }), StoreError);
}

Deno.test("openStore() says which server cannot be reached, without the password", async () => {
  const error = await openFails({ kind: "postgres", url: "postgres://me:hunter2@127.0.0.1:1/work" });
  assertEquals(error.code, "store_unavailable");
  for (const part of ["postgres://127.0.0.1:1/work", "ECONNREFUSED"]) assertStringIncludes(error.message, part);
  assert(!Deno.inspect(error).includes("hunter2"), Deno.inspect(error));
});

Deno.test("openStore() works with the tables of a newer drover that says so, and leaves its schema", async () => {
  await using place = await newPlace();
  const open = async () => await (await openStore(place.database, { clock: new FakeClock(), log: SILENT })).close();
  await open();
  await place.sql(
    "UPDATE drover_schema SET version = 999; DELETE FROM meta; INSERT INTO meta VALUES ('readable_by', '1')",
  );
  await open();
  assertEquals((await place.sql("SELECT version FROM drover_schema"))[0]?.version, 999);
  await place.ruin();
});

Deno.test("openStore() refuses the tables of another program and of a newer drover, and leaves them as they are", async () => {
  await using place = await newPlace();
  await place.sql("CREATE TABLE IF NOT EXISTS drover_schema (version INTEGER)");
  await place.sql("DELETE FROM drover_schema; INSERT INTO drover_schema VALUES (999)");
  const newer = await openFails(place.database);
  assertEquals(newer.code, "store_newer");
  assertStringIncludes(newer.message, "999");
  await place.sql("DROP TABLE drover_schema; CREATE TABLE IF NOT EXISTS tasks (note TEXT)");
  const foreign = await openFails(place.database);
  assertEquals(foreign.code, "store_corrupt");
  assertStringIncludes(foreign.message, "another program");
  assertEquals((await place.sql("SELECT to_regclass('drover_schema')::text AS name"))[0]?.name, null);
  await place.ruin();
});
