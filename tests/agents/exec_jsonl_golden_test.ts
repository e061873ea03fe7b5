/** What the real CLIs of the exec-jsonl family printed, as their dialects understand it: one row per recorded transcript. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { backendFor } from "../../lib/agents/registry.ts";
import type { FailureReason } from "../../lib/core/failure.ts";
import type { AgentMessage, Outcome } from "../../lib/core/message.ts";
import { fakeAgent, playback, runOn } from "./agent_io.ts";

interface Row {
  readonly transcript: string;
  /** The kinds of messages, pieces of one text or thought counted once. */
  readonly kinds: string;
  /** The answer, or why there was none. */
  readonly end: { output: string } | { reason: FailureReason; detail: string };
  readonly exit?: { code: number };
}

const GEMINI: Row[] = [
  {
    transcript: "tool",
    kinds: "session tool-use tool-result text usage",
    end: {
      output: "Final answer after tool. Tool said: <untrusted_context>\nOutput: hello-from-tool\n" +
        "Process Group PGID: 22286\n</untrusted_context>",
    },
  },
  {
    transcript: "toolfail",
    kinds: "session tool-use tool-result text usage",
    end: {
      output: "The command failed: <untrusted_context>\nOutput: to-stderr\nExit Code: 3\n" +
        "Process Group PGID: 22532\n</untrusted_context>",
    },
  },
  {
    transcript: "parallel",
    kinds: "session tool-use tool-use tool-result tool-result text usage",
    end: { output: "Both ran." },
  },
  { transcript: "resume", kinds: "session text usage", end: { output: "Just text." } },
  {
    transcript: "http401",
    kinds: "session usage",
    end: { reason: "agent_error.provider_auth_or_access", detail: "fake-llm scripted error 401" },
    exit: { code: 145 },
  },
  {
    transcript: "http429",
    kinds: "session usage",
    end: { reason: "agent_error.provider_capacity_or_rate_limit", detail: "Please wait and try again later" },
    exit: { code: 173 },
  },
  {
    transcript: "midfail",
    kinds: "session tool-use tool-result usage",
    end: { reason: "agent_error.provider_server_error", detail: "fake-llm scripted error 500" },
    exit: { code: 244 },
  },
  {
    transcript: "errorevent",
    kinds: "session error usage",
    end: { reason: "agent_error.provider_server_error", detail: "Model stream ended" },
  },
  {
    transcript: "drop",
    kinds: "session usage",
    end: { reason: "agent_error.provider_network", detail: "fetch failed" },
    exit: { code: 1 },
  },
  {
    transcript: "sigterm-in-tool",
    kinds: "session tool-use",
    end: { reason: "agent_error.empty_or_unparseable_output", detail: "The agent ended without a result" },
  },
];

const COPILOT: Row[] = [
  { transcript: "say", kinds: "session text tool-use tool-result text", end: { output: "Done." } },
  {
    transcript: "think",
    kinds: "session thinking tool-use tool-result thinking text",
    end: { output: "Thought and done." },
  },
  {
    transcript: "toolfail",
    kinds: "session tool-use tool-result text",
    end: { output: "The command failed: to-stderr\n<shellId: 0 completed with exit code 3>" },
  },
  { transcript: "resume", kinds: "session text", end: { output: "Just text." } },
  {
    transcript: "http401",
    kinds: "session error error error",
    end: { reason: "agent_error.provider_auth_or_access", detail: "Authentication failed with provider" },
    exit: { code: 1 },
  },
  {
    transcript: "errorevent",
    kinds: "session error error error error error error",
    end: { reason: "agent_error.provider_capacity_or_rate_limit", detail: "retried 5 times" },
    exit: { code: 1 },
  },
  {
    transcript: "drop",
    kinds: "session error error error error error error",
    end: { reason: "agent_error.provider_network", detail: "connection closed" },
    exit: { code: 1 },
  },
  {
    transcript: "sigterm-in-tool",
    kinds: "session tool-use",
    end: { reason: "agent_error.process_failure", detail: "The agent ended without a result" },
    exit: { code: 143 },
  },
];

const PI: Row[] = [
  {
    transcript: "think",
    kinds: "session thinking usage tool-use tool-result thinking text usage",
    end: { output: "Thought and done." },
  },
  {
    transcript: "parallel",
    kinds: "session usage tool-use tool-use tool-result tool-result text usage",
    end: { output: "Both ran." },
  },
  {
    transcript: "toolfail",
    kinds: "session usage tool-use tool-result text usage",
    end: { output: "The command failed: to-stderr\n\n\nCommand exited with code 3" },
  },
  { transcript: "resume", kinds: "session text usage", end: { output: "Just text." } },
  {
    transcript: "flaky",
    kinds: "session error error text usage",
    end: { output: "Recovered after two 500s." },
  },
  {
    transcript: "http401",
    kinds: "session",
    end: { reason: "agent_error.provider_auth_or_access", detail: "fake-llm scripted error 401" },
  },
  {
    transcript: "errorevent",
    kinds: "session error",
    end: { reason: "agent_error.provider_capacity_or_rate_limit", detail: "Overloaded" },
  },
  {
    transcript: "drop",
    kinds: "session error",
    end: { reason: "agent_error.provider_network", detail: "Connection error" },
  },
  {
    transcript: "sigterm-in-tool",
    kinds: "session usage tool-use",
    end: { reason: "agent_error.process_failure", detail: "The agent ended without a result" },
    exit: { code: 143 },
  },
];

