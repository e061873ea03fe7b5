/** The fake model answers as a real one would, as far as the CLIs can tell: tools, streams, errors, hang-ups. */
import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { type FakeLlm, startFakeLlm } from "./fake_llm.ts";

const BASH = {
  name: "Bash",
  input_schema: { type: "object", properties: { command: { type: "string" } }, required: ["command"] },
};

interface Message {
  role: "user" | "assistant";
  content: unknown;
}

function ask(
  llm: FakeLlm,
  messages: Message[],
  options: { stream?: boolean; tools?: unknown[]; signal?: AbortSignal; extra?: object } = {},
): Promise<Response> {
  const { stream = false, tools = [BASH], signal, extra } = options;
  return fetch(`${llm.url}/v1/messages?beta=true`, {
    method: "POST",
    body: JSON.stringify({ model: "some-model", messages, tools, stream, ...extra }),
    signal,
  });
}

const says = (text: string): Message => ({ role: "user", content: text });

function toolTurns(result: string): Message[] {
  return [
    { role: "assistant", content: [{ type: "tool_use", id: "t1", name: "Bash", input: {} }] },
    { role: "user", content: [{ type: "tool_result", tool_use_id: "t1", content: [{ type: "text", text: result }] }] },
  ];
}

Deno.test("startFakeLlm() calls the client's shell tool first and then quotes what it gave back", async () => {
  await using llm = await startFakeLlm();
  const first = await (await ask(llm, [says("please run it")])).json();
  assertEquals(first.stop_reason, "tool_use");
  assertEquals(first.content[0].name, "Bash");
  assertEquals(first.content[0].input, { command: "echo hello-from-tool" });

  const second = await (await ask(llm, [says("please run it"), ...toolTurns("hello-from-tool")])).json();
  assertEquals(second.stop_reason, "end_turn");
  assertEquals(second.content, [{ type: "text", text: "Final answer after tool. Tool said: hello-from-tool" }]);
  assertEquals(llm.requests.map((request) => request.asked?.step), [0, 1]);
  assertEquals(llm.requests[1]?.asked?.toolResult, "hello-from-tool");
});

Deno.test("startFakeLlm() streams the same answer in pieces that add up to it", async () => {
  await using llm = await startFakeLlm();
  const text = await (await ask(llm, [says("@fake:think")], { stream: true })).text();
  const events = [...text.matchAll(/^event: (\w+)\ndata: (.*)$/gm)].map((found) => ({
    event: found[1],
    data: JSON.parse(found[2] ?? ""),
  }));
  assertEquals(events[0]?.event, "message_start");
  assertEquals(events.at(-1)?.event, "message_stop");
  const deltas = events.filter(({ event }) => event === "content_block_delta").map(({ data }) => data.delta);
  assertEquals(deltas.map((delta) => delta.thinking ?? "").join(""), "Let me think.");
  assertEquals(JSON.parse(deltas.map((delta) => delta.partial_json ?? "").join("")), {
    command: "echo hello-from-tool",
  });
  const end = events.find(({ event }) => event === "message_delta");
  assertEquals(end?.data.delta.stop_reason, "tool_use");
  assertEquals(end?.data.usage.output_tokens, 50);
});

Deno.test("startFakeLlm() starts over at a new prompt and follows its mark, not what the CLI injects", async () => {
  await using llm = await startFakeLlm();
  const before = [says("please run it"), ...toolTurns("x"), { role: "assistant", content: "Done." } as const];
  const injected = says("<system-reminder>@fake-free note</system-reminder>");
  const reply = await (await ask(llm, [...before, says("and @fake:text now"), injected])).json();
  assertEquals(reply.content[0].text, "Just text.");
  assertEquals(llm.requests[0]?.asked?.prompt, "and @fake:text now");
});

