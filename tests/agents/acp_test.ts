/** The adapter of the Agent Client Protocol: the handshake, what each update means, what is asked, and how a run ends. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { acp, REQUEST_LIMIT_MS } from "../../lib/agents/acp.ts";
import type { AcpOptions } from "../../lib/agents/acp_options.ts";
import type { RowOf } from "../../lib/agents/provider_row.ts";
import { backendFor } from "../../lib/agents/registry.ts";
import type { FailureReason } from "../../lib/core/failure.ts";
import { type AgentMessage, type Outcome, StopError } from "../../lib/core/message.ts";
import type { AgentTask, Permission } from "../../lib/core/model.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { type AcpAgent, acpAgent, type Answerer, textChunk } from "./acp_agent.ts";
import { type FakeAgentOptions, type Heard, kindsOf, listen, taskOf } from "./agent_io.ts";

const ROW: RowOf<"acp"> = {
  provider: "test",
  title: "Tester",
  family: "acp",
  launch: { kind: "self", args: [] },
  args: { always: [] },
  stdin: "pipe",
  permissions: { full: {}, ask: {}, "read-only": {} },
  mcp: "protocol",
  login: { how: "tester login" },
  usage: "stream",
  acp: {},
};

interface Played extends FakeAgentOptions {
  readonly options?: AcpOptions;
  readonly row?: Partial<RowOf<"acp">>;
  readonly task?: Partial<AgentTask>;
  readonly signal?: AbortSignal;
}

async function play(
  answers: Record<string, Answerer>,
  { options = {}, row = {}, task, signal, ...more }: Played = {},
): Promise<Heard & { agent: AcpAgent }> {
  const agent = acpAgent(answers, more);
  const { run } = acp({ ...ROW, ...row, acp: options });
  const heard = await listen(run(agent.io, taskOf(task), signal ?? new AbortController().signal));
  return { ...heard, agent };
}

/** A turn with these updates. */
function turn(...updates: Record<string, unknown>[]): Record<string, Answerer> {
  return {
    "session/prompt": (_, agent) => {
      for (const update of updates) agent.update(update);
      return { result: { stopReason: "end_turn" } };
    },
  };
}

function methods(agent: AcpAgent): string[] {
  return agent.received.map(({ method }) => method);
}

function paramsOf(agent: AcpAgent, wanted: string): Record<string, unknown> {
  return agent.received.find(({ method }) => method === wanted)?.params ?? {};
}

function failureOf(outcome: Outcome): Extract<Outcome, { kind: "failed" }> {
  assert(outcome.kind === "failed", `it ${outcome.kind}`);
  return outcome;
}

const SAY = turn(textChunk("Hello."));

Deno.test("acp opens a session, tells its id and sends the prompt, offering neither files nor terminals", async () => {
  const { messages, outcome, agent } = await play(SAY);
  assertEquals(methods(agent), ["initialize", "session/new", "session/prompt"]);
  assertEquals(paramsOf(agent, "initialize").clientCapabilities, {});
  assertEquals(paramsOf(agent, "session/new"), { cwd: "/work", mcpServers: [] });
  assertEquals(paramsOf(agent, "session/prompt"), { sessionId: "s1", prompt: [{ type: "text", text: "do it" }] });
  assertEquals(messages, [{ kind: "session", sessionId: "s1" }, { kind: "text", text: "Hello." }]);
  assertEquals(outcome, { kind: "completed", output: "Hello.", sessionId: "s1" });
});

Deno.test("acp resumes without a replay where the agent offers that, and else drops what is replayed", async () => {
  const resumed = await play(SAY, { task: { resumeSession: "old" } });
  assertEquals(methods(resumed.agent)[1], "session/resume");
  assertEquals(resumed.outcome.sessionId, "old");
  const loaded = await play({
    ...SAY,
    initialize: () => ({ result: { protocolVersion: 1, agentCapabilities: { loadSession: true } } }),
    "session/load": (_, agent) => {
      agent.update(textChunk("history"));
      agent.update({ sessionUpdate: "tool_call", toolCallId: "old", rawInput: { a: 1 } });
      return { result: {} };
    },
  }, { task: { resumeSession: "old" } });
  assertEquals(methods(loaded.agent)[1], "session/load");
  assertEquals(kindsOf(loaded.messages), "session text");
});