async function recorded(provider: string, transcript: string): Promise<string> {
  return await Deno.readTextFile(new URL(`golden/${provider}-${transcript}.jsonl`, import.meta.url));
}

function sessionIn(provider: string, stdout: string): string {
  if (provider === "copilot") return /"sessionId":"([^"]+)"/.exec(stdout)?.[1] ?? "chosen";
  return /"(?:session_id|id)":"([^"]+)"/.exec(stdout)?.[1] ?? "";
}

/** Pieces of one text are one text. */
function kindsOf(messages: readonly AgentMessage[]): string {
  const kinds = messages.map(({ kind }) => kind);
  const piece = (kind: string) => kind === "text" || kind === "thinking";
  return kinds.filter((kind, index) => !piece(kind) || kinds[index - 1] !== kind).join(" ");
}

function assertEnd(outcome: Outcome, end: Row["end"]) {
  if ("output" in end) {
    assertEquals(outcome.kind === "completed" ? outcome.output : outcome, end.output);
  } else {
    assertEquals(outcome.kind === "failed" && outcome.reason, end.reason);
    assertStringIncludes(outcome.kind === "failed" ? outcome.detail : "", end.detail);
  }
}

for (const [provider, rows] of Object.entries({ gemini: GEMINI, copilot: COPILOT, pi: PI })) {
  const backend = backendFor(provider);

  for (const { transcript, kinds, end, exit } of rows) {
    Deno.test(`execJsonl understands the recorded run "${transcript}" of ${provider}`, async () => {
      const stdout = await recorded(provider, transcript);
      const sessionId = sessionIn(provider, stdout);
      const { messages, outcome } = await runOn(backend, playback(stdout, { exit }), {
        task: { newSession: sessionId },
      });
      assertEquals(kindsOf(messages), kinds);
      assertEquals(messages[0], { kind: "session", sessionId });
      assertEquals(outcome.sessionId, sessionId);
      assertEnd(outcome, end);
    });
  }

  Deno.test(`execJsonl takes the same from a transcript of ${provider} that arrives byte by byte`, async () => {
    const stdout = await recorded(provider, "toolfail");
    const whole = await runOn(backend, playback(stdout));
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of new TextEncoder().encode(stdout)) controller.enqueue(new Uint8Array([byte]));
        controller.close();
      },
    });
    const agent = fakeAgent();
    assertEquals(await runOn(backend, { ...agent, io: { ...agent.io, stdout: stream } }), whole);
  });
}

Deno.test("execJsonl tells each CLI's tools by name, input, answer and failure", async (t) => {
  const command = "echo to-stderr >&2; exit 3";
  const rows: [provider: string, tool: string, input: Record<string, unknown>, output: string, isError: boolean][] = [
    // A command that fails is a success to it, and it has no code.
    ["gemini", "run_shell_command", { command }, "to-stderr", false],
    ["copilot", "bash", { command, description: "fake" }, "to-stderr\n<shellId: 0 completed with exit code 3>", true],
    ["pi", "bash", { command }, "to-stderr\n\n\nCommand exited with code 3", true],
  ];
  for (const [provider, tool, input, output, isError] of rows) {
    await t.step(provider, async () => {
      const { messages } = await runOn(backendFor(provider), playback(await recorded(provider, "toolfail")));
      const use = messages.find(({ kind }) => kind === "tool-use");
      const callId = use?.kind === "tool-use" ? use.callId : "";
      assertEquals(use, { kind: "tool-use", tool, callId, input });
      assertEquals(messages.find(({ kind }) => kind === "tool-result"), {
        kind: "tool-result",
        tool,
        callId,
        output,
        isError,
      });
    });
  }
});

Deno.test("execJsonl counts the tokens of gemini for each model, and those of pi over all messages", async () => {
  const tokens = { inputTokens: 2000, outputTokens: 100, cacheReadTokens: 400, cacheWriteTokens: 0, costUsdTicks: 0 };
  const gemini = await runOn(backendFor("gemini"), playback(await recorded("gemini", "tool")));
  assertEquals(gemini.messages.at(-1), {
    kind: "usage",
    usage: [
      { model: "gemini-3.5-flash-lite", ...tokens, inputTokens: 1000, outputTokens: 50, cacheReadTokens: 200 },
      { model: "gemini-3.8-flash", ...tokens },
    ],
  });
  const pi = await runOn(backendFor("pi"), playback(await recorded("pi", "think")));
  assertEquals(pi.messages.at(-1), { kind: "usage", usage: [{ model: "fake-model", ...tokens }] });
});
