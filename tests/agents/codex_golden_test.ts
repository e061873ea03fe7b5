/** What the real Codex said over its app-server, as the adapter understands it: one row per recorded transcript. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { codexAppServer } from "../../lib/agents/codex_app_server.ts";
import type { FailureReason } from "../../lib/core/failure.ts";
import type { AgentTask } from "../../lib/core/model.ts";
import { fakeAgent, kindsOf, playback, runOn } from "./agent_io.ts";

interface Row {
  readonly transcript: string;
  /** Of the messages; those of one text are one. */
  readonly kinds: string;
  /** The answer, or why there was none. */
  readonly end: { output: string } | { reason: FailureReason; detail: string };
  readonly task?: Partial<AgentTask>;
}

const TOOL_SAID = "Final answer after tool. Tool said: ";

const ROWS: Row[] = [
  { transcript: "tool", kinds: "session tool-use tool-result usage text usage", end: { output: TOOL_SAID } },
  {
    transcript: "codemode",
    kinds: "session tool-use tool-result usage text usage",
    end: { output: "hello-from-tool" },
  },
  {
    transcript: "think",
    kinds: "session thinking tool-use tool-result usage thinking text usage",
    end: { output: "Thought and done." },
  },
  {
    transcript: "toolfail",
    kinds: "session tool-use tool-result usage text usage",
    end: { output: "Process exited with code 3" },
  },
  {
    transcript: "resume",
    kinds: "session text usage",
    end: { output: "Just text." },
    task: { resumeSession: "01a1f896-4a9d-7b83-97fb-59507a80279e" },
  },
  {
    transcript: "approval",
    kinds: "session tool-use tool-result usage text usage",
    end: { output: "Touched." },
  },
  {
    transcript: "http401",
    kinds: "session error error error error error",
    end: { reason: "agent_error.provider_auth_or_access", detail: "unexpected status 401 Unauthorized" },
  },
  {
    transcript: "quota",
    kinds: "session",
    end: { reason: "agent_error.provider_quota_limit", detail: "hit your usage limit" },
  },
  {
    transcript: "interrupt",
    kinds: "session tool-use usage",
    end: { reason: "agent_error.unknown", detail: "Codex broke off the turn" },
  },
];

interface Recorded {
  /** What the agent printed. */
  readonly stdout: string;
  /** Messages it was sent. */
  readonly sent: { id?: unknown; method?: string }[];
}

async function recorded(transcript: string): Promise<Recorded> {
  const text = await Deno.readTextFile(new URL(`golden/codex-appserver-${transcript}.jsonl`, import.meta.url));
  const lines: { in?: Record<string, unknown>; out?: unknown }[] = text.trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  return {
    stdout: lines.flatMap((line) => line.out ? [`${JSON.stringify(line.out)}\n`] : []).join(""),
    sent: lines.flatMap((line) => line.in ? [line.in] : []),
  };
}

/** Pieces of one text are told as they come; how many there are is not the point here. */
function shapeOf(kinds: string): string {
  return kinds.replaceAll(/\b(text|thinking)( \1)+/g, "$1");
}

for (const { transcript, kinds, end, task } of ROWS) {
  Deno.test(`codexAppServer understands the recorded run "${transcript}"`, async () => {
    const { stdout } = await recorded(transcript);
    const sessionId = /"thread":\{"id":"([^"]+)"/.exec(stdout)?.[1] ?? "";
    const { messages, outcome } = await runOn(codexAppServer, playback(stdout), { task });
    assertEquals(shapeOf(kindsOf(messages)), kinds);
    assertEquals(messages[0], { kind: "session", sessionId });
    assertEquals(outcome.sessionId, sessionId);
    if ("output" in end) {
      assertStringIncludes(outcome.kind === "completed" ? outcome.output : "", end.output);
    } else {
      assertEquals(outcome.kind === "failed" && outcome.reason, end.reason);
      assertStringIncludes(outcome.kind === "failed" ? outcome.detail : "", end.detail);
    }
  });
}

Deno.test("codexAppServer takes the same from a transcript that arrives byte by byte", async () => {
  const { stdout } = await recorded("think");
  const whole = await runOn(codexAppServer, playback(stdout));
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of new TextEncoder().encode(stdout)) controller.enqueue(new Uint8Array([byte]));
      controller.close();
    },
  });
  const agent = fakeAgent();
  assertEquals(await runOn(codexAppServer, { ...agent, io: { ...agent.io, stdout: stream } }), whole);
});

Deno.test("codexAppServer passes on a text in the pieces it came in, and nothing of it twice", async () => {
  const { messages, outcome } = await runOn(codexAppServer, playback((await recorded("tool")).stdout));
  const pieces = messages.flatMap((message) => message.kind === "text" ? [message.text] : []);
  assert(pieces.length > 5, `${pieces.length} pieces`);
  assertEquals(pieces.join(""), outcome.kind === "completed" ? outcome.output : "");
});

Deno.test("codexAppServer tells a tool's name, input, answer and failure", async () => {
  const { messages } = await runOn(codexAppServer, playback((await recorded("toolfail")).stdout));
  const callId = messages[1]?.kind === "tool-use" ? messages[1].callId : "";
  assertEquals(messages.slice(1, 3), [
    {
      kind: "tool-use",
      tool: "exec_command",
      callId,
      input: { command: "/bin/bash -lc 'echo to-stderr >&2; exit 3'", cwd: "work" },
    },
    { kind: "tool-result", tool: "exec_command", callId, output: "Exit code 3\nto-stderr\n", isError: true },
  ]);
});

Deno.test("codexAppServer counts the tokens of this run alone when it resumed a session", async () => {
  const { messages } = await runOn(codexAppServer, playback((await recorded("resume")).stdout), {
    task: { resumeSession: "01a1f896-4a9d-7b83-97fb-59507a80279e" },
  });
  const used = { inputTokens: 1000, outputTokens: 50, cacheReadTokens: 200, cacheWriteTokens: 0, costUsdTicks: 0 };
  assertEquals(messages.at(-1), { kind: "usage", usage: [{ model: "gpt-5.5", ...used }] });
});

Deno.test("codexAppServer says until when the quota is used up, by the windows that are", async () => {
  const agent = playback((await recorded("quota")).stdout, {
    clock: { now: () => 1_795_000_000_000, after: () => ({ [Symbol.dispose]: () => {} }) },
  });
  const { outcome } = await runOn(codexAppServer, agent);
  assertEquals(outcome.kind === "failed" && outcome.retryAt, 1_795_290_000_000);
});

Deno.test("codexAppServer answers the recorded request for approval as the recorded client did", async () => {
  const { stdout, sent: expected } = await recorded("approval");
  const agent = playback(stdout);
  await runOn(codexAppServer, agent);
  await agent.stdinClosed;
  const sent = agent.written().trim().split("\n").map((line) => JSON.parse(line));
  assertEquals(sent.map(({ method }) => method), expected.slice(0, sent.length).map(({ method }) => method));
  assertEquals(sent.at(-1), { id: 0, result: { decision: "accept" } });
  assertEquals(sent.at(-1), expected[sent.length - 1]);
});