Deno.test("acp tells a session that is not there from other failures to resume", async () => {
  const resume = async (error: Record<string, unknown>, options: AcpOptions = {}) =>
    failureOf(
      (await play({ "session/resume": () => ({ error }) }, { options, task: { resumeSession: "old" } })).outcome,
    );
  assertEquals((await resume({ code: -32_002, message: "Resource not found" })).resumeRejected, true);
  assertEquals((await resume({ code: -32_602, message: "Unknown sessionId" })).resumeRejected, true);
  const internal = { code: -32_603, message: "Internal error", data: { service: "session" } };
  assertEquals((await resume(internal)).resumeRejected, undefined);
  assertEquals((await resume(internal, { lostSession: () => true })).resumeRejected, true);
  const { outcome } = await play({
    initialize: () => ({ result: { protocolVersion: 1, agentCapabilities: {} } }),
  }, { task: { resumeSession: "old" } });
  assertEquals(failureOf(outcome).resumeRejected, true);
});

Deno.test("acp sets mode, model and effort by what the agent offers, before the prompt", async () => {
  const configOptions = [
    { id: "m", category: "model", currentValue: "a", options: [{ value: "a" }] },
    { id: "thinking", category: "thought_level", currentValue: "low" },
  ];
  const { agent } = await play(
    { ...SAY, "session/new": () => ({ result: { sessionId: "s1", configOptions } }) },
    { options: { modes: { full: "yolo" } }, task: { model: "b", effort: "high" } },
  );
  assertEquals(agent.received.slice(2, -1), [
    { method: "session/set_mode", params: { sessionId: "s1", modeId: "yolo" } },
    { method: "session/set_config_option", params: { sessionId: "s1", configId: "m", value: "b" } },
    { method: "session/set_config_option", params: { sessionId: "s1", configId: "thinking", value: "high" } },
  ]);
  const older = await play(SAY, { task: { model: "b" } });
  assertEquals(paramsOf(older.agent, "session/set_model"), { sessionId: "s1", modelId: "b" });
  const byArgument = await play(SAY, { task: { model: "b" }, row: { args: { always: [], model: ["--model", "{}"] } } });
  assertEquals(methods(byArgument.agent), ["initialize", "session/new", "session/prompt"]);
});

Deno.test("acp says that an effort cannot be set, and runs without", async () => {
  const { messages, outcome } = await play(SAY, { task: { effort: "high" } });
  assertEquals(kindsOf(messages), "session error text");
  assertEquals(outcome.kind, "completed");
});

Deno.test("acp fails when a mode or a model is not taken, because the run would be another one than was asked for", async () => {
  const error = { code: -32_602, message: "Invalid params" };
  const mode = await play({ "session/set_mode": () => ({ error }) }, { options: { modes: { full: "yolo" } } });
  assertEquals(failureOf(mode.outcome).reason, "agent_error.runtime_version_unsupported");
  assertEquals(methods(mode.agent).at(-1), "session/set_mode");
  const model = await play({ "session/set_model": () => ({ error }) }, { task: { model: "nonsense" } });
  assertEquals(failureOf(model.outcome).reason, "agent_error.model_not_found_or_unavailable");
});

