/** What real agents said over the Agent Client Protocol, as the adapter understands it: one row per recorded run. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { backendFor } from "../../lib/agents/registry.ts";
import type { FailureReason } from "../../lib/core/failure.ts";
import type { AgentMessage } from "../../lib/core/message.ts";
import type { AgentTask } from "../../lib/core/model.ts";
import { type AcpAgent, acpAgent, type Answerer } from "./acp_agent.ts";
import { listen, taskOf } from "./agent_io.ts";

interface Row {
  readonly cli: string;
  readonly transcript: string;
  /** Pieces of one text count once. */
  readonly kinds: string;
  /** How the answer begins, or why there was none. */
  readonly end: { readonly output: string } | { readonly reason: FailureReason; readonly detail: string };
  readonly task?: Partial<AgentTask>;
  /** Of the person who is asked. */
  readonly allow?: boolean;
}

const TOOL = "Final answer after tool. Tool said: ";
const RESUME = { transcript: "resume", end: { output: "Just text." }, task: { resumeSession: "old" } };
const DENIED = {
  transcript: "ask-deny",
  end: { output: "Touched." },
  task: { permission: "ask" },
  allow: false,
} as const;
const AUTH = "agent_error.provider_auth_or_access";

const ROWS: Row[] = [
  { cli: "kimi", transcript: "tool", kinds: "session tool-use tool-result text", end: { output: TOOL } },
  {
    cli: "kimi",
    transcript: "think",
    kinds: "session thinking tool-use tool-result thinking text",
    end: { output: "Thought and done." },
  },
  {
    cli: "kimi",
    transcript: "parallel",
    kinds: "session tool-use tool-use tool-result tool-result text",
    end: { output: "Both ran." },
  },
  { cli: "kimi", kinds: "session text", ...RESUME },
  { cli: "kimi", kinds: "session tool-use tool-result text", ...DENIED },
  { cli: "kimi", transcript: "http401", kinds: "session", end: { reason: AUTH, detail: "401" } },
  {
    cli: "kimi",
    transcript: "midfail",
    kinds: "session tool-use tool-result",
    end: { reason: "agent_error.empty_or_unparseable_output", detail: "~/.kimi-code/sessions/*/session_" },
  },
  {
    cli: "qwen",
    transcript: "tool",
    kinds: "session usage tool-use tool-result text usage usage",
    end: { output: TOOL },
  },
  { cli: "qwen", kinds: "session text usage usage", ...RESUME },
  {
    cli: "qwen",
    kinds: "session usage tool-use tool-result usage",
    ...DENIED,
    end: { reason: "agent_error.unknown", detail: "a person said so" },
  },
  { cli: "qwen", transcript: "http401", kinds: "session", end: { reason: AUTH, detail: "401" } },
  { cli: "opencode", transcript: "tool", kinds: "session tool-use tool-result text usage", end: { output: TOOL } },
  {
    cli: "opencode",
    transcript: "parallel",
    kinds: "session tool-use tool-use tool-result tool-result text usage",
    end: { output: "Both ran." },
  },
  { cli: "opencode", kinds: "session text usage", ...RESUME },
  {
    cli: "opencode",
    kinds: "session tool-use tool-result usage",
    ...DENIED,
    end: { reason: "agent_error.unknown", detail: "a person said so" },
  },
  { cli: "opencode", transcript: "http401", kinds: "session", end: { reason: AUTH, detail: "401" } },
  {
    cli: "claude-agent-acp",
    transcript: "tool",
    kinds: "session tool-use tool-result text usage",
    end: { output: TOOL },
  },
  {
    cli: "claude-agent-acp",
    transcript: "parallel",
    kinds: "session tool-use tool-use tool-result tool-result text usage",
    end: { output: "Both ran." },
  },
  { cli: "claude-agent-acp", kinds: "session text usage", ...RESUME },
  { cli: "claude-agent-acp", kinds: "session tool-use tool-result text usage", ...DENIED },
  {
    cli: "claude-agent-acp",
    transcript: "http401",
    kinds: "session text",
    end: { reason: AUTH, detail: "claude /login" },
  },
  { cli: "codex-acp", transcript: "tool", kinds: "session tool-use tool-result text", end: { output: TOOL } },
  { cli: "codex-acp", kinds: "session text", ...RESUME },
  { cli: "codex-acp", transcript: "http401", kinds: "session", end: { reason: AUTH, detail: "401 Unauthorized" } },
];

