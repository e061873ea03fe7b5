/** Delivery: what arrives, in which order, what is tried again and when, and what is given up. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { createDelivery, type Delivery } from "../../lib/daemon/delivery.ts";
import type { OutboxEntry, OutboxKind } from "../../lib/daemon/outbox.ts";
import { createClient } from "../../lib/wire/client.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { type Answer, type Call, json, scriptedFetch } from "../wire/scripted_fetch.ts";
import { entry, type OutboxFile, outboxFile } from "./outbox_file.ts";

interface World extends AsyncDisposable {
  readonly clock: FakeClock;
  readonly file: OutboxFile;
  readonly calls: Call[];
  readonly delivery: Delivery;
  put(kind: OutboxKind, change?: Partial<OutboxEntry>): void;
  /** The calls so far: verb, or task and verb with `tasks`. */
  verbs(options?: { tasks: boolean }): string[];
}

/** What a server in good health says. */
function ok(call: Call): Response {
  const [, , , , id, verb] = call.path.split("/");
  return json({ id, status: verb === "fail" ? "failed" : "completed" });
}

function world(
  answer: (call: Call, nth: number) => Answer | Promise<Answer> = ok,
  { deduplicates = true } = {},
): World {
  const clock = new FakeClock();
  const file = outboxFile();
  const server = scriptedFetch(answer);
  const client = createClient({
    name: "c",
    baseUrl: "http://server.test",
    token: () => "",
    fetch: server.fetch,
    clock,
    version: "1",
    os: "linux",
    capabilities: [],
  });
  const delivery = createDelivery({
    connection: "c",
    client,
    get outbox() {
      return file.outbox;
    },
    clock,
    log: file.log,
    deduplicates: () => deduplicates,
  });
  return {
    clock,
    file,
    calls: server.calls,
    delivery,
    put: (kind, change = {}) => {
      const row = file.outbox.put(entry({ kind, payload: kind === "messages" ? '{"messages":[]}' : "{}", ...change }));
      delivery.kick(row.task);
    },
    verbs: ({ tasks } = { tasks: false }) =>
      server.calls.map(({ path }) => path.split("/").slice(tasks ? -2 : -1).join(" ")),
    async [Symbol.asyncDispose]() {
      await delivery.close();
      file[Symbol.dispose]();
    },
  };
}

/** The times at which calls came, in ms from now. */
async function timesOf(w: World, ms: number): Promise<number[]> {
  const began = w.clock.monotonic();
  const times: number[] = [];
  let seen = 0;
  for (let at = 0; at <= ms; at += 1_000) {
    await w.clock.advance(at === 0 ? 0 : 1_000);
    for (; seen < w.calls.length; seen++) times.push(w.clock.monotonic() - began);
  }
  return times;
}

Deno.test("Delivery sends what a task has in order, one at a time, to the call of its kind", async () => {
  let open = 0;
  await using w = world(async (call) => {
    assertEquals(++open, 1, "two calls of one task at once");
    await Promise.resolve();
    open--;
    return ok(call);
  });
  for (const kind of ["session", "messages", "messages", "usage", "complete"] as const) {
    w.put(kind, { payload: `{"k":"${kind}"}` });
  }
  assertEquals(await w.delivery.settled("t", { timeoutMs: 1_000 }), true);
  assertEquals(w.verbs(), ["session", "messages", "messages", "usage", "complete"]);
  assertEquals(w.calls[4]!.body, { k: "complete" });
  assertEquals([w.file.outbox.count(), w.delivery.counts()], [0, { delivered: 5, dropped: 0 }]);
});

Deno.test("Delivery.settled() tells whether anything is left", async () => {
  await using w = world(() => "never");
  assertEquals(await w.delivery.settled("t", { timeoutMs: 1_000 }), true);
  w.put("complete");
  const settled = w.delivery.settled("t", { timeoutMs: 1_000 });
  await w.clock.advance(1_000);
  assertEquals(await settled, false);
});

Deno.test("Delivery tries a report again on the protocol's schedule as long as the server is in trouble", async () => {
  await using w = world((call, nth) => nth <= 7 ? json({ error: "database error" }, 500) : ok(call));
  w.put("complete");
  const times = await timesOf(w, 300_000);
  assertEquals(times.map((ms) => ms / 1_000), [0, 4, 12, 28, 60, 124, 188, 252]);
  assertEquals([w.file.outbox.count(), w.delivery.counts().delivered], [0, 1]);
  assertEquals(w.clock.waiting, 0);
});

