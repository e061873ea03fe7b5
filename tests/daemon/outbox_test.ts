/** The outbox: order, survival, and what happens when the disk does not take it. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { isOutcome, openOutbox, type Outbox, OutboxError, type OutboxKind } from "../../lib/daemon/outbox.ts";
import { keptLog } from "./kept_log.ts";
import { entry, outboxFile } from "./outbox_file.ts";

/** All rows of a task in the order they would be sent, taking them out. */
function drain(outbox: Outbox, task = "t"): string[] {
  const payloads: string[] = [];
  for (let row = outbox.head(task); row; row = outbox.head(task)) {
    payloads.push(row.payload);
    outbox.remove(row);
  }
  return payloads;
}

Deno.test("Outbox.put() keeps the order of each task, and tasks() that of the tasks of one connection", () => {
  using file = outboxFile();
  const { outbox } = file;
  const puts: [connection: string, task: string, payload: string][] = [
    ["c", "t", "1"],
    ["c", "u", "2"],
    ["d", "v", "3"],
    ["c", "t", "4"],
    ["c", "s", "5"],
  ];
  for (const [connection, task, payload] of puts) outbox.put(entry({ connection, task, payload }));
  assertEquals([outbox.tasks("c"), outbox.tasks("d"), outbox.tasks("none")], [["t", "u", "s"], ["v"], []]);
  assertEquals(outbox.count(), 5);
  assertEquals([drain(outbox), drain(outbox, "u"), outbox.head("t")], [["1", "4"], ["2"], undefined]);
  assertEquals([outbox.tasks("c"), outbox.count()], [["s"], 2]);
});

Deno.test("Outbox.reopen gives back every field of a row, under its id", () => {
  using file = outboxFile();
  const put = file.outbox.put(entry({ kind: "messages", payload: '{"a":"ä\\u0000"}', seqFrom: 3, seqTo: 9 }));
  assertEquals(file.reopen().head("t"), put);
  const changed = file.outbox.update(put, { attempts: 2, state: "sending", kind: "fail", payload: "{}" });
  assertEquals(file.reopen().head("t"), changed);
  assertEquals([changed.id, changed.attempts, changed.state, changed.kind], [put.id, 2, "sending", "fail"]);
});

Deno.test("Outbox.put() goes on with its ids after a restart", () => {
  using file = outboxFile();
  const ids = [file.outbox.put(entry()).id, file.outbox.put(entry()).id];
  ids.push(file.reopen().put(entry()).id);
  assertEquals(ids, [...new Set(ids)].sort((a, b) => a - b));
});

Deno.test("Outbox.hasOutcome() looks for a row that ends the task, behind others too", () => {
  const kinds: OutboxKind[] = ["messages", "session", "usage", "complete", "fail", "cancel-ack"];
  for (const kind of kinds) {
    using file = outboxFile();
    file.outbox.put(entry());
    file.outbox.put(entry({ kind }));
    assertEquals(file.outbox.hasOutcome("t"), ["complete", "fail", "cancel-ack"].includes(kind), kind);
    assertEquals(isOutcome(kind), file.outbox.hasOutcome("t"));
    assertEquals(file.outbox.hasOutcome("other"), false);
  }
});

