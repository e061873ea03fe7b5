/** The database file: what is kept, what is refused, and that a failed write leaves nothing half done. */
import { DatabaseSync } from "node:sqlite";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { createCoordinator } from "../../lib/coordinator/embedded.ts";
import { Store, StoreError } from "../../lib/coordinator/store.ts";
import { createRandom } from "../../lib/host/random.ts";
import { FakeClock } from "../support/fake_clock.ts";
import * as act from "./actions.ts";
import { SILENT, World } from "./world.ts";

class Directory implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "drover-store-" });
  readonly db = join(this.path, "coordinator.db");
  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** Real randomness, so that ids of two processes differ. */
function open(path: string, clock = new FakeClock()): World {
  return new World({ path, clock, random: createRandom() });
}

function openFails(path: string): StoreError {
  return assertThrows(
    () => createCoordinator({ path, clock: new FakeClock(), random: createRandom(), log: SILENT }),
    StoreError,
  );
}

/** A second connection, as another program would have it. */
function withSql(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

Deno.test("createCoordinator() finds everything again in a file that was closed", async () => {
  using directory = new Directory();
  const clock = new FakeClock();
  let before;
  let workspace;
  let runtime;
  {
    using world = open(directory.db, clock);
    await world.register(["claude"]);
    [workspace, runtime] = [world.workspaceId, world.runtime()];
    for (const step of [act.submit("a"), act.claim(), act.start("a")]) await step.run(world);
    const id = await world.id("a");
    await world.daemon(`/api/daemon/tasks/${id}/messages`, { messages: [{ seq: 1, type: "text", content: "Hi" }] });
    await world.daemon(`/api/daemon/tasks/${id}/usage`, { usage: [{ model: "m", input_tokens: 1 }] });
    await act.fail("a", "timeout", { session_id: "s1" }).run(world);
    before = await world.viewOf(id);
  }
  using world = open(directory.db, clock);
  await world.register(["claude"]);
  assertEquals([world.workspaceId, world.runtime()], [workspace, runtime]);
  assertEquals(await world.viewOf(before.id), before);
  const { messages } = (await world.user(`/v1/tasks/${before.id}/messages`)).body;
  assertEquals(messages.length, 1);
  world.name("a", before.id);
  assertEquals(await act.claim().run(world), ["a#2"]);
  assertEquals(await act.offered("a#2").run(world), ["s1", null]);
});

Deno.test("createCoordinator() gives another token than the process before", () => {
  using directory = new Directory();
  using first = open(directory.db);
  const { token } = first.coordinator;
  first.coordinator.close();
  using second = open(directory.db);
  assert(second.coordinator.token !== token);
});

Deno.test("createCoordinator() refuses a file that is no database", () => {
  using directory = new Directory();
  Deno.writeTextFileSync(directory.db, "This is a letter to my aunt.\n".repeat(500));
  const error = openFails(directory.db);
  assertEquals(error.code, "store_corrupt");
  for (const part of [directory.db, "not a database", "move it"]) assertStringIncludes(error.message, part);
});

Deno.test("createCoordinator() refuses a database with a damaged page", async () => {
  using directory = new Directory();
  {
    using world = open(directory.db);
    await world.register(["claude"]);
    for (let i = 0; i < 50; i++) await act.submit(`t${i}`).run(world);
  }
  const bytes = Deno.readFileSync(directory.db);
  // The first pages hold the schema; what follows are rows.
  bytes.fill(0xa5, 4096 * 8, 4096 * 20);
  Deno.writeFileSync(directory.db, bytes);
  const error = openFails(directory.db);
  assertEquals(error.code, "store_corrupt");
  assertStringIncludes(error.message, directory.db);
});

Deno.test("createCoordinator() refuses the database of another program and leaves it as it is", () => {
  using directory = new Directory();
  withSql(directory.db, "CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('mine')");
  const before = Deno.readFileSync(directory.db);
  const error = openFails(directory.db);
  assertEquals(error.code, "store_corrupt");
  assertStringIncludes(error.message, "another program");
  assertEquals(Deno.readFileSync(directory.db), before);
});

Deno.test("createCoordinator() refuses the database of a newer drover and leaves it as it is", () => {
  using directory = new Directory();
  open(directory.db).coordinator.close();
  withSql(directory.db, "PRAGMA user_version = 999");
  const before = Deno.readFileSync(directory.db);
  const error = openFails(directory.db);
  assertEquals(error.code, "store_newer");
  for (const part of [directory.db, "999"]) assertStringIncludes(error.message, part);
  assertEquals(Deno.readFileSync(directory.db), before);
});

Deno.test("createCoordinator() says what is wrong with a path it cannot open", () => {
  using directory = new Directory();
  for (const path of [join(directory.path, "missing", "c.db"), directory.path]) {
    const error = openFails(path);
    assertEquals(error.code, "store_unavailable");
    assertStringIncludes(error.message, path);
  }
});

Deno.test("createCoordinator() says so when another program holds the file", () => {
  using directory = new Directory();
  open(directory.db).coordinator.close();
  const holder = new DatabaseSync(directory.db);
  holder.exec("BEGIN EXCLUSIVE");
  try {
    const error = openFails(directory.db);
    assertEquals(error.code, "store_unavailable");
    assertStringIncludes(error.message, "locked");
  } finally {
    holder.close();
  }
});

Deno.test("fetch() answers 500 while another program holds the file, and goes on afterwards", async () => {
  using directory = new Directory();
  using world = open(directory.db);
  await world.register(["claude"]);
  await act.submit("a").run(world);
  const holder = new DatabaseSync(directory.db);
  holder.exec("BEGIN IMMEDIATE");
  try {
    assertEquals(await act.claim().run(world), 500);
    assertEquals(await act.submit("b").run(world), "store_failed");
    assertEquals(await act.status("a").run(world), "queued");
  } finally {
    holder.close();
  }
  assertEquals(await act.claim().run(world), ["a"]);
});

/** A write that the disk refuses, in the middle of what a call does: the trigger stands for it. */
function refuseWrites(path: string, when: string): void {
  withSql(path, `CREATE TRIGGER refuse ${when} BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END`);
}

interface Interrupted {
  readonly name: string;
  readonly road: ReturnType<typeof act.claim>[];
  /** The write that fails. */
  readonly when: string;
  readonly call: ReturnType<typeof act.claim>;
  readonly answer: unknown;
  readonly status: string;
}

const RUNNING = [act.submit("a"), act.claim(), act.start("a")];
const INTERRUPTED: Interrupted[] = [
  {
    name: "fail() whose next attempt cannot be stored leaves the task running",
    road: RUNNING,
    when: "BEFORE INSERT ON tasks WHEN NEW.attempt = 2",
    call: act.fail("a", "timeout"),
    answer: 500,
    status: "running",
  },
  {
    name: "complete() that cannot be stored leaves the task running",
    road: RUNNING,
    when: "BEFORE UPDATE ON tasks WHEN NEW.status = 'completed'",
    call: act.complete("a"),
    answer: 500,
    status: "running",
  },
  {
    name: "claim() that fails at its second task gives out neither",
    road: [act.submit("a"), act.submit("b", { agent: "codex" })],
    when: "BEFORE UPDATE ON tasks WHEN NEW.status = 'dispatched' AND NEW.prompt = 'Do b'",
    call: act.claim(2, ["claude", "codex"]),
    answer: 500,
    status: "queued",
  },
];
for (const { name, road, when, call, answer, status } of INTERRUPTED) {
  Deno.test(name, async () => {
    using directory = new Directory();
    using world = open(directory.db);
    await world.register(["claude", "codex"]);
    for (const step of road) await step.run(world);
    const before = await world.viewOf(await world.id("a"));
    refuseWrites(directory.db, when);
    const wakeups = world.coordinator.subscribe(AbortSignal.timeout(1))[Symbol.asyncIterator]();
    assertEquals(await call.run(world), answer);
    assertEquals(await act.status("a").run(world), status);
    assertEquals(await world.viewOf(before.id), before);
    assertEquals((await wakeups.next()).done, true, "nobody may hear of what was rolled back");
    withSql(directory.db, "DROP TRIGGER refuse");
    assert(await call.run(world) !== answer);
  });
}

Deno.test("messages() that fail at the second store neither", async () => {
  using directory = new Directory();
  using world = open(directory.db);
  await world.register(["claude"]);
  for (const step of RUNNING) await step.run(world);
  const path = `/api/daemon/tasks/${await world.id("a")}/messages`;
  refuseWrites(directory.db, "BEFORE INSERT ON messages WHEN NEW.seq = 2");
  const messages = [1, 2].map((seq) => ({ seq, type: "text", content: "x" }));
  const answer = await world.daemon(path, { messages });
  assertEquals(answer.status, 500);
  assertStringIncludes(answer.body.error, "disk is full");
  assertEquals((await world.user(`/v1/tasks/${await world.id("a")}/messages`)).body.messages, []);
});

Deno.test("sweep() goes on with the other rules when one cannot be applied", async () => {
  using directory = new Directory();
  using world = open(directory.db);
  await world.register(["claude"]);
  for (const step of [act.submit("a"), act.claim(), act.submit("b")]) await step.run(world);
  refuseWrites(directory.db, "BEFORE UPDATE ON tasks WHEN NEW.failure_reason = 'timeout'");
  await world.advanceTo(2 * 3_600 + 1);
  world.coordinator.sweep();
  assertEquals([await act.status("a").run(world), await act.status("b").run(world)], ["dispatched", "failed"]);
  withSql(directory.db, "DROP TRIGGER refuse");
  world.coordinator.sweep();
  assertEquals(await act.status("a").run(world), "failed");
});

Deno.test("purge() deletes what ended before, with its messages and usage, and nothing else", async () => {
  using directory = new Directory();
  using world = open(directory.db);
  await world.register(["claude"]);
  for (const step of RUNNING) await step.run(world);
  const path = `/api/daemon/tasks/${await world.id("a")}`;
  await world.daemon(`${path}/messages`, { messages: [{ seq: 1, type: "text" }] });
  await world.daemon(`${path}/usage`, { usage: [{ model: "m" }] });
  await act.fail("a", "timeout").run(world);
  await world.advanceTo(100);
  for (const step of [act.submit("b"), act.cancel("b"), act.submit("c")]) await step.run(world);
  const next = await world.id("a#2");
  assertEquals(world.coordinator.purge(world.clock.now() - 1_000), 1);
  assertEquals(world.coordinator.purge(world.clock.now() - 1_000), 0);
  assertEquals((await world.user(path.replace("/api/daemon", "/v1"))).status, 404);
  assertEquals((await world.viewOf(next)).retry_of, null);
  assertEquals((await world.user("/v1/tasks")).body.tasks.length, 3);
  const db = new DatabaseSync(directory.db);
  const count = (table: string) => db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n;
  assertEquals([count("messages"), count("usage"), count("threads")], [0, 0, 3]);
  db.close();
});

Deno.test("Store.transaction() undoes everything when it fails and tells nobody", () => {
  const store = Store.open(":memory:", { synchronous: "full" });
  const told: string[] = [];
  const put = (key: string) => store.run("INSERT INTO meta VALUES (:key, 'v')", { key });
  assertThrows(
    () =>
      store.transaction(() => {
        put("a");
        store.afterCommit(() => told.push("a"));
        store.transaction(() => put("b"));
        throw new Error("boom");
      }),
    Error,
    "boom",
  );
  store.transaction(() => {
    put("c");
    store.afterCommit(() => told.push("c"));
    assertEquals(told, []);
  });
  assertEquals(told, ["c"]);
  assertEquals(store.all<{ key: string }>("SELECT key FROM meta").map((row) => row.key), ["c"]);
  store.close();
});