Deno.test("Delivery counts its attempts in the outbox, so that a restart goes on with them", async () => {
  await using w = world(() => json({}, 503));
  w.put("complete");
  await w.clock.advance(4_000);
  assertEquals(w.file.outbox.head("t")!.attempts, 2);
});

Deno.test("Delivery keeps a report while the server refuses for reasons that a person can mend", async () => {
  for (
    const [status, text] of [[401, "invalid token"], [403, "disabled"], [404, "not found"], [429, ""], [
      408,
      "",
    ]] as const
  ) {
    await using w = world(() => json({ error: text }, status));
    w.put("complete");
    await w.clock.advance(600_000);
    assertEquals(w.file.outbox.head("t")?.kind, "complete", `${status} ${text}`);
    assert(w.calls.length > 10);
  }
});

Deno.test("Delivery reports a failure instead of a completion that the server refuses, with the same session", async () => {
  await using w = world((call) => call.path.endsWith("/complete") ? json({ error: "bad output" }, 400) : ok(call));
  w.put("complete", { payload: JSON.stringify({ output: "x", session_id: "s", work_dir: "/w", branch_name: "b" }) });
  assertEquals(await w.delivery.settled("t", { timeoutMs: 1_000 }), true);
  assertEquals(w.verbs(), ["complete", "fail"]);
  const { error, ...rest } = w.calls[1]!.body as Record<string, string>;
  assertStringIncludes(error!, "bad output");
  assertEquals(rest, { failure_reason: "agent_error.unknown", session_id: "s", work_dir: "/w", branch_name: "b" });
});

Deno.test("Delivery gives up a failure that the server refuses, and says so", async () => {
  for (const kind of ["fail", "cancel-ack"] as const) {
    await using w = world(() => json({ error: "no" }, 422));
    w.put(kind);
    assertEquals(await w.delivery.settled("t", { timeoutMs: 1_000 }), true);
    assertEquals([w.calls.length, w.delivery.counts()], [1, { delivered: 0, dropped: 1 }]);
    assertEquals(w.file.log.said("warn"), ["outbox record given up"]);
  }
});

Deno.test("Delivery gives up what belongs to a task that the server deleted", async () => {
  await using w = world(() => json({ error: "task not found" }, 404));
  for (const kind of ["messages", "usage", "complete"] as const) w.put(kind);
  assertEquals(await w.delivery.settled("t", { timeoutMs: 1_000 }), true);
  assertEquals([w.verbs(), w.delivery.counts().dropped], [["messages", "usage", "complete"], 3]);
});

Deno.test("Delivery takes 200 with an unchanged row for an answer, not for a success", async () => {
  for (
    const [status, delivered] of [["running", 0], ["dispatched", 0], ["cancelled", 1], ["failed", 1], ["", 1]] as const
  ) {
    await using w = world(() => json({ id: "t", status }));
    w.put("complete");
    assertEquals(await w.delivery.settled("t", { timeoutMs: 1_000 }), true);
    assertEquals([w.calls.length, w.delivery.counts()], [1, { delivered, dropped: 1 - delivered }], status);
  }
});

Deno.test("Delivery sends an outcome again whose answer was lost", async () => {
  for (const lost of [new Error("reset"), json({}, 502), new Response("<html>"), "never"] as const) {
    await using w = world((call, nth) => nth === 1 ? lost : ok(call));
    w.put("complete");
    await w.clock.advance(60_000);
    assertEquals([w.verbs(), w.file.outbox.count()], [["complete", "complete"], 0]);
  }
});

Deno.test("Delivery sends an outcome again whose answer is about no task, or about another one", async () => {
  for (const odd of [{}, { status: "ok" }, { id: "other", status: "completed" }]) {
    await using w = world((call, nth) => nth === 1 ? json(odd) : ok(call));
    w.put("complete");
    await w.clock.advance(60_000);
    assertEquals([w.verbs(), w.file.outbox.count()], [["complete", "complete"], 0]);
  }
});

