/** The exec-jsonl family beyond the recordings: command lines, what is sent, and what each CLI's ways to fail mean. */
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { LaunchRefusal } from "../../lib/agents/command_line.ts";
import { Prose } from "../../lib/agents/prose.ts";
import { reasonInText } from "../../lib/agents/provider_error.ts";
import { backendFor, PROVIDERS } from "../../lib/agents/registry.ts";
import type { FailureReason } from "../../lib/core/failure.ts";
import type { AgentTask, Runtime } from "../../lib/core/model.ts";
import { fakeAgent, kindsOf, listen, playback, runOn, taskOf } from "./agent_io.ts";

const FAMILY = PROVIDERS.filter(({ family }) => family === "exec-jsonl");

function argsOf(provider: string, task: Partial<AgentTask> = {}): string {
  const runtime: Runtime = { provider, family: "exec-jsonl", executable: "/bin/x", fixedArgs: [], version: "1.0.0" };
  return backendFor(provider).commandFor(runtime, taskOf(task)).args.join(" ");
}

function jsonLines(...events: unknown[]): string {
  return events.map((event) => `${JSON.stringify(event)}\n`).join("");
}

Deno.test("commandFor() keeps the prompt of every CLI of the family out of its arguments", () => {
  for (const { provider, stdin } of FAMILY) {
    assertEquals(
      [argsOf(provider, { prompt: "the secret plan" }).includes("secret"), stdin],
      [false, "pipe"],
      provider,
    );
  }
});

Deno.test("commandFor() begins a session under our id, or takes one up, in each CLI's words", () => {
  const rows: [provider: string, begun: string, resumed: string][] = [
    ["gemini", "--session-id new", "--resume old"],
    ["copilot", "--session-id=new", "--resume=old"],
    // The option that names a new session would begin one if the old one is gone.
    ["pi", "--session-id new", "--session old"],
    ["cursor", "stream-json", "--resume old"],
    ["amp", "--stream-json-thinking", "threads continue old"],
  ];
  for (const [provider, begun, resumed] of rows) {
    assertStringIncludes(argsOf(provider), begun);
    const args = argsOf(provider, { resumeSession: "old" });
    assertStringIncludes(args, resumed);
    assertEquals(args.includes("new"), false, provider);
  }
});

Deno.test("commandFor() gives a run that may only read a closed list of tools, or refuses where that is no promise", () => {
  const only = (provider: string) => argsOf(provider, { permission: "read-only" });
  assertStringIncludes(only("copilot"), "--available-tools=view,grep,glob --deny-tool=shell --deny-tool=write");
  assertStringIncludes(only("pi"), "--tools read,grep,find,ls --no-extensions --no-approve");
  for (const provider of ["copilot", "pi"]) assertEquals(/yolo|allow| --approve/.test(only(provider)), false);
  for (const provider of ["gemini", "cursor", "amp", "openclaw"]) assertThrows(() => only(provider), LaunchRefusal);
});

Deno.test("no CLI of the family is run with ask: none of them can ask in a run without a person", () => {
  for (const { provider } of FAMILY) assertThrows(() => argsOf(provider, { permission: "ask" }), LaunchRefusal);
});

Deno.test("commandFor() leaves out what a user adds against the permission", () => {
  const rows: [string, string][] = [["gemini", "--approval-mode"], ["copilot", "--allow-tool"], ["pi", "--tools"]];
  for (const [provider, option] of rows) {
    assertEquals(argsOf(provider, { extraArgs: [option, "x", "--kept"] }), `${argsOf(provider)} --kept`);
  }
});

Deno.test("run() sends the prompt as it is and closes the input, which some wait for", async () => {
  for (const { provider } of FAMILY) {
    const agent = fakeAgent();
    const prompt = `two\nlines "quoted" of ${provider}`;
    const heard = listen(backendFor(provider).run(agent.io, taskOf({ prompt }), new AbortController().signal));
    const end = agent.end();
    await agent.stdinClosed;
    assertEquals(agent.written(), prompt);
    await end;
    assertEquals((await heard).outcome.kind, "failed");
  }
});

