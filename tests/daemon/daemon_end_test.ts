/** How a daemon stops, starts again, and keeps its promises when the disk or the server does not. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { deadline } from "@std/async";
import { openOutbox } from "../../lib/daemon/outbox.ts";
import { json } from "../wire/scripted_fetch.ts";
import { DaemonWorld, type Intercept } from "./daemon_world.ts";
import { keptLog } from "./kept_log.ts";

Deno.test("Daemon.stop() takes no more tasks, lets the running one finish, beats on meanwhile, and then ends", async () => {
  await using w = await DaemonWorld.started();
  const first = await w.submit("1");
  const agent = await w.agent();
  w.daemon.stop();
  w.daemon.stop();
  const second = await w.submit("2");
  const beats = w.count("heartbeat");
  await w.clock.advance(120_000);
  assertEquals([w.daemon.phase.kind, w.daemon.status().holding, agent.stops], ["draining", "paused", 0]);
  assert(w.count("heartbeat") >= beats + 7);
  agent.end();
  assertEquals(await w.left(), "exit");
  assertEquals([(await w.show(first)).status, (await w.show(second)).status], ["completed", "queued"]);
  assertEquals([w.count("deregister"), w.daemon.phase.kind, w.agents.started.length], [1, "stopped", 1]);
});

Deno.test("Daemon.stop() ends an idle daemon at once", async () => {
  await using w = await DaemonWorld.started();
  w.daemon.stop();
  assertEquals(await w.left(), "exit");
  assert(w.clock.monotonic() <= 2_000);
});

Deno.test("Daemon.stop() runs what a claim still brings that was on its way", async () => {
  const claim = Promise.withResolvers<void>();
  let held = false;
  await using w = await DaemonWorld.started({
    intercept: (verb, _, pass) => {
      if (verb !== "claim" || held) return undefined;
      held = true;
      return claim.promise.then(pass);
    },
  });
  const id = await w.submit();
  w.daemon.stop();
  claim.resolve();
  (await w.agent()).end();
  await w.left();
  assertEquals((await w.show(id)).status, "completed");
});

Deno.test("Daemon.cancelTasks() ends what runs, to be tried again", async () => {
  await using w = await DaemonWorld.started();
  const id = await w.submit();
  const agent = await w.agent();
  w.daemon.stop();
  w.daemon.cancelTasks();
  assertEquals(await w.left(), "exit");
  const task = await w.show(id);
  assertEquals([task.status, task.failure_reason, agent.stops > 0], ["failed", "runtime_recovery", true]);
  assertEquals((await w.show(task.retried_by!)).status, "queued");
});

Deno.test("Daemon.cancelTasks() ends what a claim still brings that was on its way, until the drain is cancelled", async () => {
  const claim = Promise.withResolvers<void>();
  let held = false;
  let begun: number | undefined;
  await using w = await DaemonWorld.started({
    intercept: (verb, _, pass) => {
      if (verb === "fail") {
        begun = w.agents.started.length;
        assert(w.daemon.cancelDrain());
      }
      if (verb !== "claim" || held) return undefined;
      held = true;
      return claim.promise.then(pass);
    },
  });
  const id = await w.submit();
  w.daemon.stop();
  w.daemon.cancelTasks();
  claim.resolve();
  const task = await w.ended(id, "failed");
  assertEquals([task.failure_reason, begun], ["runtime_recovery", 0]);
  (await w.agent()).end();
  await w.ended(task.retried_by!, "completed");
  await w.idle();
});

Deno.test("Daemon.close() ends running agents and leaves their outcome on disk for the next process", async () => {
  await using w = await DaemonWorld.started();
  const id = await w.submit();
  const agent = await w.agent();
  await w.until("the session is told", () => w.count("session") === 1);
  await deadline(w.daemon.close(), 10_000);
  assert(agent.stops > 0);
  const outbox = openOutbox(w.home.outboxDb, keptLog());
  const left = outbox.head(id);
  outbox.close();
  const status = (await w.show(id)).status;
  assert(left?.kind === "fail" || status === "failed", `${left?.kind}, ${status}`);
});

Deno.test("Daemon.stop() during a start that cannot succeed ends it", async () => {
  const w = await DaemonWorld.create({ intercept: (verb) => verb === "workspaces" ? json({}, 500) : undefined });
  await using _world = w;
  const starting = assertRejects(() => w.daemon.start());
  await w.clock.advance(10_000);
  w.daemon.stop();
  await deadline(starting, 10_000);
  assertEquals(await w.left(), "exit");
});

/** The server takes no outcome. */
const NO_OUTCOME: Intercept = (verb) => ["complete", "fail"].includes(verb) ? json({ error: "down" }, 503) : undefined;

