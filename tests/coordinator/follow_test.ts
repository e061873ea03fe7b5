/** Following a task: at once, complete, in order, without repeats, and without anything left behind. */
import { assert, assertEquals } from "@std/assert";
import { deadline, delay } from "@std/async";
import { followTask } from "../../lib/coordinator/follow.ts";
import type { Deps } from "../../lib/coordinator/deps.ts";
import { openStore } from "../../lib/coordinator/open_store.ts";
import { Progress } from "../../lib/coordinator/progress.ts";
import { Topics, Wakeups } from "../../lib/coordinator/wake.ts";
import { FakeClock } from "../support/fake_clock.ts";
import * as act from "./actions.ts";
import { newDatabase } from "./stores.ts";
import { countingRandom, countListeners, SILENT, World } from "./world.ts";

interface Event {
  readonly event: string;
  readonly id: string | undefined;
  // deno-lint-ignore no-explicit-any
  readonly data: any;
}

/** Reads server-sent events one by one. */
class EventReader {
  readonly #chunks: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(body: ReadableStream<Uint8Array>) {
    this.#chunks = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  }

  /** The next event; `undefined` at the end. Fails when nothing comes. */
  async next(): Promise<Event | undefined> {
    while (!this.#text.includes("\n\n")) {
      const { done, value } = await deadline(this.#chunks.read(), 5_000);
      if (done) return undefined;
      this.#text += value;
    }
    const end = this.#text.indexOf("\n\n");
    const lines = this.#text.slice(0, end).split("\n");
    this.#text = this.#text.slice(end + 2);
    const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    return { event: field("event") ?? "", id: field("id"), data: JSON.parse(field("data") ?? "null") };
  }

  /** The next bytes as they are. */
  async raw(): Promise<string> {
    return (await deadline(this.#chunks.read(), 5_000)).value ?? "";
  }

  /** All that is left, each in a word: a status or the text of a message. */
  async rest(): Promise<string[]> {
    const words = [];
    for (let event = await this.next(); event; event = await this.next()) words.push(wordOf(event));
    return words;
  }

  async cancel(): Promise<void> {
    await this.#chunks.cancel();
  }
}

function wordOf({ event, data }: Event): string {
  return `${event} ${event === "message" ? data.content : data.status}`;
}

async function follow(
  world: World,
  alias: string,
  options: { query?: string; headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<EventReader> {
  const { query = "", headers = {}, signal } = options;
  const request = new Request(`http://c/v1/tasks/${await world.id(alias)}/follow${query}`, {
    headers,
    ...(signal ? { signal } : {}),
  });
  const response = await world.coordinator.userApi(request);
  assertEquals([response.status, response.headers.get("content-type")], [200, "text/event-stream"]);
  assert(response.body);
  return new EventReader(response.body);
}

async function say(world: World, alias: string, ...seqs: number[]): Promise<void> {
  const messages = seqs.map((seq) => ({ seq, type: "text", content: `m${seq}` }));
  await world.daemon(`/api/daemon/tasks/${await world.id(alias)}/messages`, { messages });
}

async function runningTask(): Promise<World> {
  const world = await World.with(["claude"]);
  for (const step of [act.submit("a"), act.claim(), act.start("a")]) await step.run(world);
  return world;
}

Deno.test("follow() tells every change of state and every message as it happens, and ends with the task", async () => {
  await using world = await World.with(["claude"]);
  await act.submit("a").run(world);
  const events = await follow(world, "a");
  const next = async () => wordOf(await events.next() ?? { event: "closed", id: undefined, data: {} });
  assertEquals(await next(), "task queued");
  await act.claim().run(world);
  assertEquals(await next(), "task dispatched");
  await act.start("a").run(world);
  assertEquals(await next(), "task running");
  await say(world, "a", 1, 2);
  const first = await events.next();
  assertEquals([first?.event, first?.id, first?.data.content], ["message", "1", "m1"]);
  assertEquals(await next(), "message m2");
  await act.complete("a").run(world);
  assertEquals(await next(), "task completed");
  const end = await events.next();
  assertEquals([end?.event, end?.data.output], ["end", "a is done"]);
  assertEquals(await events.next(), undefined);
});

Deno.test("follow() gives a sign of life every 5 s while nothing happens, and none once the reader has left", async () => {
  await using world = await runningTask();
  const waiting = world.clock.waiting;
  const events = await follow(world, "a");
  assertEquals(wordOf((await events.next())!), "task running");
  for (let i = 0; i < 3; i++) {
    await world.clock.advance(5_000);
    assertEquals(await events.raw(), ":\n\n");
  }
  await events.cancel();
  assertEquals(world.clock.waiting, waiting);
});

Deno.test("follow() tells states that change in one turn each", async () => {
  await using world = await runningTask();
  const events = await follow(world, "a");
  assertEquals(wordOf((await events.next())!), "task running");
  await act.fail("a", "timeout").run(world);
  assertEquals(await events.rest(), ["task failed", "end failed"]);
});

Deno.test("follow() of a task that has ended gives all of it at once", async () => {
  await using world = await runningTask();
  await say(world, "a", 1, 2, 3);
  await act.complete("a").run(world);
  const events = await follow(world, "a");
  assertEquals(await events.rest(), ["task completed", "message m1", "message m2", "message m3", "end completed"]);
});

Deno.test("follow() goes on after ?since or Last-Event-ID", async () => {
  await using world = await runningTask();
  await say(world, "a", 1, 2, 3);
  await act.complete("a").run(world);
  const want = ["task completed", "message m3", "end completed"];
  assertEquals(await (await follow(world, "a", { query: "?since=2" })).rest(), want);
  assertEquals(await (await follow(world, "a", { headers: { "last-event-id": "2" } })).rest(), want);
});

Deno.test("follow() of a failed attempt ends with the attempt that repeats it", async () => {
  await using world = await runningTask();
  const events = await follow(world, "a");
  await act.fail("a", "timeout").run(world);
  let last: Event | undefined;
  for (let event = await events.next(); event; event = await events.next()) last = event;
  assertEquals([last?.event, last?.data.retried_by], ["end", await world.id("a#2")]);
});

Deno.test("follow() loses and repeats nothing when it begins and reads in the middle of a flood", async () => {
  await using world = await runningTask();
  const total = 1_200;
  const readers: Promise<string[]>[] = [];
  for (let seq = 1; seq <= total; seq += 3) {
    await say(world, "a", seq, seq + 1, seq + 2);
    // Sent twice, as after an answer that was lost.
    if (seq % 5 === 0) await say(world, "a", seq, seq + 1, seq + 2);
    if (seq % 201 === 1) readers.push((await follow(world, "a")).rest());
  }
  await act.complete("a").run(world);
  const messages = Array.from({ length: total }, (_, i) => `message m${i + 1}`);
  for (const words of await Promise.all(readers)) {
    assertEquals(words, ["task running", ...messages, "task completed", "end completed"]);
  }
});

Deno.test("follow() catches up with a reader that paused", async () => {
  await using world = await runningTask();
  const events = await follow(world, "a");
  assertEquals(wordOf((await events.next())!), "task running");
  for (let seq = 1; seq <= 500; seq++) await say(world, "a", seq);
  await act.complete("a").run(world);
  const words = await events.rest();
  assertEquals(words.slice(0, 500), Array.from({ length: 500 }, (_, i) => `message m${i + 1}`));
  assertEquals(words.slice(500), ["task completed", "end completed"]);
});

Deno.test("follow() ends when the coordinator closes", async () => {
  const world = await runningTask();
  const events = await follow(world, "a");
  assertEquals(wordOf((await events.next())!), "task running");
  await world.coordinator.close();
  assertEquals(await events.next(), undefined);
});

Deno.test("follow() ends when the request is aborted", async () => {
  await using world = await runningTask();
  const client = new AbortController();
  const events = await follow(world, "a", { signal: client.signal });
  assertEquals(wordOf((await events.next())!), "task running");
  client.abort();
  assertEquals(await events.next(), undefined);
});

Deno.test("follow() of an unknown task is refused", async () => {
  await using world = await World.with([]);
  assertEquals((await world.user("/v1/tasks/ffffffff/follow")).body.error.code, "task_unknown");
});

/** The parts without the routes, to see who is still listening. */
async function parts(): Promise<Deps & AsyncDisposable> {
  const clock = new FakeClock();
  const place = await newDatabase();
  const store = await openStore(place.database, { clock, log: SILENT });
  await store.run(`INSERT INTO runtimes
      (id, daemon_id, provider, name, version, device_name, position, status, last_seen_at, created_at, updated_at)
     VALUES ('r', 'd', 'claude', 'n', '', '', 0, 'online', 0, 0, 0)`);
  await store.run("INSERT INTO agents (id, runtime_id, name) VALUES ('g', 'r', 'claude')");
  await store.run("INSERT INTO threads (id, title, created_at) VALUES ('h', 't', 0)");
  await store.run(
    `INSERT INTO tasks (id, thread_id, agent_id, runtime_id, status, priority, prompt, directory_mode, permission, created_at)
     VALUES ('t', 'h', 'g', 'r', 'running', 0, 'p', 'scratch', 'full', 0)`,
  );
  return {
    store,
    clock,
    random: countingRandom(),
    log: SILENT,
    wakeups: new Wakeups(clock),
    topics: new Topics(SILENT),
    progress: new Progress(),
    workspaceId: "w",
    async [Symbol.asyncDispose]() {
      await store.close();
      await place[Symbol.asyncDispose]();
    },
  };
}

for (const way of ["cancels the stream", "aborts the request", "had aborted before"] as const) {
  Deno.test(`followTask() lets go of everything when the client ${way}`, async () => {
    await using deps = await parts();
    const client = new AbortController();
    const heard = countListeners(client.signal);
    if (way === "had aborted before") client.abort();
    const reader = new EventReader(followTask(deps, { id: "t", since: 0 }, { signal: client.signal }));
    if (way !== "had aborted before") {
      assertEquals(wordOf((await reader.next())!), "task running");
      assertEquals(deps.topics.size, 1);
    }
    if (way === "cancels the stream") await reader.cancel();
    else client.abort();
    assertEquals([deps.topics.size, heard.listeners], [0, 0]);
    deps.topics.notify("t");
    if (way !== "cancels the stream") assertEquals(await reader.next(), undefined);
  });
}

Deno.test("followTask() lets go when the client of a real server disconnects", async () => {
  await using deps = await parts();
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    // The server's own signal stays out of it: it aborts after every answer.
    () => new Response(followTask(deps, { id: "t", since: 0 }, { signal: new AbortController().signal })),
  );
  const client = new AbortController();
  const response = await fetch(`http://127.0.0.1:${server.addr.port}/`, { signal: client.signal });
  assert(response.body);
  const reader = new EventReader(response.body);
  assertEquals(wordOf((await reader.next())!), "task running");
  assertEquals(deps.topics.size, 1);
  client.abort();
  await reader.next().catch(() => undefined);
  const patience = AbortSignal.timeout(5_000);
  while (deps.topics.size > 0 && !patience.aborted) await delay(5);
  assertEquals(deps.topics.size, 0);
});

Deno.test("followTask() keeps what a slow reader has not taken in the database", async () => {
  await using deps = await parts();
  const client = new AbortController();
  const stream = followTask(deps, { id: "t", since: 0 }, { signal: client.signal });
  for (let seq = 1; seq <= 5_000; seq++) {
    await deps.store.run("INSERT INTO messages (task_id, seq, type, created_at) VALUES ('t', :seq, 'text', 0)", {
      seq,
    });
    deps.topics.notify("t");
  }
  const reader = stream.getReader();
  let chunks = 0;
  const take = async () => {
    await deadline(reader.read(), 5_000);
    chunks++;
  };
  await take();
  client.abort();
  for (let done = false; !done;) done = (await deadline(reader.read(), 5_000)).done, chunks++;
  assert(chunks < 25, `${chunks} chunks were waiting for a reader that did not read`);
});