Deno.test("run() names the session of copilot with its first line, not only with its last", async () => {
  const { messages, outcome } = await runOn(
    backendFor("copilot"),
    playback(jsonLines({ type: "session.tools_updated", data: {} }), { exit: { code: 1 } }),
    { task: { newSession: "ours" } },
  );
  assertEquals(messages, [{ kind: "session", sessionId: "ours" }]);
  assertEquals(outcome.sessionId, "ours");
});

Deno.test("run() tells a rejected session from any other end without a word", async (t) => {
  const rows: { provider: string; code: number; stderr: string; resumeSession?: string; rejected: boolean }[] = [
    { provider: "gemini", code: 42, stderr: "Error resuming session", resumeSession: "old", rejected: true },
    { provider: "gemini", code: 42, stderr: "Session ID already exists", rejected: false },
    { provider: "gemini", code: 1, stderr: "Error resuming session", resumeSession: "old", rejected: false },
    {
      provider: "copilot",
      code: 1,
      stderr: "Error: No session, task, or name matched 'old'.",
      resumeSession: "old",
      rejected: true,
    },
    { provider: "copilot", code: 1, stderr: "Out of memory", resumeSession: "old", rejected: false },
    { provider: "pi", code: 1, stderr: "No session found matching 'old'", resumeSession: "old", rejected: true },
    {
      provider: "pi",
      code: 0,
      stderr: "Session found in different project: /x\nFork this session into current directory? [y/N] ",
      resumeSession: "old",
      rejected: true,
    },
    { provider: "pi", code: 1, stderr: "No session found matching 'old'", rejected: false },
  ];
  for (const { provider, code, stderr, resumeSession, rejected } of rows) {
    await t.step(`${provider}: ${stderr}`, async () => {
      const agent = playback("", { exit: { code }, stderr });
      const task = resumeSession ? { resumeSession } : {};
      const { outcome } = await runOn(backendFor(provider), agent, { task });
      assertEquals("resumeRejected" in outcome, rejected);
      assert(outcome.kind === "failed" && outcome.detail.includes(stderr.trim()));
    });
  }
});

Deno.test("run() says that nobody is logged in, of each CLI that gives up on it before it begins", async () => {
  const rows: [provider: string, code: number, stderr: string][] = [
    ["gemini", 41, "Please set an Auth method"],
    ["copilot", 1, "Error: No authentication information found."],
    ["pi", 1, "No API key found for the selected model."],
    ["cursor", 1, "Error: Authentication required. Please run 'cursor-agent login' first"],
  ];
  for (const [provider, code, stderr] of rows) {
    const { outcome } = await runOn(backendFor(provider), playback("", { exit: { code }, stderr }));
    assertEquals(outcome.kind === "failed" && outcome.reason, "agent_error.provider_auth_or_access", provider);
  }
});

Deno.test("run() does not wait with amp for a person who logs in", async () => {
  const agent = fakeAgent();
  const heard = listen(backendFor("amp").run(agent.io, taskOf(), new AbortController().signal));
  await agent.print("No API key found. Starting login flow...\n");
  const { outcome } = await heard;
  assertEquals(outcome.kind === "failed" && outcome.reason, "agent_error.provider_auth_or_access");
  assertMatch(outcome.kind === "failed" ? outcome.detail : "", /only through its own service.*amp login/);
});

Deno.test("run() names the reason of a failed run of gemini, and until when its quota is used up", async (t) => {
  const rows: [error: Record<string, string>, FailureReason, waitMs?: number][] = [
    [{ type: "FatalTurnLimitedError", message: "Reached max session turns" }, "iteration_limit"],
    [
      { type: "unknown", message: "[API Error: no such thing (Status: NOT_FOUND)]" },
      "agent_error.model_not_found_or_unavailable",
    ],
    [
      {
        type: "TerminalQuotaError",
        message: "[API Error: You have exhausted it. Your quota will reset after 2h1m3s.]",
      },
      "agent_error.provider_quota_limit",
      7_263_000,
    ],
    [
      { type: "unknown", message: '[API Error: {"error":{"code":429,"details":[{"retryDelay":"34.5s"}]}}]' },
      "agent_error.provider_capacity_or_rate_limit",
      34_500,
    ],
    [{ type: "unknown", message: "something with 401 in its words" }, "agent_error.unknown"],
  ];
  const timestamp = "2026-11-20T10:47:39.650Z";
  for (const [error, reason, waitMs] of rows) {
    await t.step(error.message!, async () => {
      const result = { type: "result", timestamp, status: "error", error };
      const { outcome } = await runOn(backendFor("gemini"), playback(jsonLines(result)));
      assertEquals(outcome.kind === "failed" && [outcome.reason, outcome.retryAt], [
        reason,
        waitMs === undefined ? undefined : Date.parse(timestamp) + waitMs,
      ]);
    });
  }
});

