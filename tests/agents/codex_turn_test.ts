/** What the codex adapter makes of a turn: messages, tokens, the answer, and the reason of a failure. */
import { assertEquals } from "@std/assert";
import { codexAppServer } from "../../lib/agents/codex_app_server.ts";
import type { FailureReason } from "../../lib/core/failure.ts";
import { kindsOf, playback, runOn } from "./agent_io.ts";
import {
  BEGUN,
  DONE,
  ended,
  HANDSHAKE,
  INITIALIZED,
  jsonLines,
  notice,
  OPENED,
  run,
  TURN,
  turnEnd,
} from "./codex_speech.ts";

Deno.test("run() ignores what is said of other threads and other turns", async () => {
  const text = { type: "agentMessage", id: "x", text: "not ours" };
  const { messages, outcome } = await run([
    ...HANDSHAKE,
    { method: "item/completed", params: { threadId: "t2", turnId: "u1", item: text } },
    { method: "item/completed", params: { threadId: "t1", turnId: "u0", item: text } },
    { method: "turn/completed", params: { threadId: "t2", turn: { id: "u1", status: "failed" } } },
    { method: "turn/completed", params: { threadId: "t1", turn: { id: "u0", status: "failed" } } },
    { method: "something/new", params: { ...TURN } },
    ...DONE,
  ]);
  assertEquals(kindsOf(messages), "session text");
  assertEquals(outcome.kind, "completed");
});

function tokens(threadId: string, turnId: string, total: number, last: number): unknown {
  const counts = (input: number) => ({
    totalTokens: input + 10,
    inputTokens: input,
    cachedInputTokens: input / 2,
    cacheWriteInputTokens: 0,
    outputTokens: 10,
  });
  const tokenUsage = { total: counts(total), last: counts(last) };
  return { method: "thread/tokenUsage/updated", params: { threadId, turnId, tokenUsage } };
}

Deno.test("run() counts tokens once, per model, with those of subagents and without those of earlier turns", async () => {
  const { messages } = await run([
    ...[INITIALIZED, OPENED, tokens("t1", "u0", 1000, 1000), BEGUN],
    tokens("t1", "u1", 1100, 100),
    tokens("t1", "u1", 1100, 100),
    { method: "thread/started", params: { thread: { id: "t2", model: "m2" } } },
    tokens("t2", "v1", 5040, 40),
    { method: "model/rerouted", params: { ...TURN, toModel: "m3" } },
    tokens("t1", "u1", 1160, 60),
    ...DONE,
  ]);
  const said = messages.filter(({ kind }) => kind === "usage");
  assertEquals(said.length, 3);
  const last = said.at(-1);
  const counts = last?.kind === "usage" ? last.usage.map((u) => [u.model, u.inputTokens, u.cacheReadTokens]) : [];
  assertEquals(counts, [["m1", 50, 50], ["m2", 20, 20], ["m3", 30, 30]]);
});

Deno.test("run() tells each kind of tool once, with its input, its answer and whether it failed", async (t) => {
  const rows: [item: Record<string, unknown>, tool: string, output: string, isError: boolean][] = [
    [
      { type: "commandExecution", command: "x", exitCode: 0, aggregatedOutput: "out\n" },
      "exec_command",
      "out\n",
      false,
    ],
    [
      { type: "commandExecution", command: "x", exitCode: 2, aggregatedOutput: "out\n" },
      "exec_command",
      "Exit code 2\nout\n",
      true,
    ],
    [{ type: "commandExecution", command: "x", status: "declined" }, "exec_command", "It was not allowed", true],
    [
      { type: "fileChange", status: "completed", changes: [{ path: "a", kind: { type: "update" }, diff: "d" }] },
      "apply_patch",
      "update a",
      false,
    ],
    [
      {
        type: "mcpToolCall",
        server: "s",
        tool: "t",
        result: { content: [{ type: "text", text: "r" }, { type: "image" }] },
      },
      "mcp__s__t",
      "r\n[image]",
      false,
    ],
    [
      { type: "mcpToolCall", server: "s", tool: "t", status: "failed", error: { message: "no" } },
      "mcp__s__t",
      "no",
      true,
    ],
    [{ type: "webSearch", query: "q", action: { type: "search" } }, "web_search", "", false],
    [{ type: "imageGeneration", result: "iVBORw0", savedPath: "/a.png" }, "image_generation", "/a.png", false],
  ];
  for (const [item, tool, output, isError] of rows) {
    await t.step(`${tool}: ${output}`, async () => {
      const whole = { id: "i1", ...item };
      const { messages } = await run([...HANDSHAKE, notice("item/started", { item: whole }), ended(whole), ...DONE]);
      assertEquals(kindsOf(messages), "session tool-use tool-result text");
      assertEquals(messages[2], { kind: "tool-result", tool, callId: "i1", output, isError });
    });
  }
});