Deno.test("Daemon frees the slot when an outcome is on disk, and delivers it when the server is back", async () => {
  await using w = await DaemonWorld.started({ slots: 1, intercept: NO_OUTCOME });
  const [first, second] = [await w.submit("1"), await w.submit("2")];
  (await w.agent()).end();
  await w.until("the outcome was tried", () => w.count("complete") === 1);
  await w.later("the slot is free", () => w.agents.started.length === 2);
  assert(w.clock.monotonic() >= 30_000, "the slot is held while delivery may still work");
  const agent = await w.agent(1);
  assertEquals(w.daemon.status().outbox.waiting > 0, true);
  w.intercept = undefined;
  agent.end();
  await w.ended(second, "completed");
  await w.later("the first outcome is delivered", async () => (await w.show(first)).status === "completed");
});

Deno.test("Daemon delivers what the last process left before it recovers orphans", async () => {
  await using w = await DaemonWorld.started({ intercept: NO_OUTCOME });
  const id = await w.submit();
  (await w.agent()).end({ kind: "completed", output: "saved" });
  await w.until("the outcome was tried", () => w.count("complete") === 1);
  await deadline(w.daemon.close(), 10_000);
  assertEquals((await w.show(id)).status, "running");

  w.intercept = undefined;
  w.calls.length = 0;
  w.daemon = w.newDaemon();
  await w.daemon.start();
  const task = await w.show(id);
  assertEquals([task.status, task.output], ["completed", "saved"]);
  assert(w.calls.indexOf("complete") < w.calls.indexOf("recover-orphans"), w.calls.join(" "));
});

Deno.test("Daemon ends what an earlier instance left running before it does anything else, and recovers its tasks", async () => {
  // A process that was killed: nothing was reported, nothing was closed.
  await using w = await DaemonWorld.started();
  const id = await w.submit();
  await w.agent();
  const killed = w.daemon;
  const { work_dir } = await w.show(id);
  w.calls.length = 0;
  w.daemon = w.newDaemon();
  await w.daemon.start();
  assertEquals(w.agents.endedMarks.at(-1), "11111111-1111-4111-8111-111111111111:");
  const task = await w.show(id);
  assertEquals([task.status, task.failure_reason], ["failed", "runtime_recovery"]);
  const retry = await w.agent(1);
  assertEquals([retry.task!.id, retry.request.cwd === work_dir || work_dir === null], [task.retried_by, true]);
  retry.end();
  await w.ended(task.retried_by!, "completed");
  const closing = killed.close();
  await w.clock.advance(60_000);
  await closing;
});

/** A disk that is full: every write of the outbox fails, from another connection's trigger on. */
function fillDisk(w: DaemonWorld): () => void {
  const change = (sql: string) => {
    const db = new DatabaseSync(w.home.outboxDb);
    db.exec(sql);
    db.close();
  };
  for (const write of ["INSERT", "UPDATE", "DELETE"]) {
    change(`CREATE TRIGGER no_${write} BEFORE ${write} ON outbox BEGIN SELECT RAISE(FAIL, 'disk full'); END`);
  }
  return () => ["INSERT", "UPDATE", "DELETE"].forEach((write) => change(`DROP TRIGGER no_${write}`));
}