Deno.test("run() names the reason of a failed run of copilot by its kind, then by what the provider said", async () => {
  const failure = (type: string, data: unknown) => ({ type, data });
  const rows: [events: unknown[], FailureReason][] = [
    [[failure("session.error", { errorType: "quota", statusCode: 429 })], "agent_error.provider_quota_limit"],
    [[failure("session.error", { errorType: "query", statusCode: 404 })], "agent_error.model_not_found_or_unavailable"],
    [[failure("session.error", { errorType: "context_limit", statusCode: 400 })], "agent_error.context_overflow"],
    [
      [failure("model.call_failure", { statusCode: 503 }), failure("session.error", { errorType: "query" })],
      "agent_error.provider_server_error",
    ],
    [[], "agent_error.unknown"],
  ];
  for (const [events, reason] of rows) {
    const stdout = jsonLines(...events, { type: "result", sessionId: "s", exitCode: 1 });
    const { outcome } = await runOn(backendFor("copilot"), playback(stdout));
    assertEquals(outcome.kind === "failed" && outcome.reason, reason);
  }
});

Deno.test("run() keeps what an agent's own agents say out of its answer", async () => {
  const say = (content: string, messageId: string, agentId?: string) => ({
    type: "assistant.message",
    ...(agentId ? { agentId } : {}),
    data: { messageId, content },
  });
  const done = { type: "result", exitCode: 0 };
  const stdout = jsonLines(say("mine", "1"), say("of another", "2", "a1"), say("mine too", "3"), done);
  const { messages, outcome } = await runOn(backendFor("copilot"), playback(stdout));
  assertEquals(messages.slice(1), [
    { kind: "text", text: "mine" },
    { kind: "text", text: "\n\nof another" },
    { kind: "text", text: "\n\nmine too" },
  ]);
  assertEquals(outcome.kind === "completed" && outcome.output, "mine\n\nmine too");
});

Deno.test("run() takes the end of pi's agent for the end of the run where no line says that it has settled", async () => {
  const message = { role: "assistant", stopReason: "stop", content: [{ type: "text", text: "fine" }] };
  const said = { type: "message_end", message };
  const over = await runOn(backendFor("pi"), playback(jsonLines(said, { type: "agent_end" })));
  assertEquals(over.outcome, { kind: "completed", output: "fine" });
  const retried = await runOn(backendFor("pi"), playback(jsonLines(said, { type: "agent_end", willRetry: true })));
  assertEquals(retried.outcome.kind, "failed");
});

Deno.test("run() reads the tools and thoughts of cursor, and its tokens in either spelling", async () => {
  const call = (subtype: string, body: unknown) => ({
    type: "tool_call",
    subtype,
    call_id: "c1",
    tool_call: { shellToolCall: body },
  });
  const args = { command: "make" };
  const { messages, outcome } = await runOn(
    backendFor("cursor"),
    playback(jsonLines(
      { type: "system", subtype: "init", session_id: "s1", model: "Auto" },
      { type: "user", message: { role: "user", content: [{ type: "text", text: "do it" }] } },
      { type: "thinking", subtype: "delta", text: "Let me" },
      { type: "thinking", subtype: "completed" },
      call("started", { args }),
      call("completed", { args, result: { success: { exitCode: 2, stdout: "out", stderr: "err" } } }),
      call("completed", { args, result: { rejected: { reason: "not allowed" } } }),
      {
        type: "result",
        subtype: "success",
        is_error: false,
        result: "fine",
        usage: { inputTokens: 3, output_tokens: 4 },
      },
    )),
  );
  assertEquals(kindsOf(messages), "session thinking tool-use tool-result tool-result usage");
  assertEquals(messages.slice(2, 4), [
    { kind: "tool-use", tool: "shell", callId: "c1", input: args },
    { kind: "tool-result", tool: "shell", callId: "c1", output: "out\nerr", isError: true },
  ]);
  const usage = { inputTokens: 3, outputTokens: 4, cacheReadTokens: 0, cacheWriteTokens: 0, costUsdTicks: 0 };
  assertEquals(messages.at(-1), { kind: "usage", usage: [{ model: "Auto", ...usage }] });
  assertEquals(outcome, { kind: "completed", output: "fine", sessionId: "s1" });
});