Deno.test("run() tells a plan as a tool, and thoughts part by part", async () => {
  const thought = (method: string, params: Record<string, unknown>) =>
    notice(`item/reasoning/${method}`, { itemId: "r", ...params });
  const { messages } = await run([
    ...HANDSHAKE,
    thought("summaryTextDelta", { summaryIndex: 0, delta: "one " }),
    thought("summaryTextDelta", { summaryIndex: 0, delta: "two" }),
    thought("summaryTextDelta", { summaryIndex: 1, delta: "three" }),
    ended({ type: "reasoning", id: "r", summary: ["one two", "three", "four"] }),
    notice("turn/plan/updated", { explanation: null, plan: [{ step: "a", status: "pending" }] }),
    ...DONE,
  ]);
  assertEquals(messages.flatMap((message) => message.kind === "thinking" ? [message.text] : []), [
    "one ",
    "two",
    "\n\nthree",
    "\n\nfour",
  ]);
  assertEquals(kindsOf(messages).endsWith("tool-use tool-result text"), true);
});

Deno.test("run() answers with what was said last, and with the final answer where one is called so", async (t) => {
  const says = (text: string, phase: string | null = null) => ended({ type: "agentMessage", id: text, text, phase });
  const tool = ended({ type: "commandExecution", id: "c", command: "x", exitCode: 0 });
  const rows: [name: string, said: unknown[], output: string][] = [
    ["after the last tool", [says("first"), tool, says("second"), says("third")], "second\n\nthird"],
    ["a final answer", [says("by the way", "commentary"), says("it", "final_answer")], "it"],
    ["a tool after it", [says("it", "final_answer"), tool], "it"],
    ["nothing", [tool], ""],
  ];
  for (const [name, said, output] of rows) {
    await t.step(name, async () => {
      const { outcome } = await run([...HANDSHAKE, ...said, turnEnd()]);
      assertEquals(outcome.kind === "completed" && outcome.output, output);
    });
  }
  await t.step("of the turn's summary, when no item said it", async () => {
    const items = [{ type: "agentMessage", text: "only here" }];
    const { outcome } = await run([...HANDSHAKE, turnEnd({ status: "completed", items })]);
    assertEquals(outcome.kind === "completed" && outcome.output, "only here");
  });
});

Deno.test("run() names the reason of a failed turn by its codes, and by words only where there is none", async (t) => {
  const status = (httpStatusCode: number | null) => ({ httpConnectionFailed: { httpStatusCode } });
  const body = (type: string) => JSON.stringify({ error: { type, message: "m" } });
  const rows: [name: string, error: { codexErrorInfo: unknown; message: string }, FailureReason][] = [
    ["a status", { codexErrorInfo: status(403), message: "x" }, "agent_error.provider_auth_or_access"],
    ["a connection", { codexErrorInfo: status(null), message: "x" }, "agent_error.provider_network"],
    ["a code", { codexErrorInfo: "contextWindowExceeded", message: "x" }, "agent_error.context_overflow"],
    ["overload", { codexErrorInfo: "serverOverloaded", message: "x" }, "agent_error.provider_capacity_or_rate_limit"],
    [
      "the provider's answer",
      { codexErrorInfo: "other", message: body("invalid_request_error") },
      "api_invalid_request",
    ],
    [
      "a long prompt",
      { codexErrorInfo: "other", message: body("context_length_exceeded") },
      "agent_error.context_overflow",
    ],
    [
      "words",
      { codexErrorInfo: "other", message: "stream disconnected before completion: x" },
      "agent_error.provider_network",
    ],
    ["a code of the future", { codexErrorInfo: { brandNew: {} }, message: "429" }, "agent_error.unknown"],
  ];
  for (const [name, error, reason] of rows) {
    await t.step(name, async () => {
      const { outcome } = await run([...HANDSHAKE, turnEnd({ status: "failed", error })]);
      assertEquals(outcome.kind === "failed" && [outcome.reason, outcome.detail], [reason, error.message]);
      assertEquals(outcome.sessionId, "t1");
    });
  }
});

Deno.test("run() tells no time of return for a quota that has windows left or windows long gone", async () => {
  const windows = {
    primary: { usedPercent: 100, resetsAt: 1 },
    secondary: { usedPercent: 99, resetsAt: 9_999_999_999 },
  };
  const { outcome } = await run([
    ...HANDSHAKE,
    { method: "account/rateLimits/updated", params: { rateLimits: { limitId: "codex", ...windows } } },
    turnEnd({ status: "failed", error: { codexErrorInfo: "usageLimitExceeded", message: "limit" } }),
  ]);
  assertEquals(outcome.kind === "failed" && [outcome.reason, outcome.retryAt], [
    "agent_error.provider_quota_limit",
    undefined,
  ]);
});

Deno.test("run() says with the last error why an agent died in its turn", async () => {
  const agent = playback(
    jsonLines(
      ...HANDSHAKE,
      notice("error", { error: { codexErrorInfo: "unauthorized", message: "key" }, willRetry: false }),
    ),
    { exit: { code: 1 }, stderr: "panic" },
  );
  const { outcome } = await runOn(codexAppServer, agent);
  assertEquals(outcome.kind === "failed" && outcome.reason, "agent_error.provider_auth_or_access");
  const detail = outcome.kind === "failed" ? outcome.detail : "";
  assertEquals(detail.includes("key") && detail.includes("code 1") && detail.includes("panic"), true, detail);
});
