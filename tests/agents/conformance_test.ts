/** What every adapter must do, whatever its protocol: each test runs once per row of the table of adapters. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { deadline } from "@std/async";
import { backendFor, PROVIDERS } from "../../lib/agents/registry.ts";
import { StopError, type StopReason } from "../../lib/core/message.ts";
import { MAX_LINE_BYTES } from "../../lib/agents/ndjson.ts";
import { SPEAKERS } from "./speakers.ts";
import { type FakeAgent, fakeAgent, listen, playback, runOn, taskOf } from "./agent_io.ts";

function texts(messages: readonly { kind: string; text?: string }[]): string[] {
  return messages.filter(({ kind }) => kind === "text").map(({ text }) => text?.trim() ?? "");
}

for (const { provider, begin = "", say, done } of SPEAKERS) {
  const backend = backendFor(provider);

  const startAborted = async (reason: unknown): Promise<{ agent: FakeAgent; outcome: unknown }> => {
    const agent = fakeAgent({ stderr: "x" });
    const abort = new AbortController();
    const heard = listen(backend.run(agent.io, taskOf(), abort.signal));
    await agent.print(begin + say("before"));
    abort.abort(reason);
    return { agent, outcome: (await heard).outcome };
  };

  Deno.test(`${provider}: messages come in the order they were printed, all of them`, async () => {
    const numbers = Array.from({ length: 500 }, (_, i) => `text ${i}`);
    const { messages, outcome } = await runOn(backend, playback(begin + numbers.map(say).join("") + done));
    assertEquals(texts(messages).slice(0, 500), numbers);
    assertEquals(outcome.kind, "completed");
  });

  Deno.test(`${provider}: the outcome comes after the last message and only once`, async () => {
    const agent = playback(begin + say("one") + done);
    const session = backend.run(agent.io, taskOf(), new AbortController().signal);
    let settled = 0;
    session.outcome.then(() => settled++);
    for await (const _message of session.messages) assertEquals(settled, 0);
    assertEquals((await session.outcome).kind, "completed");
    assertEquals(settled, 1);
  });

  Deno.test(`${provider}: a slow reader holds the agent back`, async () => {
    const agent = fakeAgent();
    const session = backend.run(agent.io, taskOf(), new AbortController().signal);
    const messages = session.messages[Symbol.asyncIterator]();
    const first = messages.next();
    await agent.print(begin + say("one"));
    await first;
    let taken = 0;
    const printing = (async () => {
      for (; taken < 10; taken++) await agent.print(say("more"));
      await agent.print(done);
      await agent.end();
    })();
    for (let i = 0; i < 50; i++) await Promise.resolve();
    assert(taken < 3, `${taken} lines were taken while nobody read`);
    while (!(await deadline(messages.next(), 20_000)).done);
    // An adapter that has its result leaves the rest of the stream alone.
    await Promise.race([printing, session.outcome]);
    assertEquals((await session.outcome).kind, "completed");
  });

  Deno.test(`${provider}: a last line without a line feed counts`, async () => {
    const { messages, outcome } = await runOn(backend, playback(begin + say("one") + done.trimEnd()));
    assertEquals(texts(messages)[0], "one");
    assertEquals(outcome.kind === "completed" && outcome.output.endsWith("done"), true);
  });

  const STOPS: [StopReason, string][] = [
    [{ kind: "cancelled", by: "server" }, "cancelled"],
    [{ kind: "cancelled", by: "user" }, "cancelled"],
    [{ kind: "time-limit", limitMs: 5_000 }, "timeout"],
    [{ kind: "silence-limit", limitMs: 5_000 }, "agent_error.agent_timeout"],
    [{ kind: "tool-limit", limitMs: 5_000, tool: "Bash" }, "agent_error.agent_timeout"],
    [{ kind: "gone" }, "cancelled"],
    [{ kind: "shutdown" }, "cancelled"],
  ];
  for (const [stop, reason] of STOPS) {
    const name = "by" in stop ? `${stop.kind} by the ${stop.by}` : stop.kind;
    Deno.test(`${provider}: a run that was stopped (${name}) ends with ${reason} though the agent hangs`, async () => {
      const { outcome } = await startAborted(new StopError(stop));
      assertEquals((outcome as { reason?: string }).reason, reason);
    });
  }

  Deno.test(`${provider}: a run stopped before it began ends with cancelled`, async () => {
    const agent = fakeAgent();
    const { outcome } = await runOn(backend, agent, { signal: AbortSignal.abort(new StopError({ kind: "gone" })) });
    assertEquals(outcome.kind === "failed" && outcome.reason, "cancelled");
  });

  Deno.test(`${provider}: a stop while the exit is awaited is a stop`, async () => {
    const agent = fakeAgent();
    const abort = new AbortController();
    const heard = listen(backend.run({ ...agent.io, exit: new Promise(() => {}) }, taskOf(), abort.signal));
    await agent.print(begin + say("one"));
    await agent.end();
    abort.abort(new StopError({ kind: "cancelled", by: "user" }));
    const { outcome } = await heard;
    assertEquals(outcome.kind === "failed" && outcome.reason, "cancelled");
  });

  Deno.test(`${provider}: letting go of the messages early settles the outcome`, async () => {
    const agent = fakeAgent();
    const session = backend.run(agent.io, taskOf(), new AbortController().signal);
    const printing = agent.print(begin + say("one"));
    for await (const _ of session.messages) break;
    await printing;
    assertEquals((await deadline(session.outcome, 20_000)).kind, "failed");
  });

  Deno.test(`${provider}: garbage never throws and ends in an outcome`, async () => {
    const garbage = crypto.getRandomValues(new Uint8Array(60_000));
    const structures =
      '{"type":5}\n{"type":"assistant"}\n{"type":"assistant","message":{"content":[null,1,"x",{}]}}\n' +
      '{"type":"user","message":{"content":"x"}}\n{"type":"control_request"}\n{"type":"system","subtype":"init"}\n[]\n';
    for (const code of [0, 1]) {
      const agent = fakeAgent();
      const heard = listen(backend.run(agent.io, taskOf(), new AbortController().signal));
      await agent.print(structures);
      await agent.print(garbage);
      await agent.end({ code });
      const { outcome } = await heard;
      if (code !== 0) assertEquals(outcome.kind, "failed");
    }
  });

  Deno.test(`${provider}: a line over the cap is left out and reported, and the run goes on`, async () => {
    const agent = fakeAgent();
    const heard = listen(backend.run(agent.io, taskOf(), new AbortController().signal));
    const piece = new Uint8Array(MAX_LINE_BYTES / 8).fill(0x78);
    for (let i = 0; i < 9; i++) await agent.print(piece);
    await agent.print(`\n${begin}${say("after")}${done}`);
    await agent.end().catch(() => {});
    const { messages, outcome } = await heard;
    assert(messages.some(({ kind }) => kind === "error"), "nothing was said of the line");
    assertEquals(texts(messages)[0], "after");
    assertEquals(outcome.kind, "completed");
  });

  Deno.test(`${provider}: an agent that ends before it is done has failed, with its code and stderr in the detail`, async () => {
    const agent = playback(begin + say("one"), { exit: { code: 7 }, stderr: "the reason" });
    const { outcome } = await runOn(backend, agent);
    assertEquals(outcome.kind === "failed" && outcome.reason, "agent_error.process_failure");
    const detail = outcome.kind === "failed" ? outcome.detail : "";
    assert(detail.includes("code 7") && detail.includes("the reason"), detail);
  });

  Deno.test(`${provider}: an agent that prints nothing and exits with 0 has failed`, async () => {
    const { messages, outcome } = await runOn(backend, playback(new Uint8Array()));
    assertEquals(messages, []);
    assertEquals(outcome.kind === "failed" && outcome.reason, "agent_error.empty_or_unparseable_output");
  });

  Deno.test(`${provider}: a stdout that breaks is a failure that says so`, async () => {
    const agent = fakeAgent();
    const stdout = new ReadableStream<Uint8Array>({ pull: () => Promise.reject(new Error("pipe broke")) });
    const { outcome } = await listen(
      backend.run({ ...agent.io, stdout }, taskOf(), new AbortController().signal),
    );
    assert(outcome.kind === "failed" && outcome.detail.includes("pipe broke"));
  });

  Deno.test(`${provider}: an agent that does not read its prompt can still answer`, async () => {
    const agent = playback(begin + say("one") + done);
    const stdin = new WritableStream<Uint8Array>({ write: () => new Promise(() => {}) });
    const { outcome } = await listen(
      backend.run({ ...agent.io, stdin }, taskOf({ prompt: "x".repeat(1_000_000) }), new AbortController().signal),
    );
    assertNotEquals(outcome.kind, "failed");
  });

  Deno.test(`${provider}: a stdin that fails is no failure of its own`, async () => {
    const agent = playback(begin + say("one") + done);
    const stdin = new WritableStream<Uint8Array>({ write: () => Promise.reject(new Error("broken pipe")) });
    const { outcome } = await listen(backend.run({ ...agent.io, stdin }, taskOf(), new AbortController().signal));
    assertEquals(outcome.kind, "completed");
  });
}

Deno.test("every protocol family of the table has an agent that speaks it in these tests", () => {
  const spoken = new Set(SPEAKERS.map(({ provider }) => backendFor(provider).family));
  assertEquals(PROVIDERS.filter(({ family }) => !spoken.has(family)).map(({ provider }) => provider), []);
});
