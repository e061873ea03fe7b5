/** What the real Claude Code printed, as the adapter understands it: one row per recorded transcript. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { claudeStreamJson } from "../../lib/agents/claude_stream_json.ts";
import type { FailureReason } from "../../lib/core/failure.ts";
import type { AgentTask } from "../../lib/core/model.ts";
import { fakeAgent, kindsOf, playback, runOn } from "./agent_io.ts";

interface Row {
  readonly transcript: string;
  readonly kinds: string;
  /** The answer, or why there was none. */
  readonly end: { output: string } | { reason: FailureReason; detail: string };
  readonly exit?: { code: number };
  readonly task?: Partial<AgentTask>;
}

const ROWS: Row[] = [
  { transcript: "say", kinds: "session text tool-use tool-result text usage", end: { output: "Done." } },
  {
    transcript: "tool",
    kinds: "session tool-use tool-result text usage",
    end: { output: "Final answer after tool. Tool said: hello-from-tool" },
  },
  {
    transcript: "think",
    kinds: "session thinking tool-use tool-result thinking text usage",
    end: { output: "Thought and done." },
  },
  {
    transcript: "parallel",
    kinds: "session tool-use tool-use tool-result tool-result text usage",
    end: { output: "Both ran." },
  },
  {
    transcript: "toolfail",
    kinds: "session tool-use tool-result text usage",
    end: { output: "The command failed: Exit code 3\nto-stderr" },
  },
  {
    transcript: "resume",
    kinds: "session text usage",
    end: { output: "Just text." },
    task: { resumeSession: "26663126-6edb-4b97-b7c2-f7054097df6c" },
  },
  {
    transcript: "flaky",
    kinds: "session error error text usage",
    end: { output: "Recovered after two 500s." },
  },
  {
    transcript: "http401",
    kinds: "session error error",
    end: { reason: "agent_error.provider_auth_or_access", detail: "API Error: 401" },
    exit: { code: 1 },
  },
  {
    transcript: "nologin",
    kinds: "session error",
    end: { reason: "agent_error.provider_auth_or_access", detail: "Not logged in" },
    exit: { code: 1 },
  },
  {
    transcript: "midfail",
    kinds: "session tool-use tool-result error error usage",
    end: { reason: "agent_error.provider_server_error", detail: "API Error: 500" },
    exit: { code: 1 },
  },
  {
    transcript: "errorevent",
    kinds: "session error",
    end: { reason: "agent_error.provider_capacity_or_rate_limit", detail: "API Error: 529" },
    exit: { code: 1 },
  },
  {
    transcript: "drop",
    kinds: "session error error",
    end: { reason: "agent_error.provider_network", detail: "Connection dropped" },
    exit: { code: 1 },
  },
  {
    transcript: "sigint-in-tool",
    kinds: "session tool-use tool-result usage",
    end: { reason: "agent_error.unknown", detail: "aborted_tools" },
  },
  {
    transcript: "sigterm-in-tool",
    kinds: "session tool-use tool-result",
    end: { reason: "agent_error.process_failure", detail: "The agent ended with code 143" },
    exit: { code: 143 },
  },
  {
    transcript: "bidi-permission-allow",
    kinds: "session tool-use tool-result text usage",
    end: { output: "Touched." },
  },
  {
    transcript: "bidi-permission-deny",
    kinds: "session tool-use tool-result text usage",
    end: { output: "Touched." },
    task: { permission: "read-only" },
  },
];

interface Recorded {
  /** What the agent printed. */
  readonly stdout: string;
  /** Lines it was sent, where the recording has both directions. */
  readonly sent: unknown[];
}

async function recorded(transcript: string): Promise<Recorded> {
  const text = await Deno.readTextFile(new URL(`golden/claude-${transcript}.jsonl`, import.meta.url));
  if (!transcript.startsWith("bidi")) return { stdout: text, sent: [] };
  const lines: { in?: unknown; out?: unknown }[] = text.trim().split("\n").map((line) => JSON.parse(line));
  return {
    stdout: lines.flatMap((line) => line.out ? [`${JSON.stringify(line.out)}\n`] : []).join(""),
    sent: lines.flatMap((line) => line.in ? [line.in] : []),
  };
}

function sessionIn(stdout: string): string {
  return /"session_id": ?"([^"]+)"/.exec(stdout)?.[1] ?? "";
}

for (const { transcript, kinds, end, exit, task } of ROWS) {
  Deno.test(`claudeStreamJson understands the recorded run "${transcript}"`, async () => {
    const { stdout } = await recorded(transcript);
    const sessionId = sessionIn(stdout);
    const { messages, outcome } = await runOn(claudeStreamJson, playback(stdout, { exit }), { task });
    assertEquals(kindsOf(messages), kinds);
    assertEquals(messages[0], { kind: "session", sessionId });
    assertEquals(outcome.sessionId, sessionId);
    if ("output" in end) {
      assertEquals(outcome, { kind: "completed", output: end.output, sessionId });
    } else {
      assertEquals(outcome.kind === "failed" && outcome.reason, end.reason);
      assertStringIncludes(outcome.kind === "failed" ? outcome.detail : "", end.detail);
    }
  });
}

Deno.test("claudeStreamJson takes the same from a transcript that arrives byte by byte", async () => {
  const { stdout } = await recorded("think");
  const whole = await runOn(claudeStreamJson, playback(stdout));
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of new TextEncoder().encode(stdout)) controller.enqueue(new Uint8Array([byte]));
      controller.close();
    },
  });
  const agent = fakeAgent();
  assertEquals(await runOn(claudeStreamJson, { ...agent, io: { ...agent.io, stdout: stream } }), whole);
});

Deno.test("claudeStreamJson tells a tool's name, input, answer and failure", async () => {
  const { messages } = await runOn(claudeStreamJson, playback((await recorded("toolfail")).stdout));
  assertEquals(messages.slice(1, 3), [
    {
      kind: "tool-use",
      tool: "Bash",
      callId: "toolu_fake000026",
      input: { command: "echo to-stderr >&2; exit 3" },
    },
    { kind: "tool-result", tool: "Bash", callId: "toolu_fake000026", output: "Exit code 3\nto-stderr", isError: true },
  ]);
});

Deno.test("claudeStreamJson counts the tokens of this run alone when it resumed a session", async () => {
  const { messages } = await runOn(claudeStreamJson, playback((await recorded("resume")).stdout), {
    task: { resumeSession: "26663126-6edb-4b97-b7c2-f7054097df6c" },
  });
  assertEquals(messages.at(-1), {
    kind: "usage",
    usage: [{
      model: "claude-opus-5-5",
      inputTokens: 1000,
      outputTokens: 50,
      cacheReadTokens: 200,
      cacheWriteTokens: 30,
      costUsdTicks: 51_900_000,
    }],
  });
});

Deno.test("claudeStreamJson answers the recorded permission request as the recorded client did", async () => {
  const { stdout, sent: expected } = await recorded("bidi-permission-allow");
  const agent = playback(stdout);
  await runOn(claudeStreamJson, agent, { task: { prompt: "one @fake:touch" } });
  await agent.stdinClosed;
  const sent = agent.written().trim().split("\n").map((line) => JSON.parse(line));
  assertEquals(sent, expected);
});