Deno.test("Daemon claims nothing while a result could be lost, delivers what it has, and claims again when it can write", async () => {
  await using w = await DaemonWorld.started({ intercept: NO_OUTCOME });
  const first = await w.submit("1");
  const agent = await w.agent();
  await w.until("the session is told", () => w.count("session") === 1);
  const mend = fillDisk(w);
  agent.end();
  await w.until("the outcome is held in memory", () => w.daemon.status().outbox.degraded);
  const second = await w.submit("2");
  await w.clock.advance(120_000);
  assertEquals([w.daemon.status().holding, w.agents.started.length], ["outbox-unwritable", 1]);
  assertEquals([(await w.show(second)).status, w.daemon.status().slots.running], ["queued", 1]);

  w.daemon.stop();
  await w.clock.advance(60_000);
  assertEquals(w.daemon.phase.kind, "draining", "ending now would lose the outcome");

  mend();
  assertEquals(await w.left(), "exit");
  const outbox = openOutbox(w.home.outboxDb, keptLog());
  assertEquals(outbox.head(first)?.kind, "complete");
  outbox.close();
});

Deno.test("Daemon takes work again on a full disk as soon as everything is delivered, and sends nothing twice", async () => {
  await using w = await DaemonWorld.started();
  const first = await w.submit("1");
  const agent = await w.agent();
  await w.until("the session is told", () => w.count("session") === 1);
  const mend = fillDisk(w);
  agent.say({ kind: "text", text: "still heard " });
  agent.end();
  await w.ended(first, "completed");
  await w.idle();
  assertEquals((await w.messages(first)).map(({ content }) => content), ["still heard "]);
  const second = await w.submit("2");
  (await w.agent(1)).end();
  await w.ended(second, "completed");
  await w.idle();
  assertEquals([w.count("complete"), w.count("messages")], [2, 1]);
  assertEquals(w.daemon.status().outbox, { waiting: 0, degraded: false });
  mend();
  await w.clock.advance(10_000);
  await deadline(w.daemon.close(), 10_000);
  const outbox = openOutbox(w.home.outboxDb, keptLog());
  assertEquals(outbox.count(), 0, "what was delivered is forgotten once the disk takes it");
  outbox.close();
});

Deno.test("Daemon registers again when the server forgot a runtime, and its running task goes on", async () => {
  await using w = await DaemonWorld.started();
  const id = await w.submit();
  const agent = await w.agent();
  w.intercept = (verb) => verb === "heartbeat" ? json({ error: "runtime not found" }, 404) : undefined;
  await w.clock.advance(30_000);
  w.intercept = undefined;
  await w.clock.advance(30_000);
  assert(w.count("register") >= 2);
  assertEquals([(await w.show(id)).status, agent.stops], ["running", 0]);
  agent.end();
  await w.ended(id, "completed");
});

Deno.test("Daemon of a run claims only what was submitted through it", async () => {
  await using w = await DaemonWorld.started({ daemon: { submittedTo: "mine" } });
  const other = await w.submit("other");
  const mine = await w.submit("mine", { submitted_by: "run" }, "mine");
  const agent = await w.agent();
  assertEquals(agent.task!.id, mine);
  agent.end();
  await w.ended(mine, "completed");
  await w.clock.advance(60_000);
  assertEquals([(await w.show(other)).status, w.agents.started.length], ["queued", 1]);
});

Deno.test("Daemon.close() leaves nothing behind on a disk that is full", async () => {
  await using w = await DaemonWorld.started();
  const id = await w.submit();
  const agent = await w.agent();
  await w.until("the session is told", () => w.count("session") === 1);
  fillDisk(w);
  await deadline(w.daemon.close(), 10_000);
  await w.clock.advance(60_000);
  // There is nowhere to keep the outcome, but it was sent.
  assertEquals([agent.stops > 0, w.clock.waiting, (await w.show(id)).status], [true, 0, "failed"]);
});
