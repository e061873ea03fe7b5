/** Prepared streams of agents, for measuring: tool uses and their results, as many as wanted, in each protocol. */

/** What an agent of one protocol prints. */
export interface Speech {
  /** The answers to the handshake, whose requests are numbered from 1, and whatever else comes first. */
  readonly begin: readonly unknown[];
  /** One tool use and its result: two messages. */
  step(n: number): readonly unknown[];
  /** The last words, which complete the run. */
  readonly end: readonly unknown[];
}

const CLAUDE: Speech = {
  begin: [{ type: "system", subtype: "init", session_id: "bench", tools: [] }],
  step(n) {
    const use = [{ type: "tool_use", id: `toolu_${n}`, name: "Bash", input: { command: `echo ${n}` } }];
    const result = [{ type: "tool_result", tool_use_id: `toolu_${n}`, content: `${n}`, is_error: false }];
    return [
      { type: "assistant", message: { id: `m${n}`, role: "assistant", content: use } },
      { type: "user", message: { role: "user", content: result } },
    ];
  },
  end: [{ type: "result", subtype: "success", is_error: false, result: "done", session_id: "bench" }],
};

const CODEX_TURN = { threadId: "t1", turnId: "u1" };

const CODEX: Speech = {
  begin: [
    { id: 1, result: {} },
    { id: 2, result: { thread: { id: "t1" }, model: "m1" } },
    { id: 3, result: { turn: { id: "u1" } } },
  ],
  step(n) {
    const item = { id: `call_${n}`, type: "commandExecution", command: `echo ${n}`, cwd: "/" };
    const done = { ...item, status: "completed", exitCode: 0, aggregatedOutput: `${n}` };
    return [
      { method: "item/started", params: { ...CODEX_TURN, item } },
      { method: "item/completed", params: { ...CODEX_TURN, item: done } },
    ];
  },
  end: [
    { method: "item/completed", params: { ...CODEX_TURN, item: { id: "m", type: "agentMessage", text: "done" } } },
    { method: "turn/completed", params: { threadId: "t1", turn: { id: "u1", status: "completed" } } },
  ],
};

function acpUpdate(update: Record<string, unknown>): unknown {
  return { jsonrpc: "2.0", method: "session/update", params: { sessionId: "s1", update } };
}

const ACP: Speech = {
  begin: [{ protocolVersion: 1, agentCapabilities: {} }, { sessionId: "s1" }, {}]
    .map((result, index) => ({ jsonrpc: "2.0", id: index + 1, result })),
  step: (n) => [
    acpUpdate({
      sessionUpdate: "tool_call",
      toolCallId: `call_${n}`,
      title: "shell",
      kind: "execute",
      status: "in_progress",
      rawInput: { command: `echo ${n}` },
    }),
    acpUpdate({
      sessionUpdate: "tool_call_update",
      toolCallId: `call_${n}`,
      status: "completed",
      content: [{ type: "content", content: { type: "text", text: `${n}` } }],
    }),
  ],
  end: [
    acpUpdate({ sessionUpdate: "agent_message_chunk", messageId: "m", content: { type: "text", text: "done" } }),
    { jsonrpc: "2.0", id: 4, result: { stopReason: "end_turn" } },
  ],
};

const GEMINI: Speech = {
  begin: [{ type: "init", session_id: "bench", model: "m1" }],
  step: (n) => [
    { type: "tool_use", tool_name: "run_shell_command", tool_id: `call_${n}`, parameters: { command: `echo ${n}` } },
    { type: "tool_result", tool_id: `call_${n}`, status: "success", output: `${n}` },
  ],
  end: [{ type: "message", role: "assistant", content: "done" }, { type: "result", status: "success" }],
};

const COPILOT: Speech = {
  begin: [],
  step: (n) => [
    {
      type: "tool.execution_start",
      data: { toolCallId: `call_${n}`, toolName: "bash", arguments: { command: `echo ${n}` } },
    },
    { type: "tool.execution_complete", data: { toolCallId: `call_${n}`, success: true, result: { content: `${n}` } } },
  ],
  end: [
    { type: "assistant.message", data: { messageId: "m", content: "done" } },
    { type: "result", sessionId: "bench", exitCode: 0 },
  ],
};

const PI: Speech = {
  begin: [{ type: "session", id: "bench" }],
  step: (n) => [
    { type: "tool_execution_start", toolCallId: `call_${n}`, toolName: "bash", args: { command: `echo ${n}` } },
    {
      type: "tool_execution_end",
      toolCallId: `call_${n}`,
      toolName: "bash",
      result: { content: [{ type: "text", text: `${n}` }] },
      isError: false,
    },
  ],
  end: [
    {
      type: "message_end",
      message: { role: "assistant", stopReason: "stop", content: [{ type: "text", text: "done" }] },
    },
    { type: "agent_settled" },
  ],
};

/** One provider of the table for each protocol and dialect; plain text has none. */
export const SPEECHES: Readonly<Record<string, Speech>> = {
  claude: CLAUDE,
  codex: CODEX,
  kimi: ACP,
  gemini: GEMINI,
  copilot: COPILOT,
  pi: PI,
};

/** `messages` must be even. One JSON object per line. */
export function transcriptOf(messages: number, { begin, step, end }: Speech = CLAUDE): string {
  const lines = begin.map((value) => JSON.stringify(value));
  for (let n = 0; n < messages / 2; n++) for (const value of step(n)) lines.push(JSON.stringify(value));
  for (const value of end) lines.push(JSON.stringify(value));
  return lines.join("\n") + "\n";
}

/** Of an agent without a protocol: as many lines. */
export function plainTranscriptOf(messages: number): string {
  return Array.from({ length: messages }, (_, n) => `line ${n} of what an agent has to say about the files it read\n`)
    .join("");
}