Deno.test("acp logs in by the best method that the agent offers and that works", async () => {
  const initialize: Answerer = () => ({
    result: { protocolVersion: 1, authMethods: [{ id: "browser" }, { id: "key" }, { id: "cached" }] },
  });
  const error = { code: -32_000, message: "no key" };
  const authenticate: Answerer = ({ methodId }) => methodId === "key" ? { error } : { result: {} };
  const options = { authenticate: ["token", "key", "cached"] };
  const { agent, outcome } = await play({ ...SAY, initialize, authenticate }, { options });
  const tried = agent.received.filter(({ method }) => method === "authenticate").map(({ params }) => params.methodId);
  assertEquals(tried, ["key", "cached"]);
  assertEquals(outcome.kind, "completed");
  const refused = await play({ ...SAY, initialize, authenticate: () => ({ error }) }, { options });
  assertEquals(failureOf(refused.outcome).reason, "agent_error.provider_auth_or_access");
  const without = await play(SAY, { options });
  assert(!methods(without.agent).includes("authenticate"));
});

Deno.test("acp passes on the MCP servers the agent can use and names those it cannot", async () => {
  const { agent, messages } = await play(SAY, {
    task: {
      mcpServers: [
        { name: "a", kind: "stdio", command: "/bin/a", args: ["x"], env: { KEY: "v" } },
        { name: "b", kind: "http", url: "http://127.0.0.1:1/b", headers: { Authorization: "t" } },
        { name: "c", kind: "sse", url: "http://127.0.0.1:1/c", headers: {} },
      ],
    },
  });
  assertEquals(paramsOf(agent, "session/new").mcpServers, [
    { name: "a", command: "/bin/a", args: ["x"], env: [{ name: "KEY", value: "v" }] },
    { type: "http", name: "b", url: "http://127.0.0.1:1/b", headers: [{ name: "Authorization", value: "t" }] },
  ]);
  assert(messages.some((message) => message.kind === "error" && message.text.includes("c (sse)")));
});

/** What each sequence of updates of one tool call means. */
const CALLS: { name: string; options?: AcpOptions; updates: Record<string, unknown>[]; messages: AgentMessage[] }[] = [
  {
    name: "input with the call",
    updates: [
      { sessionUpdate: "tool_call", toolCallId: "1", kind: "execute", rawInput: { command: "ls" } },
      { sessionUpdate: "tool_call_update", toolCallId: "1", status: "completed", rawOutput: "a.txt" },
    ],
    messages: [
      { kind: "tool-use", tool: "execute", callId: "1", input: { command: "ls" } },
      { kind: "tool-result", tool: "execute", callId: "1", output: "a.txt", isError: false },
    ],
  },
  {
    name: "input that grows, complete when something else follows",
    updates: [
      { sessionUpdate: "tool_call", toolCallId: "1", name: "Write", status: "pending", rawInput: {} },
      { sessionUpdate: "tool_call_update", toolCallId: "1", rawInput: { path: "a" } },
      { sessionUpdate: "tool_call_update", toolCallId: "1", rawInput: { path: "a", content: "b" } },
      { sessionUpdate: "usage_update", used: 1, size: 2 },
      { sessionUpdate: "tool_call_update", toolCallId: "1", status: "failed", rawOutput: { error: "no" } },
    ],
    messages: [
      { kind: "tool-use", tool: "Write", callId: "1", input: { path: "a", content: "b" } },
      { kind: "tool-result", tool: "Write", callId: "1", output: "no", isError: true },
    ],
  },
  {
    name: "input that is shown as the model writes it",
    options: { titleIsTool: true },
    updates: [
      { sessionUpdate: "tool_call", toolCallId: "1", title: "Bash", status: "pending" },
      {
        sessionUpdate: "tool_call_update",
        toolCallId: "1",
        title: "Running",
        content: [{ type: "content", content: { type: "text", text: '{"command":"ls"}' } }],
      },
      {
        sessionUpdate: "tool_call_update",
        toolCallId: "1",
        status: "completed",
        content: [{ type: "content", content: { type: "text", text: "a.txt" } }],
      },
    ],
    messages: [
      { kind: "tool-use", tool: "Bash", callId: "1", input: { command: "ls" } },
      { kind: "tool-result", tool: "Bash", callId: "1", output: "a.txt", isError: false },
    ],
  },
  {
    name: "a pending call with a part of its input",
    options: { lateInput: true, titleIsTool: true },
    updates: [
      { sessionUpdate: "tool_call", toolCallId: "1", title: "bash", status: "pending", rawInput: { cwd: "/" } },
      { sessionUpdate: "tool_call", toolCallId: "2", title: "bash", status: "pending", rawInput: { cwd: "/" } },
      {
        sessionUpdate: "tool_call_update",
        toolCallId: "1",
        status: "in_progress",
        rawInput: { cwd: "/", command: "ls" },
      },
    ],
    messages: [{ kind: "tool-use", tool: "bash", callId: "1", input: { cwd: "/", command: "ls" } }],
  },
  {
    name: "a command that failed though the call is called done",
    updates: [
      {
        sessionUpdate: "tool_call_update",
        toolCallId: "1",
        kind: "execute",
        status: "completed",
        rawInput: { command: "false" },
        rawOutput: { output: "", metadata: { exit: 1 } },
      },
    ],
    messages: [
      { kind: "tool-use", tool: "execute", callId: "1", input: { command: "false" } },
      {
        kind: "tool-result",
        tool: "execute",
        callId: "1",
        output: '{"output":"","metadata":{"exit":1}}',
        isError: true,
      },
    ],
  },
  {
    name: "a change of a file, told in short",
    updates: [
      { sessionUpdate: "tool_call", toolCallId: "1", kind: "edit", rawInput: { path: "a" } },
      {
        sessionUpdate: "tool_call_update",
        toolCallId: "1",
        status: "completed",
        content: [{ type: "diff", path: "a", oldText: "1\n2\n", newText: "1\n2\n3\n" }],
      },
    ],
    messages: [
      { kind: "tool-use", tool: "edit", callId: "1", input: { path: "a" } },
      { kind: "tool-result", tool: "edit", callId: "1", output: "Changed a (2 lines before, 3 after)", isError: false },
    ],
  },
];