Deno.test("Outbox has on disk what was put, although its process is killed", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const module = new URL("../../lib/daemon/outbox.ts", import.meta.url).href;
    const source = `
      const { openOutbox } = await import("${module}");
      const row = { connection: "c", workspace: "w", runtime: "r", task: "t", kind: "complete", payload: "{}" };
      openOutbox("${directory}/outbox.db", { error() {}, warn() {} }).put(row);
      Deno.kill(Deno.pid, "SIGKILL");`;
    const { signal } = await new Deno.Command(Deno.execPath(), { args: ["eval", "--no-lock", source] }).output();
    const outbox = openOutbox(`${directory}/outbox.db`, keptLog());
    const row = outbox.head("t");
    outbox.close();
    assertEquals([signal, row?.kind], ["SIGKILL", "complete"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("Outbox.put() keeps in memory what cannot be written, says so once, and keeps the order", () => {
  using file = outboxFile();
  const { outbox } = file;
  outbox.put(entry({ payload: "1" }));
  file.breakWrites("INSERT");
  outbox.put(entry({ payload: "2" }));
  outbox.put(entry({ payload: "3", kind: "complete" }));
  outbox.put(entry({ task: "u" }));
  assertEquals([outbox.degraded, outbox.count(), outbox.tasks("c")], [true, 4, ["t", "u"]]);
  assertEquals(outbox.hasOutcome("t"), true);
  assertEquals(outbox.persist(), false);
  file.mend();
  // Written before the two that wait: its place is behind them all the same.
  outbox.put(entry({ payload: "4" }));
  assertEquals(outbox.degraded, true);
  assertEquals(drain(outbox), ["1", "2", "3", "4"]);
  assertEquals(file.log.said("error").length, 1);
});

Deno.test("Outbox.persist() writes what waits in memory, so that it survives", () => {
  using file = outboxFile();
  file.breakWrites("INSERT");
  const row = file.outbox.put(entry({ payload: "1" }));
  file.outbox.update(row, { attempts: 3 });
  file.mend();
  assertEquals([file.outbox.persist(), file.outbox.degraded], [true, false]);
  assertEquals(file.reopen().head("t"), { ...row, attempts: 3 });
});

Deno.test("Outbox.remove() forgets a row that was never written", () => {
  using file = outboxFile();
  file.breakWrites("INSERT");
  const row = file.outbox.put(entry());
  file.outbox.remove(row);
  assertEquals([file.outbox.degraded, file.outbox.head("t"), file.outbox.count()], [false, undefined, 0]);
});

Deno.test("Outbox.remove() never offers a row again that cannot be deleted", () => {
  using file = outboxFile();
  const { outbox } = file;
  outbox.put(entry({ payload: "1" }));
  outbox.put(entry({ payload: "2", kind: "complete" }));
  outbox.put(entry({ payload: "3" }));
  file.breakWrites("DELETE");
  assertEquals(drain(outbox), ["1", "2", "3"]);
  assertEquals([outbox.tasks("c"), outbox.count(), outbox.hasOutcome("t")], [[], 0, false]);
  // Everything is on disk and nothing would be lost: no reason to stop claiming.
  assertEquals(outbox.degraded, false);
  assertEquals(file.log.said("warn").length, 1);
  file.mend();
  assertEquals(outbox.persist(), true);
  assertEquals(file.reopen().count(), 0);
});

Deno.test("Outbox.update() holds although it cannot be written, and is written later", () => {
  using file = outboxFile();
  const row = file.outbox.put(entry({ kind: "complete" }));
  file.breakWrites("UPDATE");
  const failed = file.outbox.update(row, { kind: "fail", payload: '{"error":"x"}' });
  const tried = file.outbox.update(failed, { attempts: 1 });
  assertEquals(file.outbox.head("t"), { ...row, kind: "fail", payload: '{"error":"x"}', attempts: 1 });
  file.mend();
  assertEquals(file.outbox.persist(), true);
  assertEquals(file.reopen().head("t"), tried);
});

Deno.test("Outbox.close() makes a last attempt to write what is in memory", () => {
  using file = outboxFile();
  file.breakWrites("INSERT");
  file.outbox.put(entry({ payload: "1" }));
  file.mend();
  assertEquals(file.reopen().head("t")?.payload, "1");
});

Deno.test("openOutbox() refuses a file it cannot use, names it, and leaves it as it was", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/outbox.db`;
    await Deno.writeTextFile(path, "this is no database, however long it may be: " + "x".repeat(5_000));
    const before = await Deno.readTextFile(path);
    const garbage = assertThrows(() => openOutbox(path, keptLog()), OutboxError, path);
    assert(garbage.message.includes("move it aside"), garbage.message);
    assertEquals([garbage.code, await Deno.readTextFile(path)], ["outbox_unusable", before]);
    assertThrows(() => openOutbox(`${directory}/none/outbox.db`, keptLog()), OutboxError, "none/outbox.db");
    assertThrows(() => openOutbox(directory, keptLog()), OutboxError, directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("openOutbox() leaves the database of another program as it is", () => {
  const directory = Deno.makeTempDirSync();
  try {
    const path = `${directory}/outbox.db`;
    const other = new DatabaseSync(path);
    other.exec("CREATE TABLE theirs (x)");
    other.close();
    const before = Deno.readFileSync(path);
    assertThrows(() => openOutbox(path, keptLog()), OutboxError, "another program");
    assertEquals(Deno.readFileSync(path), before);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("openOutbox() tells whenever something had to stay in memory, so that it is written later", () => {
  using file = outboxFile();
  let told = 0;
  const outbox = openOutbox(file.path, keptLog(), { onDegraded: () => told++ });
  const row = outbox.put(entry());
  file.breakWrites("INSERT", "UPDATE", "DELETE");
  const seen = [told];
  outbox.update(row, { attempts: 1 });
  seen.push(told);
  outbox.remove(row);
  seen.push(told);
  outbox.put(entry());
  seen.push(told);
  file.mend();
  assertEquals([outbox.persist(), outbox.count()], [true, 1]);
  outbox.close();
  assertEquals(seen, [0, 1, 2, 3]);
});

Deno.test("openOutbox() refuses a file of a newer program", () => {
  const directory = Deno.makeTempDirSync();
  try {
    const path = `${directory}/outbox.db`;
    openOutbox(path, keptLog()).close();
    const db = new DatabaseSync(path);
    db.exec("PRAGMA user_version = 99");
    db.close();
    assertThrows(
      () => openOutbox(path, keptLog()),
      OutboxError,
      "schema is version 99",
    );
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("Outbox.purge() removes what is older than a moment and nothing else", () => {
  using file = outboxFile();
  file.outbox.put(entry({ payload: "kept" }));
  assertEquals(file.outbox.purge(Date.now() - 60_000), 0);
  assertEquals(file.outbox.head("t")?.payload, "kept");
  assertEquals(file.outbox.purge(Date.now() + 60_000), 1);
  assertEquals(file.outbox.count(), 0);
});