Deno.test("Delivery sends messages again only where the server keeps each of them once", async () => {
  const lost = (): [
    Answer,
    string,
  ][] => [[new Error("reset"), "a broken line"], ["never", "no answer"], [json({}, 504), "a gateway"]];
  for (const deduplicates of [true, false]) {
    for (const [answer, name] of lost()) {
      await using w = world((call, nth) => nth === 1 ? answer : ok(call), { deduplicates });
      w.put("messages");
      await w.clock.advance(60_000);
      assertEquals(w.calls.length, deduplicates ? 2 : 1, name);
      assertEquals(
        w.delivery.counts(),
        deduplicates ? { delivered: 1, dropped: 0 } : { delivered: 0, dropped: 1 },
        name,
      );
    }
  }
});

Deno.test("Delivery sends messages again that the server certainly did not keep", async () => {
  await using w = world((call, nth) => nth === 1 ? json({ error: "database error" }, 500) : ok(call), {
    deduplicates: false,
  });
  w.put("messages");
  await w.clock.advance(4_000);
  assertEquals([w.calls.length, w.delivery.counts().delivered], [2, 1]);
});

Deno.test("Delivery drops messages that a crash left half sent, unless the server keeps each of them once", async () => {
  for (const deduplicates of [true, false]) {
    await using w = world(ok, { deduplicates });
    w.file.outbox.update(w.file.outbox.put(entry({ payload: '{"messages":[]}' })), { state: "sending" });
    w.file.outbox.put(entry({ kind: "complete" }));
    w.file.reopen();
    await w.delivery.deliverAll({ workspace: "w", signal: new AbortController().signal });
    assertEquals(w.verbs(), deduplicates ? ["messages", "complete"] : ["complete"]);
  }
});

Deno.test("Delivery marks messages before it sends them where a second sending would double them", async () => {
  for (const deduplicates of [true, false]) {
    const states: (string | undefined)[] = [];
    await using w = world((call) => {
      states.push(w.file.outbox.head("t")?.state);
      return ok(call);
    }, { deduplicates });
    w.put("messages");
    await w.clock.settle();
    assertEquals(states, [deduplicates ? "pending" : "sending"]);
  }
});

Deno.test("Delivery lets messages hold up an outcome for some attempts, and not for ever", async () => {
  await using w = world((call) => call.path.endsWith("/messages") ? json({}, 500) : ok(call));
  w.put("messages");
  await w.clock.advance(30_000);
  w.put("complete");
  await w.clock.advance(94_000);
  assertEquals(w.verbs().at(-1), "complete");
  assertEquals([w.calls.length, w.delivery.counts()], [7, { delivered: 1, dropped: 1 }]);
});

Deno.test("Delivery keeps trying messages while the task is still running", async () => {
  await using w = world(() => json({}, 500));
  w.put("messages");
  await w.clock.advance(3_600_000);
  assert(w.calls.length > 50);
  assertEquals(w.file.outbox.count(), 1);
});

Deno.test("Delivery does not let one task's trouble hold up another", async () => {
  await using w = world((call) => call.path.includes("/bad/") ? json({}, 500) : ok(call));
  w.put("complete", { task: "bad" });
  w.put("complete", { task: "good" });
  assertEquals(await w.delivery.settled("good", { timeoutMs: 1_000 }), true);
  assertEquals(w.verbs({ tasks: true }), ["bad complete", "good complete"]);
});

Deno.test("Delivery.deliverAll() sends what the last process left, of its own connection", async () => {
  await using w = world();
  w.file.outbox.put(entry({ kind: "complete", task: "a" }));
  w.file.outbox.put(entry({ kind: "fail", task: "b" }));
  w.file.outbox.put(entry({ kind: "complete", task: "x", connection: "other" }));
  w.file.reopen();
  await w.delivery.deliverAll({ workspace: "w", signal: new AbortController().signal });
  assertEquals([w.verbs({ tasks: true }), w.file.outbox.count()], [["a complete", "b fail"], 1]);
});

Deno.test("Delivery.deliverAll() sends what every workspace left, and waits for its own alone", async () => {
  await using w = world((call) => call.path.includes("/left/") ? json({ error: "not found" }, 404) : ok(call));
  w.file.outbox.put(entry({ kind: "complete", task: "left", workspace: "left" }));
  w.file.outbox.put(entry({ kind: "complete", task: "own" }));
  await w.delivery.deliverAll({ workspace: "w", signal: new AbortController().signal });
  assertEquals(w.verbs({ tasks: true }), ["left complete", "own complete"]);
  assertEquals(w.file.outbox.head("left")?.kind, "complete");
});

