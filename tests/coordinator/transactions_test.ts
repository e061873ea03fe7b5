/** Keeping and undoing: what is found again, that a failed write leaves nothing half done, and that transactions do not mix. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { openStore } from "../../lib/coordinator/open_store.ts";
import type { Store } from "../../lib/coordinator/store.ts";
import { createRandom } from "../../lib/host/random.ts";
import { FakeClock } from "../support/fake_clock.ts";
import * as act from "./actions.ts";
import { newPlace, type Place } from "./stores.ts";
import { SILENT, World } from "./world.ts";

/** Real randomness, so that ids of two processes differ. */
function open(place: Place, clock = new FakeClock()): Promise<World> {
  return World.create({ database: place.database, clock, random: createRandom() });
}

Deno.test("createCoordinator() finds everything again in a database that was closed", async () => {
  await using place = await newPlace();
  const clock = new FakeClock();
  let before;
  let workspace;
  let runtime;
  {
    await using world = await open(place, clock);
    await world.register(["claude"]);
    [workspace, runtime] = [world.workspaceId, world.runtime()];
    for (const step of [act.submit("a"), act.claim(), act.start("a")]) await step.run(world);
    const id = await world.id("a");
    await world.daemon(`/api/daemon/tasks/${id}/messages`, { messages: [{ seq: 1, type: "text", content: "Hi" }] });
    await world.daemon(`/api/daemon/tasks/${id}/usage`, { usage: [{ model: "m", input_tokens: 1 }] });
    await act.fail("a", "timeout", { session_id: "s1" }).run(world);
    before = await world.viewOf(id);
  }
  await using world = await open(place, clock);
  await world.register(["claude"]);
  assertEquals([world.workspaceId, world.runtime()], [workspace, runtime]);
  assertEquals(await world.viewOf(before.id), before);
  const { messages } = (await world.user(`/v1/tasks/${before.id}/messages`)).body;
  assertEquals(messages.length, 1);
  world.name("a", before.id);
  assertEquals(await act.claim().run(world), ["a#2"]);
  assertEquals(await act.offered("a#2").run(world), ["s1", null]);
});

interface Interrupted {
  readonly name: string;
  readonly road: ReturnType<typeof act.claim>[];
  /** The write that fails, and when it does. */
  readonly refused: readonly [write: string, condition: string];
  readonly call: ReturnType<typeof act.claim>;
  readonly answer: unknown;
  readonly status: string;
}

const RUNNING = [act.submit("a"), act.claim(), act.start("a")];
const INTERRUPTED: Interrupted[] = [
  {
    name: "fail() whose next attempt cannot be stored leaves the task running",
    road: RUNNING,
    refused: ["BEFORE INSERT ON tasks", "NEW.attempt = 2"],
    call: act.fail("a", "timeout"),
    answer: 500,
    status: "running",
  },
  {
    name: "complete() that cannot be stored leaves the task running",
    road: RUNNING,
    refused: ["BEFORE UPDATE ON tasks", "NEW.status = 'completed'"],
    call: act.complete("a"),
    answer: 500,
    status: "running",
  },
  {
    name: "claim() that fails at its second task gives out neither",
    road: [act.submit("a"), act.submit("b", { agent: "codex" })],
    refused: ["BEFORE UPDATE ON tasks", "NEW.status = 'dispatched' AND NEW.prompt = 'Do b'"],
    call: act.claim(2, ["claude", "codex"]),
    answer: 500,
    status: "queued",
  },
];
for (const { name, road, refused, call, answer, status } of INTERRUPTED) {
  Deno.test(name, async () => {
    await using place = await newPlace();
    await using world = await open(place);
    await world.register(["claude", "codex"]);
    for (const step of road) await step.run(world);
    const before = await world.viewOf(await world.id("a"));
    await place.refuseWrites(...refused);
    const wakeups = world.coordinator.subscribe(AbortSignal.timeout(1))[Symbol.asyncIterator]();
    assertEquals(await call.run(world), answer);
    assertEquals(await act.status("a").run(world), status);
    assertEquals(await world.viewOf(before.id), before);
    assertEquals((await wakeups.next()).done, true, "nobody may hear of what was rolled back");
    await place.acceptWrites();
    assert(await call.run(world) !== answer);
  });
}

Deno.test("messages() that fail at the second store neither", async () => {
  await using place = await newPlace();
  await using world = await open(place);
  await world.register(["claude"]);
  for (const step of RUNNING) await step.run(world);
  const path = `/api/daemon/tasks/${await world.id("a")}/messages`;
  await place.refuseWrites("BEFORE INSERT ON messages", "NEW.seq = 2");
  const messages = [1, 2].map((seq) => ({ seq, type: "text", content: "x" }));
  const answer = await world.daemon(path, { messages });
  assertEquals(answer.status, 500);
  assertStringIncludes(answer.body.error, "disk is full");
  assertEquals((await world.user(`/v1/tasks/${await world.id("a")}/messages`)).body.messages, []);
});

