/** The database file: what is refused, in which words, and that nothing of others is touched. */
import { DatabaseSync } from "node:sqlite";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { createCoordinator } from "../../lib/coordinator/embedded.ts";
import { StoreError } from "../../lib/coordinator/store.ts";
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
function open(path: string): Promise<World> {
  return World.create({ database: { kind: "sqlite", path }, random: createRandom() });
}

function openFails(path: string): Promise<StoreError> {
  const database = { kind: "sqlite", path } as const;
  return assertRejects(
    () => createCoordinator({ database, clock: new FakeClock(), random: createRandom(), log: SILENT }),
    StoreError,
  );
}

/** A second connection, as another program would have it. */
function withSql(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

Deno.test("createCoordinator() gives another token than the process before", async () => {
  using directory = new Directory();
  await using first = await open(directory.db);
  const { token } = first.coordinator;
  await first.coordinator.close();
  await using second = await open(directory.db);
  assert(second.coordinator.token !== token);
});

Deno.test("createCoordinator() refuses a file that is no database", async () => {
  using directory = new Directory();
  Deno.writeTextFileSync(directory.db, "This is a letter to my aunt.\n".repeat(500));
  const error = await openFails(directory.db);
  assertEquals(error.code, "store_corrupt");
  for (const part of [directory.db, "not a database", "move it"]) assertStringIncludes(error.message, part);
});

Deno.test("createCoordinator() refuses a database with a damaged page", async () => {
  using directory = new Directory();
  {
    await using world = await open(directory.db);
    await world.register(["claude"]);
    for (let i = 0; i < 50; i++) await act.submit(`t${i}`).run(world);
  }
  const bytes = Deno.readFileSync(directory.db);
  // The first pages hold the schema; what follows are rows.
  bytes.fill(0xa5, 4096 * 8, 4096 * 20);
  Deno.writeFileSync(directory.db, bytes);
  const error = await openFails(directory.db);
  assertEquals(error.code, "store_corrupt");
  assertStringIncludes(error.message, directory.db);
});

Deno.test("createCoordinator() refuses the database of another program and leaves it as it is", async () => {
  using directory = new Directory();
  withSql(directory.db, "CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('mine')");
  const before = Deno.readFileSync(directory.db);
  const error = await openFails(directory.db);
  assertEquals(error.code, "store_corrupt");
  assertStringIncludes(error.message, "another program");
  assertEquals(Deno.readFileSync(directory.db), before);
});

Deno.test("createCoordinator() works with the database of a newer drover that says so, and leaves its schema", async () => {
  using directory = new Directory();
  const first = await open(directory.db);
  const { token } = first.coordinator;
  await first.coordinator.close();
  withSql(directory.db, "PRAGMA user_version = 999; ALTER TABLE tasks ADD COLUMN mood TEXT NOT NULL DEFAULT 'good'");
  const second = await open(directory.db);
  assert(second.coordinator.token !== token);
  await second.coordinator.close();
  using db = new DatabaseSync(directory.db);
  assertEquals(db.prepare("PRAGMA user_version").get()?.user_version, 999);
});

Deno.test("createCoordinator() refuses the database of a newer drover and leaves it as it is", async () => {
  using directory = new Directory();
  await (await open(directory.db)).coordinator.close();
  withSql(directory.db, "PRAGMA user_version = 999; UPDATE meta SET value = '999' WHERE key = 'readable_by'");
  const before = Deno.readFileSync(directory.db);
  const error = await openFails(directory.db);
  assertEquals(error.code, "store_newer");
  for (const part of [directory.db, "999"]) assertStringIncludes(error.message, part);
  assertEquals(Deno.readFileSync(directory.db), before);
});

Deno.test("createCoordinator() says what is wrong with a path it cannot open", async () => {
  using directory = new Directory();
  for (const path of [join(directory.path, "missing", "c.db"), directory.path]) {
    const error = await openFails(path);
    assertEquals(error.code, "store_unavailable");
    assertStringIncludes(error.message, path);
  }
});

Deno.test("createCoordinator() says so when another program holds the file", async () => {
  using directory = new Directory();
  await (await open(directory.db)).coordinator.close();
  const holder = new DatabaseSync(directory.db);
  holder.exec("BEGIN EXCLUSIVE");
  try {
    const error = await openFails(directory.db);
    assertEquals(error.code, "store_unavailable");
    assertStringIncludes(error.message, "locked");
  } finally {
    holder.close();
  }
});

Deno.test("fetch() answers 500 while another program holds the file, and goes on afterwards", async () => {
  using directory = new Directory();
  await using world = await open(directory.db);
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