for (const { name, options, updates, messages: expected } of CALLS) {
  Deno.test(`acp tells a tool call once: ${name}`, async () => {
    const { messages } = await play(turn(...updates), options ? { options } : {});
    assertEquals(messages.slice(1), expected);
  });
}

Deno.test("acp takes as the answer what was said since the last tool call, else what was said before it", async () => {
  const call = { sessionUpdate: "tool_call", toolCallId: "1", rawInput: { a: 1 } };
  const after = await play(turn(textChunk("I will."), call, textChunk("Done"), textChunk(".")));
  assertEquals(after.outcome, { kind: "completed", output: "Done.", sessionId: "s1" });
  const before = await play(turn(textChunk("I did."), call));
  assertEquals(before.outcome, { kind: "completed", output: "I did.", sessionId: "s1" });
});

Deno.test("acp ignores updates it does not know and refuses requests it does not offer", async () => {
  let refusal: unknown;
  const { messages } = await play({
    "session/prompt": async (_, agent) => {
      agent.update({ sessionUpdate: "plan", entries: [] });
      agent.update({ sessionUpdate: "from_the_future" });
      agent.print({ method: "vendor/notice", params: {} });
      refusal = await agent.ask("fs/read_text_file", { path: "/etc/passwd" });
      agent.update(textChunk("ok"));
      return { result: { stopReason: "end_turn" } };
    },
  });
  assertEquals(kindsOf(messages), "session text");
  assertEquals(refusal, { code: -32_601, message: "drover does not offer fs/read_text_file" });
});

const OPTIONS = [
  { optionId: "x", kind: "reject_once" },
  { optionId: "y", kind: "allow_always" },
  { optionId: "z", kind: "allow_once" },
];

