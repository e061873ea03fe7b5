/** The claude adapter beyond the recordings: command lines, answers on stdin, and every way a run can fail. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { backendFor } from "../../lib/agents/registry.ts";
import { claudeStreamJson } from "../../lib/agents/claude_stream_json.ts";
import type { FailureReason } from "../../lib/core/failure.ts";
import type { PermissionRequest } from "../../lib/core/message.ts";
import type { Permission, Runtime } from "../../lib/core/model.ts";
import { fakeAgent, kindsOf, listen, playback, runOn, taskOf } from "./agent_io.ts";

const RUNTIME: Runtime = {
  provider: "claude",
  family: "claude-stream-json",
  executable: "/bin/claude",
  fixedArgs: ["first"],
  version: "2.1.0",
  env: { NEEDED: "1" },
};

function jsonLines(...events: unknown[]): string {
  return events.map((event) => `${JSON.stringify(event)}\n`).join("");
}

function assistant(...content: unknown[]): unknown {
  return { type: "assistant", message: { content } };
}

const INIT = { type: "system", subtype: "init", session_id: "s1", model: "m1" };
const DONE = { type: "result", subtype: "success", is_error: false, result: "fine" };

Deno.test("commandFor() keeps the prompt out of the arguments and puts the runtime's own first", () => {
  const task = taskOf({ prompt: "the secret plan", model: "opus", resumeSession: "s9" });
  const { executable, args, env, stdin } = backendFor("claude").commandFor(RUNTIME, task);
  assertEquals([executable, args[0], env, stdin], ["/bin/claude", "first", { NEEDED: "1" }, "pipe"]);
  const line = args.join(" ");
  assertEquals(line.includes("secret"), false);
  for (const part of ["--input-format stream-json", "--output-format stream-json", "--verbose"]) {
    assertStringIncludes(line, part);
  }
  assertStringIncludes(line, "--permission-mode bypassPermissions");
  assertStringIncludes(line, "--model opus --resume s9");
});

Deno.test("commandFor() offers a read-only run no tool that can write, and no settings that could run something", () => {
  const line = backendFor("claude").commandFor(RUNTIME, taskOf({ permission: "read-only" })).args.join(" ");
  assertStringIncludes(line, "--permission-mode dontAsk --tools Read,Glob,Grep,WebFetch,WebSearch");
  assertStringIncludes(line, "--strict-mcp-config --setting-sources user");
  assertEquals(/bypass|Bash|Write|Edit/.test(line), false);
});

Deno.test("run() sends the prompt as one user message and keeps stdin open until the result", async () => {
  const agent = fakeAgent();
  const session = claudeStreamJson.run(
    agent.io,
    taskOf({ prompt: 'two\nlines "quoted"' }),
    new AbortController().signal,
  );
  let closed = false;
  agent.stdinClosed.then(() => closed = true);
  const heard = listen(session);
  await agent.print(jsonLines(INIT, assistant({ type: "text", text: "fine" })));
  assertEquals(closed, false);
  assertEquals(JSON.parse(agent.written()), {
    type: "user",
    message: { role: "user", content: [{ type: "text", text: 'two\nlines "quoted"' }] },
  });
  await agent.print(jsonLines(DONE));
  await agent.stdinClosed;
  assertEquals((await heard).outcome, { kind: "completed", output: "fine", sessionId: "s1" });
});

Deno.test("run() is over at the result, also when the agent lives on", async () => {
  const agent = fakeAgent();
  const session = claudeStreamJson.run(agent.io, taskOf(), new AbortController().signal);
  const heard = listen(session);
  await agent.print(jsonLines(INIT, DONE));
  assertEquals((await heard).outcome.kind, "completed");
});

Deno.test("run() answers each request as the task's permission says", async (t) => {
  const ask = { subtype: "can_use_tool", tool_name: "Bash", input: { command: "make", run_in_background: true } };
  const rows: { name: string; permission: Permission; request: unknown; response: unknown }[] = [
    {
      name: "full allows, but never in the background",
      permission: "full",
      request: ask,
      response: {
        subtype: "success",
        request_id: "r1",
        response: { behavior: "allow", updatedInput: { command: "make", run_in_background: false } },
      },
    },
    {
      name: "read-only denies",
      permission: "read-only",
      request: ask,
      response: {
        subtype: "success",
        request_id: "r1",
        response: { behavior: "deny", message: "This run may only read, so Bash is not allowed" },
      },
    },
    {
      name: "what nobody can do is refused, so that the agent does not wait",
      permission: "full",
      request: { subtype: "hook_callback" },
      response: { subtype: "error", request_id: "r1", error: "drover does not answer hook_callback" },
    },
  ];
  for (const { name, permission, request, response } of rows) {
    await t.step(name, async () => {
      const agent = playback(jsonLines(INIT, { type: "control_request", request_id: "r1", request }, DONE));
      await runOn(claudeStreamJson, agent, { task: { permission } });
      await agent.stdinClosed;
      const [, reply] = agent.written().trim().split("\n");
      assertEquals(JSON.parse(reply ?? ""), { type: "control_response", response });
    });
  }
});

Deno.test("run() names the reason of a failed result by its fields, the most specific first", async (t) => {
  const error = { type: "result", subtype: "success", is_error: true, result: "it said: 429 rate limit" };
  const rows: [name: string, result: Record<string, unknown>, FailureReason][] = [
    ["a status", { ...error, api_error_status: 529 }, "agent_error.provider_capacity_or_rate_limit"],
    ["no status, a provider's type", { ...error, api_error_type: "billing_error" }, "agent_error.provider_quota_limit"],
    ["no status, a broken connection", { ...error, api_error: "connection_failed" }, "agent_error.provider_network"],
    [
      "a prompt that is too long, which is also a status 400",
      { ...error, terminal_reason: "prompt_too_long", api_error_status: 400 },
      "agent_error.context_overflow",
    ],
    ["the turn limit", { ...error, terminal_reason: "max_turns" }, "iteration_limit"],
    [
      "the turn limit of older versions",
      { type: "result", subtype: "error_max_turns", is_error: false },
      "iteration_limit",
    ],
    ["only words, which are not read", error, "agent_error.unknown"],
  ];
  for (const [name, result, reason] of rows) {
    await t.step(name, async () => {
      const { outcome } = await runOn(claudeStreamJson, playback(jsonLines(INIT, result), { exit: { code: 1 } }));
      assertEquals(outcome.kind === "failed" && outcome.reason, reason);
    });
  }
});

Deno.test("run() keeps what the agent printed to stderr when it died without a result", async () => {
  const agent = playback(jsonLines(INIT), {
    exit: { code: 1 },
    stderr: "--dangerously-skip-permissions cannot be used\n",
  });
  assertEquals((await runOn(claudeStreamJson, agent)).outcome, {
    kind: "failed",
    reason: "agent_error.process_failure",
    detail: "The agent ended without a result. The agent ended with code 1; the end of its error output:\n" +
      "--dangerously-skip-permissions cannot be used",
    sessionId: "s1",
  });
});

Deno.test("run() quotes the first line it could not read when there was no result", async () => {
  const agent = playback(`npm warn something\n[1]\nnull\n"text"\n{"cut":\n`);
  const { messages, outcome } = await runOn(claudeStreamJson, agent);
  assertEquals(messages, []);
  assertEquals(outcome.kind === "failed" && outcome.reason, "agent_error.empty_or_unparseable_output");
  assertStringIncludes(
    outcome.kind === "failed" ? outcome.detail : "",
    "5 lines of its output could not be read as JSON",
  );
  assertStringIncludes(outcome.kind === "failed" ? outcome.detail : "", "npm warn something");
});

Deno.test("run() names no session that the agent could not find", async () => {
  const lost = { type: "result", subtype: "error_during_execution", is_error: true, errors: ["No conversation found"] };
  const agent = playback(jsonLines({ ...lost, session_id: "gone" }), { exit: { code: 1 } });
  const { outcome } = await runOn(claudeStreamJson, agent, { task: { resumeSession: "gone" } });
  assertEquals([outcome.sessionId, outcome.kind === "failed" && outcome.resumeRejected], [undefined, true]);
  assertStringIncludes(outcome.kind === "failed" ? outcome.detail : "", "No conversation found");
});

Deno.test("run() takes no session for rejected that began, or that nobody asked for", async () => {
  const lost = { type: "result", subtype: "error_during_execution", is_error: true, errors: ["No conversation found"] };
  const began = await runOn(claudeStreamJson, playback(jsonLines(INIT, lost)), { task: { resumeSession: "s1" } });
  const fresh = await runOn(claudeStreamJson, playback(jsonLines(lost)));
  for (const { outcome } of [began, fresh]) assertEquals("resumeRejected" in outcome, false);
});

Deno.test("run() says until when a quota is used up, where the provider did", async () => {
  const limit = (status: string) => ({
    type: "rate_limit_event",
    rate_limit_info: { status, resetsAt: 1_800_000_000 },
  });
  const refused = { ...DONE, is_error: true, api_error_status: 429 };
  const spent = await runOn(claudeStreamJson, playback(jsonLines(INIT, limit("rejected"), refused)));
  assertEquals(spent.outcome.kind === "failed" && [spent.outcome.reason, spent.outcome.retryAt], [
    "agent_error.provider_quota_limit",
    1_800_000_000_000,
  ]);
  const busy = await runOn(claudeStreamJson, playback(jsonLines(INIT, limit("rejected"), limit("allowed"), refused)));
  assertEquals(busy.outcome.kind === "failed" && [busy.outcome.reason, busy.outcome.retryAt], [
    "agent_error.provider_capacity_or_rate_limit",
    undefined,
  ]);
});

Deno.test("run() answers with what was said after the last tool when the result has no text", async () => {
  const tool = { type: "tool_use", id: "t1", name: "Read", input: {} };
  const say = (text: string) => assistant({ type: "text", text });
  const { messages, outcome } = await runOn(
    claudeStreamJson,
    playback(jsonLines(INIT, say("before"), assistant(tool), say("one"), say("two"), { ...DONE, result: "" })),
  );
  assertEquals(outcome, { kind: "completed", output: "one\n\ntwo", sessionId: "s1" });
  // Texts in a row are read as one text, so the second brings its own paragraph break.
  assertEquals(messages.slice(3), [{ kind: "text", text: "one" }, { kind: "text", text: "\n\ntwo" }]);
});

Deno.test("run() shows a tool's answer that is not only text", async () => {
  const content = [{ type: "text", text: "a picture:" }, { type: "image", source: {} }];
  const result = { type: "user", message: { content: [{ type: "tool_result", tool_use_id: "t9", content }] } };
  const { messages } = await runOn(claudeStreamJson, playback(jsonLines(INIT, result, DONE)));
  assertEquals(messages[1], {
    kind: "tool-result",
    tool: "",
    callId: "t9",
    output: "a picture:\n[image]",
    isError: false,
  });
});

Deno.test("run() takes the plain token counts where there are none per model", async () => {
  const usage = { input_tokens: 5, output_tokens: 7, cache_read_input_tokens: 1, cache_creation_input_tokens: 2 };
  const { messages } = await runOn(claudeStreamJson, playback(jsonLines(INIT, { ...DONE, usage })));
  assertEquals(messages.at(-1), {
    kind: "usage",
    usage: [{ model: "m1", inputTokens: 5, outputTokens: 7, cacheReadTokens: 1, cacheWriteTokens: 2, costUsdTicks: 0 }],
  });
});

Deno.test("run() leaves a line of 40 MB out, says so, and goes on to the result", async () => {
  const agent = fakeAgent();
  const heard = listen(claudeStreamJson.run(agent.io, taskOf(), new AbortController().signal));
  await agent.print(jsonLines(INIT));
  const piece = new Uint8Array(4_000_000).fill(0x78);
  for (let i = 0; i < 10; i++) await agent.print(piece);
  await agent.print(`\n${jsonLines(DONE)}`);
  const { messages, outcome } = await heard;
  assertEquals(kindsOf(messages), "session error");
  assertEquals(messages[1], { kind: "error", text: "Left out a line of 40000000 bytes" });
  assertEquals(outcome.kind, "completed");
});

/** An agent that asks for something by the id of a request. */
function asking(
  id: string,
  input: Record<string, unknown> = { command: id },
  more: Record<string, unknown> = {},
): string {
  const request = { subtype: "can_use_tool", tool_name: "Bash", tool_use_id: `call-${id}`, input, ...more };
  return jsonLines({ type: "control_request", request_id: id, request });
}