Deno.test("startFakeLlm() fails in the dialect's shape, as often as the step says", async () => {
  await using llm = await startFakeLlm();
  const refused = await ask(llm, [says("@fake:http429")]);
  assertEquals([refused.status, refused.headers.get("retry-after")], [429, "1"]);
  assertEquals((await refused.json()).error.type, "rate_limit_error");

  const statuses = [];
  for (let i = 0; i < 3; i++) {
    const reply = await ask(llm, [says("@fake:flaky")]);
    await reply.body?.cancel();
    statuses.push(reply.status);
  }
  assertEquals(statuses, [500, 500, 200]);

  const event = await (await ask(llm, [says("@fake:errorevent")], { stream: true })).text();
  assertMatch(event, /^event: error\ndata: .*overloaded_error.*Overloaded \(fake\)/);
});

Deno.test("startFakeLlm() breaks the connection in the middle of a stream when told to", async () => {
  await using llm = await startFakeLlm();
  const reply = await ask(llm, [says("@fake:drop")], { stream: true });
  const reader = reply.body!.getReader();
  assertStringIncludes(new TextDecoder().decode((await reader.read()).value), "message_start");
  await assertRejects(async () => {
    while (!(await reader.read()).done);
  });
});

Deno.test("startFakeLlm() notices that a client hung up, before an answer and in the middle of one", async () => {
  await using llm = await startFakeLlm();
  for (const scenario of ["hang", "stall"]) {
    const abort = new AbortController();
    const hung = ask(llm, [says(`@fake:${scenario}`)], { stream: true, signal: abort.signal })
      .then((reply) => reply.text());
    const failed = assertRejects(() => hung);
    const arrived = await llm.waitFor((request) => request.asked?.scenario === scenario);
    assertEquals(arrived.aborted, false);
    abort.abort();
    await failed;
    await llm.waitFor((request) => request.asked?.scenario === scenario && request.aborted);
  }
});

Deno.test("startFakeLlm() can be closed while a client waits for an answer", async () => {
  const llm = await startFakeLlm();
  const failed = assertRejects(async () => await (await ask(llm, [says("@fake:stall")], { stream: true })).text());
  await llm.waitFor((request) => request.asked?.scenario === "stall");
  await llm[Symbol.asyncDispose]();
  await failed;
});

Deno.test("startFakeLlm() answers side requests by themselves, in the schema they demand", async () => {
  await using llm = await startFakeLlm();
  const title = await (await ask(llm, [says("name this: @fake:http500")], { tools: [] })).json();
  assertEquals(title.content[0].text, "fake title");
  const schema = { type: "object", properties: { title: { type: "string" } }, required: ["title"] };
  const extra = { output_config: { format: { schema } } };
  const named = await (await ask(llm, [says("name this")], { tools: [], extra })).json();
  assertEquals(JSON.parse(named.content[0].text), { title: "fake" });
});

Deno.test("startFakeLlm() answers reachability probes and token counts, and 404 for what it does not speak", async () => {
  await using llm = await startFakeLlm();
  const status = async (method: string, path: string) => {
    const reply = await fetch(`${llm.url}${path}`, { method, body: method === "POST" ? "{}" : undefined });
    const text = await reply.text();
    return { status: reply.status, text };
  };
  assertEquals((await status("HEAD", "/api/hello")).status, 200);
  assertEquals(await status("POST", "/v1/messages/count_tokens"), { status: 200, text: '{"input_tokens":100}' });
  assertEquals((await status("POST", "/v1/elsewhere")).status, 404);
  assertEquals(llm.requests.map(({ path }) => path), ["/api/hello", "/v1/messages/count_tokens", "/v1/elsewhere"]);
});

Deno.test("startFakeLlm() says which tools it missed, and stops a client that goes round in circles", async () => {
  await using llm = await startFakeLlm({ maxRequests: 1 });
  const missing = await ask(llm, [says("x")], { tools: [{ name: "Look", input_schema: {} }] });
  assertStringIncludes((await missing.json()).error.message, "Look");
  const capped = await ask(llm, [says("@fake:text")]);
  assertStringIncludes((await capped.json()).error.message, "More than 1 requests");
  assertEquals(capped.status, 400);
});

Deno.test("waitFor() rejects at its deadline and shows what came instead", async () => {
  await using llm = await startFakeLlm();
  await (await fetch(`${llm.url}/unknown`)).body?.cancel();
  await assertRejects(() => llm.waitFor((request) => request.path === "/v1", { timeoutMs: 10 }), Error, "/unknown");
});