/** Asks once, about a call of this kind. */
function askingAgent(kind: string, options: FakeAgentOptions = {}, choices = OPTIONS) {
  const answer = Promise.withResolvers<unknown>();
  const agent = acpAgent({
    "session/prompt": async (_, agent) => {
      agent.update({ sessionUpdate: "tool_call", toolCallId: "1", title: "touch a", kind, status: "pending" });
      const toolCall = { toolCallId: "1", rawInput: { command: "touch a" } };
      answer.resolve(await agent.ask("session/request_permission", { sessionId: "s1", options: choices, toolCall }));
      agent.update(textChunk("ok"));
      return { result: { stopReason: "end_turn" } };
    },
  }, options);
  return { ...agent, answer: answer.promise };
}

async function answerTo(permission: Permission, kind: string, choices = OPTIONS): Promise<unknown> {
  const agent = askingAgent(kind, {}, choices);
  await listen(acp(ROW).run(agent.io, taskOf({ permission }), new AbortController().signal));
  return await agent.answer;
}

Deno.test("acp answers a permission request by the kind of an option, by the task's permission", async () => {
  const selected = (optionId: string) => ({ outcome: { outcome: "selected", optionId } });
  assertEquals(await answerTo("full", "execute"), selected("z"));
  assertEquals(await answerTo("read-only", "execute"), selected("x"));
  assertEquals(await answerTo("read-only", "search"), selected("z"));
  const none = await answerTo("read-only", "edit", [{ optionId: "y", kind: "allow_once" }]);
  assertEquals(none, { outcome: { outcome: "cancelled" } });
});

Deno.test("acp lets a person decide, after the call has been told", async () => {
  let told = "";
  const asked: unknown[] = [];
  const agent = askingAgent("execute", {
    ask: (request) => {
      asked.push(request, told);
      return Promise.resolve({ allow: false, why: "no" });
    },
  });
  const session = acp(ROW).run(agent.io, taskOf({ permission: "ask" }), new AbortController().signal);
  for await (const { kind } of session.messages) told += ` ${kind}`;
  assertEquals(asked, [
    { tool: "execute", callId: "1", title: "touch a", input: { command: "touch a" } },
    " session tool-use",
  ]);
  assertEquals(await agent.answer, { outcome: { outcome: "selected", optionId: "x" } });
});

Deno.test("acp cancels the turn when the run is stopped, and answers what was asked with cancelled", async () => {
  const abort = new AbortController();
  let answer: Promise<unknown> | undefined;
  const { outcome, agent } = await play({
    "session/prompt": (_, agent) => {
      answer = agent.ask("session/request_permission", { options: OPTIONS, toolCall: { toolCallId: "1" } });
      return "never";
    },
  }, {
    task: { permission: "ask" },
    signal: abort.signal,
    ask: () => {
      abort.abort(new StopError({ kind: "cancelled", by: "user" }));
      return new Promise(() => {});
    },
  });
  assertEquals(failureOf(outcome).reason, "cancelled");
  assertEquals(await answer, { outcome: { outcome: "cancelled" } });
  assertEquals(agent.received.at(-1), { method: "session/cancel", params: { sessionId: "s1" } });
});

const ENDS: { stopReason: string; reason: FailureReason }[] = [
  { stopReason: "cancelled", reason: "cancelled" },
  { stopReason: "refusal", reason: "agent_error.unknown" },
  { stopReason: "max_tokens", reason: "agent_error.context_overflow" },
  { stopReason: "max_turn_requests", reason: "iteration_limit" },
  { stopReason: "from_the_future", reason: "agent_error.unknown" },
];

for (const { stopReason, reason } of ENDS) {
  Deno.test(`acp takes a turn that ended with ${stopReason} for a failure`, async () => {
    const { outcome } = await play({ "session/prompt": () => ({ result: { stopReason } }) });
    assertEquals(failureOf(outcome).reason, reason);
    assertEquals(outcome.sessionId, "s1");
  });
}

Deno.test("acp says that a turn ended because of a refusal of ours", async () => {
  const { outcome } = await play({
    "session/prompt": async (_, agent) => {
      await agent.ask("session/request_permission", { options: OPTIONS, toolCall: { toolCallId: "1", kind: "edit" } });
      return { result: { stopReason: "cancelled" } };
    },
  }, { task: { permission: "read-only" } });
  assertStringIncludes(failureOf(outcome).detail, "may only read");
});