function repliesOf(agent: { written: () => string }): { id: string; behavior: string; message?: string }[] {
  return agent.written().trim().split("\n").slice(1).map((line) => JSON.parse(line).response)
    .map(({ request_id, response }) => ({ id: request_id, ...response }));
}

Deno.test("run() with ask reads on while a person thinks, and answers each question when it is decided", async () => {
  const asked: { request: PermissionRequest; decide: (allow: boolean) => void }[] = [];
  const agent = fakeAgent({
    ask: (request) =>
      new Promise((resolve) => asked.push({ request, decide: (allow) => resolve({ allow, why: "so be it" }) })),
  });
  const heard = listen(claudeStreamJson.run(agent.io, taskOf({ permission: "ask" }), new AbortController().signal));
  await agent.print(jsonLines(INIT) + asking("a", { command: "make", run_in_background: true }) + asking("b"));
  await agent.print(jsonLines(assistant({ type: "text", text: "meanwhile" })));
  assertEquals(asked.map(({ request }) => request), [
    { tool: "Bash", callId: "call-a", title: "make", input: { command: "make", run_in_background: true } },
    { tool: "Bash", callId: "call-b", title: "b", input: { command: "b" } },
  ]);
  assertEquals(repliesOf(agent), []);
  asked[1]!.decide(false);
  asked[0]!.decide(true);
  await agent.print("\n");
  const allowed = { behavior: "allow", updatedInput: { command: "make", run_in_background: false } };
  assertEquals(repliesOf(agent).toSorted((x, y) => x.id < y.id ? -1 : 1), [
    { id: "a", ...allowed },
    { id: "b", behavior: "deny", message: "so be it" },
  ]);
  await agent.print(jsonLines(DONE));
  assertEquals((await heard).outcome.kind, "completed");
});