Deno.test("run() reads openclaw's document, which is spread over lines and may follow a log", async () => {
  const document = {
    ok: true,
    payloads: [{ text: "I will." }, { text: "Done." }],
    model: "m1",
    usage: { input: 5, output: 6, cacheRead: 1, cacheWrite: 0, cost: { total: 0.5 } },
  };
  const stdout = `[log] starting\n{ not json\n${JSON.stringify(document, undefined, 2)}\n`;
  const { messages, outcome } = await runOn(backendFor("openclaw"), playback(stdout));
  assertEquals(kindsOf(messages), "text text usage");
  assertEquals(messages.at(-1), {
    kind: "usage",
    usage: [{
      model: "m1",
      inputTokens: 5,
      outputTokens: 6,
      cacheReadTokens: 1,
      cacheWriteTokens: 0,
      costUsdTicks: 5_000_000_000,
    }],
  });
  assertEquals(outcome, { kind: "completed", output: "I will.\n\nDone." });
});

Deno.test("run() names the reason of openclaw's failure by the status in its words, and of half a document none", async () => {
  const message = "fake/fake-model request failed (authentication failed, HTTP 401).";
  const document = { ok: false, payloads: [], error: { message, kind: "exception" } };
  const text = JSON.stringify(document, undefined, 2);
  const { outcome } = await runOn(backendFor("openclaw"), playback(`${text}\n`, { exit: { code: 1 } }));
  assertEquals(outcome, { kind: "failed", reason: "agent_error.provider_auth_or_access", detail: message });
  const half = await runOn(backendFor("openclaw"), playback(`${text.slice(0, -3)}\n`));
  assertEquals(half.outcome.kind === "failed" && half.outcome.reason, "agent_error.empty_or_unparseable_output");
});

Deno.test("reasonInText() believes codes, never words", () => {
  const rows: [string, FailureReason | undefined][] = [
    ['401: {"type":"authentication_error","code":"invalid_api_key"}', "agent_error.provider_auth_or_access"],
    ['400: {"type":"invalid_request_error","code":"context_length_exceeded"}', "agent_error.context_overflow"],
    ['429 {"error":{"type":"insufficient_quota","code":"insufficient_quota"}}', "agent_error.provider_quota_limit"],
    ["503 Service Unavailable", "agent_error.provider_server_error"],
    ["the number 401 somewhere", undefined],
    ["{}", undefined],
    ["} {", undefined],
  ];
  for (const [text, reason] of rows) assertEquals(reasonInText(text), reason, text);
});

Deno.test("Prose puts a paragraph between blocks in a row, and forgets what was said before a tool", () => {
  const prose = new Prose();
  assertEquals(prose.say("text", "1", "before"), [{ kind: "text", text: "before" }]);
  prose.toolUsed();
  assertEquals(prose.say("text", "2", "af"), [{ kind: "text", text: "af" }]);
  assertEquals(prose.say("text", "2", "ter"), [{ kind: "text", text: "ter" }]);
  assertEquals(prose.say("thinking", "3", "hm"), [{ kind: "thinking", text: "hm" }]);
  assertEquals(prose.say("text", "4", "more"), [{ kind: "text", text: "more" }]);
  assertEquals(prose.say("text", "5", "last"), [{ kind: "text", text: "\n\nlast" }]);
  assertEquals(prose.say("text", "5", ""), []);
  assertEquals(prose.answer, "after\n\nmore\n\nlast");
});