Deno.test("acp takes a turn without a word for a failure, and looks for the reason in the error output", async () => {
  const silent = await play(turn());
  assertEquals(failureOf(silent.outcome).reason, "agent_error.empty_or_unparseable_output");
  const { outcome } = await play(turn(), { stderr: "API error 401: invalid api key" });
  assertEquals(failureOf(outcome).reason, "agent_error.provider_auth_or_access");
});

Deno.test("acp takes a turn without a last word for a failure of the provider where the row says so", async () => {
  const call = { sessionUpdate: "tool_call", toolCallId: "1", rawInput: { a: 1 } };
  const { outcome } = await play(turn(textChunk("I will."), call), { options: { errorsIn: "~/{}/logs" } });
  assertStringIncludes(failureOf(outcome).detail, "~/s1/logs");
});

Deno.test("acp takes a refusal without a word for a lost session only where the row says so", async () => {
  const refuse: Record<string, Answerer> = { "session/prompt": () => ({ result: { stopReason: "refusal" } }) };
  const task = { resumeSession: "old" };
  const lost = await play(refuse, { task, options: { refusesLostSession: true } });
  assertEquals(failureOf(lost.outcome).resumeRejected, true);
  assertEquals(failureOf((await play(refuse, { task })).outcome).resumeRejected, undefined);
});

/** What real agents send when the provider fails. */
const ERRORS: { error: { code: number; message: string; data?: unknown }; reason: FailureReason }[] = [
  {
    error: { code: -32_000, message: "Authentication required: 401 wrong key" },
    reason: "agent_error.provider_auth_or_access",
  },
  { error: { code: -32_000, message: "Authentication required" }, reason: "agent_error.provider_auth_or_access" },
  {
    error: { code: -32_603, message: "Internal error", data: { details: "429 slow down" } },
    reason: "agent_error.provider_capacity_or_rate_limit",
  },
  {
    error: { code: -32_603, message: "Internal error", data: { message: "unexpected status 500 Internal, url: x" } },
    reason: "agent_error.provider_server_error",
  },
  {
    error: { code: -32_603, message: "Internal error: connect ECONNREFUSED 127.0.0.1:1" },
    reason: "agent_error.provider_network",
  },
  {
    error: { code: -32_603, message: "Internal error", data: { message: "stream disconnected before completion" } },
    reason: "agent_error.provider_network",
  },
  {
    error: { code: -32_603, message: "Internal error", data: { message: "Missing environment variable: `KEY`." } },
    reason: "agent_error.missing_config",
  },
  {
    error: { code: -32_603, message: "We're currently experiencing high demand" },
    reason: "agent_error.provider_capacity_or_rate_limit",
  },
  {
    error: { code: -32_603, message: "You exceeded your current quota, please check your plan" },
    reason: "agent_error.provider_quota_limit",
  },
  {
    error: { code: -32_603, message: "This model's maximum context length is 8192 tokens" },
    reason: "agent_error.context_overflow",
  },
  { error: { code: -32_601, message: "Method not found" }, reason: "agent_error.runtime_version_unsupported" },
  { error: { code: -32_603, message: "Internal error" }, reason: "agent_error.unknown" },
];

for (const { error, reason } of ERRORS) {
  Deno.test(`acp takes ${JSON.stringify(error)} for ${reason}`, async () => {
    const { outcome } = await play({ "session/prompt": () => ({ error }) });
    assertEquals(failureOf(outcome).reason, reason);
    if (reason.endsWith("auth_or_access")) assertStringIncludes(failureOf(outcome).detail, "tester login");
  });
}