interface Recorded {
  readonly in?: { readonly id?: unknown; readonly method?: string };
  readonly out?: {
    readonly id?: unknown;
    readonly method?: string;
    readonly params?: Record<string, unknown>;
    readonly result?: Record<string, unknown>;
    readonly error?: Record<string, unknown>;
  };
}

async function recorded(name: string): Promise<Recorded[]> {
  const text = await Deno.readTextFile(new URL(`golden/${name}.jsonl`, import.meta.url));
  return text.trim().split("\n").map((line) => JSON.parse(line));
}

/** Says what the recorded agent said before it answered the same request, and gives the same answer. */
function replay(lines: readonly Recorded[]): Record<string, Answerer> {
  let at = 0;
  const answer = async (id: unknown, agent: AcpAgent) => {
    while (at < lines.length) {
      const out = lines[at++]!.out;
      if (!out) continue;
      const { method, params = {}, result, error } = out;
      if (method && out.id !== undefined) await agent.ask(method, params);
      else if (method) agent.print({ method, params });
      else if (out.id === id) return error ? { error } : { result: result ?? {} };
    }
    return "never" as const;
  };
  const requests = lines.flatMap((line) => line.in?.method && line.in.id !== undefined ? [line.in] : []);
  return Object.fromEntries(requests.map(({ id, method }) => [method!, (_, agent) => answer(id, agent)]));
}

function kindsOf(messages: readonly AgentMessage[]): string {
  return messages.map(({ kind }) => kind)
    .filter((kind, at, all) => !(kind === all[at - 1] && (kind === "text" || kind === "thinking"))).join(" ");
}

for (const { cli, transcript, kinds, end, task, allow = true } of ROWS) {
  Deno.test(`acp understands the recorded run "${transcript}" of ${cli}`, async () => {
    const agent = acpAgent(replay(await recorded(`${cli}-${transcript}`)), {
      ask: () => Promise.resolve({ allow, why: "a person said so" }),
    });
    const { messages, outcome } = await listen(
      backendFor(cli).run(agent.io, taskOf(task), new AbortController().signal),
    );
    assertEquals(kindsOf(messages), kinds);
    const [first] = messages;
    assertEquals(outcome.sessionId, first?.kind === "session" ? first.sessionId : "none");
    if ("output" in end) {
      assertEquals(outcome.kind, "completed");
      assertStringIncludes(outcome.kind === "completed" ? outcome.output : "", end.output);
    } else {
      assertEquals(outcome.kind === "failed" && outcome.reason, end.reason);
      assertStringIncludes(outcome.kind === "failed" ? outcome.detail : "", end.detail);
    }
  });
}

/** The tool as each agent names it, and the tokens as each agent counts them. */
const DETAILS: readonly { cli: string; tool: string; tokens: number[] | undefined }[] = [
  { cli: "kimi", tool: "Bash", tokens: undefined },
  { cli: "qwen", tool: "run_shell_command", tokens: [2000, 100, 400] },
  { cli: "opencode", tool: "bash", tokens: [1000, 50, 200] },
  { cli: "claude-agent-acp", tool: "Bash", tokens: [3000, 150, 600] },
  { cli: "codex-acp", tool: "execute", tokens: undefined },
];

for (const { cli, tool, tokens } of DETAILS) {
  Deno.test(`acp tells the tool, its input, its output and the tokens of ${cli}`, async () => {
    const agent = acpAgent(replay(await recorded(`${cli}-tool`)));
    const { messages } = await listen(backendFor(cli).run(agent.io, taskOf(), new AbortController().signal));
    const use = messages.find((message) => message.kind === "tool-use");
    assertEquals(use?.tool, tool);
    assertStringIncludes(JSON.stringify(use?.input), "echo hello-from-tool");
    const result = messages.find((message) => message.kind === "tool-result");
    assertEquals([result?.output.trim(), result?.isError, result?.callId], ["hello-from-tool", false, use?.callId]);
    const usage = messages.findLast((message) => message.kind === "usage")?.usage[0];
    assertEquals(usage && [usage.inputTokens, usage.outputTokens, usage.cacheReadTokens], tokens);
  });
}