Deno.test("sweep() goes on with the other rules when one cannot be applied", async () => {
  await using place = await newPlace();
  await using world = await open(place);
  await world.register(["claude"]);
  for (const step of [act.submit("a"), act.claim(), act.submit("b")]) await step.run(world);
  await place.refuseWrites("BEFORE UPDATE ON tasks", "NEW.failure_reason = 'runtime_offline'");
  world.beating = false;
  await world.advanceTo(3 * 3_600 + 1);
  await world.coordinator.sweep();
  assertEquals([await act.status("a").run(world), await act.status("b").run(world)], ["dispatched", "failed"]);
  await place.acceptWrites();
  await world.coordinator.sweep();
  assertEquals(await act.status("a").run(world), "failed");
});

Deno.test("purge() deletes what ended before, with its messages and usage, and nothing else", async () => {
  await using place = await newPlace();
  await using world = await open(place);
  await world.register(["claude"]);
  for (const step of RUNNING) await step.run(world);
  const path = `/api/daemon/tasks/${await world.id("a")}`;
  await world.daemon(`${path}/messages`, { messages: [{ seq: 1, type: "text" }] });
  await world.daemon(`${path}/usage`, { usage: [{ model: "m" }] });
  await act.fail("a", "timeout").run(world);
  await world.advanceTo(100);
  for (const step of [act.submit("b"), act.cancel("b"), act.submit("c")]) await step.run(world);
  const next = await world.id("a#2");
  assertEquals(await world.coordinator.purge(world.clock.now() - 1_000), 1);
  assertEquals(await world.coordinator.purge(world.clock.now() - 1_000), 0);
  assertEquals((await world.user(path.replace("/api/daemon", "/v1"))).status, 404);
  assertEquals((await world.viewOf(next)).retry_of, null);
  assertEquals((await world.user("/v1/tasks")).body.tasks.length, 3);
  const count = async (table: string) => Number((await place.sql(`SELECT count(*) AS n FROM ${table}`))[0]?.n);
  assertEquals([await count("messages"), await count("usage"), await count("threads")], [0, 0, 3]);
});

async function withStore(work: (store: Store) => Promise<void>): Promise<void> {
  await using place = await newPlace();
  const store = await openStore(place.database, { clock: new FakeClock(), log: SILENT });
  try {
    await work(store);
  } finally {
    await store.close();
  }
}

const put = (store: Store, key: string) => store.run("INSERT INTO meta (key, value) VALUES (:key, '0')", { key });
const keys = async (store: Store) => {
  return (await store.all<{ key: string }>("SELECT key FROM meta WHERE key <> 'readable_by' ORDER BY key")).map((row) =>
    row.key
  );
};

Deno.test("Store.transaction() undoes everything when it fails and tells nobody", () =>
  withStore(async (store) => {
    const told: string[] = [];
    const failing = store.transaction(async (tx) => {
      await put(tx, "a");
      tx.afterCommit(() => told.push("a"));
      await tx.transaction((tx) => put(tx, "b"));
      throw new Error("boom");
    });
    await assertRejects(() => failing, Error, "boom");
    await store.transaction(async (tx) => {
      await put(tx, "c");
      tx.afterCommit(() => told.push("c"));
      assertEquals(told, []);
    });
    assertEquals(told, ["c"]);
    assertEquals(await keys(store), ["c"]);
  }));

Deno.test("Store.transaction() hides from everybody else what is not committed", () =>
  withStore(async (store) => {
    const open = Promise.withResolvers<void>();
    const writing = store.transaction(async (tx) => {
      await put(tx, "a");
      await open.promise;
      await put(tx, "b");
    });
    const reading = keys(store);
    // Long enough for the reader to have read, if it does not wait.
    await new Promise((resolve) => setTimeout(resolve, 20));
    open.resolve();
    await writing;
    const seen = await reading;
    assert(seen.length !== 1, `half a transaction was seen: ${seen}`);
    assertEquals(await keys(store), ["a", "b"]);
  }));

Deno.test("Store.transaction() loses no update of many that count the same thing up", () =>
  withStore(async (store) => {
    await put(store, "n");
    const read = "SELECT value FROM meta WHERE key = 'n' FOR NO KEY UPDATE";
    await Promise.all(Array.from({ length: 20 }, () =>
      store.transaction(async (tx) => {
        const value = Number((await tx.get<{ value: string }>(read))?.value) + 1;
        await tx.run("UPDATE meta SET value = :value WHERE key = 'n'", { value: String(value) });
      })));
    assertEquals((await store.get<{ value: string }>(read))?.value, "20");
  }));

Deno.test("Store.run() that fails leaves the store usable", () =>
  withStore(async (store) => {
    await put(store, "a");
    await assertRejects(() => put(store, "a"));
    await assertRejects(() => store.transaction((tx) => put(tx, "a")));
    await put(store, "b");
    assertEquals(await keys(store), ["a", "b"]);
  }));