Deno.test("acp gives up on a handshake that is not answered, and waits for a turn as long as it takes", async () => {
  const clock = new FakeClock();
  const agent = acpAgent({ "session/new": () => "never" }, { clock });
  const heard = listen(acp(ROW).run(agent.io, taskOf(), new AbortController().signal));
  await clock.advance(REQUEST_LIMIT_MS);
  const { outcome } = await heard;
  assertEquals(failureOf(outcome).reason, "agent_error.agent_timeout");
  assertStringIncludes(failureOf(outcome).detail, "within 120 s");
});

Deno.test("acp refuses another version of the protocol", async () => {
  const { outcome } = await play({ initialize: () => ({ result: { protocolVersion: 2 } }) });
  assertEquals(failureOf(outcome).reason, "agent_error.runtime_version_unsupported");
});

Deno.test("acp listens on after the turn's end where late updates are known to come", async () => {
  const clock = new FakeClock();
  const agent = acpAgent({
    "session/prompt": (_, agent) => {
      agent.print({ id: 3, result: { stopReason: "end_turn" } });
      agent.update(textChunk("late"));
      return "never";
    },
  }, { clock });
  const session = acp({ ...ROW, acp: { lingerMs: 250 } }).run(agent.io, taskOf(), new AbortController().signal);
  const texts: string[] = [];
  let passed: Promise<void> | undefined;
  for await (const message of session.messages) {
    if (message.kind !== "text") continue;
    texts.push(message.text);
    passed = clock.advance(250);
  }
  await passed;
  assertEquals(texts, ["late"]);
  assertEquals(await session.outcome, { kind: "completed", output: "late", sessionId: "s1" });
});

function usagesOf(messages: readonly AgentMessage[]) {
  return messages.flatMap((message) => message.kind === "usage" ? [message.usage] : []);
}

Deno.test("acp sums up the tokens of model calls that come one by one, also for a run that fails", async () => {
  const call = {
    ...textChunk(""),
    _meta: { usage: { inputTokens: 1200, outputTokens: 50, cachedReadTokens: 200 } },
  };
  const { messages } = await play({
    "session/prompt": (_, agent) => {
      agent.update(call);
      agent.update(call);
      return { error: { code: -32_603, message: "500 oh" } };
    },
  }, { options: { inputIncludesCached: true }, task: { model: "m" } });
  assertEquals(usagesOf(messages).at(-1), [
    { model: "m", inputTokens: 2000, outputTokens: 100, cacheReadTokens: 400, cacheWriteTokens: 0, costUsdTicks: 0 },
  ]);
});

Deno.test("acp takes the tokens per model where the agent tells them, and the cost of a session it began", async () => {
  const answers: Record<string, Answerer> = {
    "session/prompt": (_, agent) => {
      agent.update(textChunk("ok"));
      agent.update({ sessionUpdate: "usage_update", used: 1, size: 2, cost: { amount: 0.5, currency: "USD" } });
      const quota = { model_usage: [{ model: "opus", token_count: { inputTokens: 30, outputTokens: 5 } }] };
      return { result: { stopReason: "end_turn", usage: { inputTokens: 20, outputTokens: 5 }, _meta: { quota } } };
    },
  };
  const opus = { model: "opus", inputTokens: 30, outputTokens: 5, cacheReadTokens: 0, cacheWriteTokens: 0 };
  const fresh = await play(answers);
  assertEquals(usagesOf(fresh.messages), [[{ ...opus, costUsdTicks: 5e9 }]]);
  const resumed = await play(answers, { task: { resumeSession: "old" } });
  assertEquals(usagesOf(resumed.messages), [[{ ...opus, costUsdTicks: 0 }]]);
});

Deno.test("commandFor() puts a subcommand behind the user's own options, which belong to the one before", () => {
  const runtime = {
    provider: "grok",
    family: "acp",
    executable: "/bin/grok",
    fixedArgs: [],
    version: "1.0.0",
  } as const;
  const { args } = backendFor("grok").commandFor(runtime, taskOf({ model: "m", extraArgs: ["--verbose"] }));
  assertEquals(args, ["--no-auto-update", "agent", "--always-approve", "--model", "m", "--verbose", "stdio"]);
});