Deno.test("Delivery.deliverAll() waits for a task as long as nobody looks at it, and for one that is refused some minutes", async () => {
  for (
    const [answer, minutes, over] of [
      [() => json({ error: "not found" }, 404), [1, 3], true],
      [() => json({ error: "database error" }, 500), [4, 17], true],
      [() => json({}, 503), [1, 4], false],
      [() => json({}, 429), [1, 4], false],
      [() => new Error("connection refused"), [1, 4], false],
    ] as const
  ) {
    await using w = world(answer);
    w.file.outbox.put(entry({ kind: "complete" }));
    let ended = false;
    const all = w.delivery.deliverAll({ workspace: "w", signal: new AbortController().signal })
      .then(() => ended = true, () => {});
    await w.clock.advance(minutes[0] * 60_000);
    assertEquals(ended, false);
    await w.clock.advance((minutes[1] - minutes[0]) * 60_000);
    assertEquals([ended, w.file.outbox.count()], [over, 1]);
    await w.delivery.close();
    await w.clock.advance(1_000);
    await all;
  }
});

Deno.test("Delivery.deliverAll() ends when its signal aborts or the delivery is closed", async () => {
  for (const how of ["abort", "close"] as const) {
    await using w = world(() => json({}, 500));
    w.file.outbox.put(entry({ kind: "complete" }));
    const abort = new AbortController();
    const all = w.delivery.deliverAll({ workspace: "w", signal: abort.signal });
    const rejected = assertRejects(() => all, Error);
    await w.clock.advance(10_000);
    if (how === "abort") abort.abort(new Error("enough"));
    else await w.delivery.close();
    await w.clock.advance(1_000);
    await rejected;
  }
});

Deno.test("Delivery.close() ends the wait for the next attempt, and the row stays for the next process", async () => {
  await using w = world(() => json({}, 500));
  w.put("complete");
  await w.clock.advance(1_000);
  const settled = w.delivery.settled("t", { timeoutMs: 60_000 });
  await w.delivery.close();
  assertEquals([await settled, w.clock.waiting, w.delivery.closed], [false, 0, true]);
  assertEquals(w.file.outbox.head("t")!.kind, "complete");
});

Deno.test("Delivery.close() ends a call on its way, and leaves its row as it was", async () => {
  await using w = world(() => "never", { deduplicates: false });
  w.put("messages");
  w.put("complete");
  await w.clock.settle();
  await w.delivery.close();
  assertEquals([w.file.outbox.count(), w.file.outbox.head("t")!.state, w.clock.waiting], [2, "sending", 0]);
});

Deno.test("Delivery does nothing once it is closed", async () => {
  await using w = world();
  await w.delivery.close();
  w.put("complete");
  await w.clock.advance(60_000);
  assertEquals([w.calls.length, await w.delivery.settled("t", { timeoutMs: 1_000 }), w.clock.waiting], [0, false, 0]);
});

Deno.test("Delivery sends a row that came in while the last one was on its way", async () => {
  await using w = world((call) => {
    if (call.path.endsWith("/session")) w.put("complete");
    return ok(call);
  });
  w.put("session");
  assertEquals(await w.delivery.settled("t", { timeoutMs: 1_000 }), true);
  assertEquals(w.verbs(), ["session", "complete"]);
});

Deno.test("Delivery sends each row once on a disk that takes no more changes", async () => {
  await using w = world((call) => call.path.endsWith("/complete") ? json({}, 400) : ok(call));
  w.put("messages", { task: "later" });
  await w.clock.settle();
  w.file.breakWrites("DELETE", "UPDATE");
  w.put("usage");
  w.put("complete");
  await w.clock.advance(60_000);
  assertEquals(w.verbs(), ["messages", "usage", "complete", "fail"]);
  w.file.mend();
});

Deno.test("Delivery outlives an outbox that cannot be read for a while", async () => {
  await using w = world();
  const { head } = w.file.outbox;
  let failing = true;
  w.file.outbox.head = (task) => {
    if (failing) throw new Error("disk I/O error");
    return head.call(w.file.outbox, task);
  };
  w.put("complete");
  await w.clock.advance(1_000);
  assertEquals([w.calls.length, w.file.log.said("error").length], [0, 1]);
  failing = false;
  await w.clock.advance(4_000);
  assertEquals([w.calls.length, w.file.outbox.count()], [1, 0]);
});