Deno.test("run() with ask takes a question back that the agent withdraws, and those that are open at the end", async () => {
  const open: AbortSignal[] = [];
  const agent = fakeAgent({
    ask: (_request, withdrawn) => {
      open.push(withdrawn!);
      return new Promise((resolve) =>
        withdrawn!.addEventListener("abort", () => resolve({ allow: false, why: "withdrawn" }))
      );
    },
  });
  const heard = listen(claudeStreamJson.run(agent.io, taskOf({ permission: "ask" }), new AbortController().signal));
  await agent.print(jsonLines(INIT) + asking("a") + asking("b"));
  await agent.print(jsonLines({ type: "control_cancel_request", request_id: "a" }));
  await agent.print("\n");
  assertEquals(open.map(({ aborted }) => aborted), [true, false]);
  await agent.print(jsonLines(DONE));
  await heard;
  assertEquals(open.map(({ aborted }) => aborted), [true, true]);
  assertEquals(repliesOf(agent), [], "the agent expects no answer any more");
});

Deno.test("run() with ask says in one line what would be done", async (t) => {
  const rows: [title: string, input: Record<string, unknown>, more: Record<string, unknown>][] = [
    ["build it", { command: "make" }, { description: "build it" }],
    ["make", { command: "make" }, {}],
    ["/a/b.ts", { file_path: "/a/b.ts", content: "x" }, {}],
    ["Run", { odd: 1 }, { display_name: "Run" }],
    ["Bash", {}, {}],
  ];
  for (const [title, input, more] of rows) {
    await t.step(title, async () => {
      const titles: string[] = [];
      const ask = (request: PermissionRequest) => {
        titles.push(request.title);
        return Promise.resolve({ allow: true, why: "" });
      };
      const agent = playback(jsonLines(INIT) + asking("a", input, more) + jsonLines(DONE), { ask });
      await runOn(claudeStreamJson, agent, { task: { permission: "ask" } });
      assertEquals(titles, [title]);
    });
  }
});
