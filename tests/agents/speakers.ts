/** How the agent of each row says things, for the tests that every adapter must pass. */

export interface Speaker {
  readonly provider: string;
  /** What it prints before it can say anything: the answers to a handshake, whose requests are numbered from 1. */
  readonly begin?: string;
  /** One short text as a whole line. */
  say(text: string): string;
  /** What it prints when it is done, before it exits with code 0. */
  readonly done: string;
}

function line(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

const CODEX_TURN = { threadId: "t1", turnId: "u1" };

/** The answers to opening a session of the Agent Client Protocol and setting its mode. */
const ACP_BEGIN = [
  { protocolVersion: 1, agentCapabilities: { sessionCapabilities: { resume: {} } } },
  { sessionId: "s1" },
  {},
].map((result, index) => line({ jsonrpc: "2.0", id: index + 1, result })).join("");

function acpUpdate(update: unknown): string {
  return line({ jsonrpc: "2.0", method: "session/update", params: { sessionId: "s1", update } });
}

let acpMessages = 0;

function acpText(text: string): string {
  const messageId = `message ${++acpMessages}`;
  return acpUpdate({ sessionUpdate: "agent_message_chunk", messageId, content: { type: "text", text } });
}

/** Each protocol family and each dialect once, under the name of a row that speaks it. */
export const SPEAKERS: readonly Speaker[] = [
  {
    provider: "claude",
    say: (text) => line({ type: "assistant", message: { content: [{ type: "text", text }] } }),
    done: line({ type: "result", subtype: "success", is_error: false, result: "done" }),
  },
  {
    provider: "codex",
    begin: line({ id: 1, result: {} }) +
      line({ id: 2, result: { thread: { id: "t1" }, model: "m1" } }) +
      line({ id: 3, result: { turn: { id: "u1" } } }),
    say: (text) => line({ method: "item/completed", params: { ...CODEX_TURN, item: { type: "agentMessage", text } } }),
    done: line({ method: "item/completed", params: { ...CODEX_TURN, item: { type: "agentMessage", text: "done" } } }) +
      line({ method: "turn/completed", params: { threadId: "t1", turn: { id: "u1", status: "completed" } } }),
  },
  {
    provider: "kimi",
    begin: ACP_BEGIN,
    say: acpText,
    done: acpText("done") + line({ jsonrpc: "2.0", id: 4, result: { stopReason: "end_turn" } }),
  },
  {
    provider: "gemini",
    say: (text) => line({ type: "message", role: "assistant", content: text, delta: true }),
    done: line({ type: "message", role: "assistant", content: "done" }) + line({ type: "result", status: "success" }),
  },
  {
    provider: "copilot",
    say: (text) => line({ type: "assistant.message_delta", data: { messageId: "m1", deltaContent: text } }),
    done: line({ type: "assistant.message", data: { messageId: "m2", content: "done" } }) +
      line({ type: "result", sessionId: "new", exitCode: 0 }),
  },
  {
    provider: "pi",
    say: (text) =>
      line({ type: "message_update", assistantMessageEvent: { type: "text_delta", contentIndex: 0, delta: text } }),
    done: line({
      type: "message_end",
      message: { role: "assistant", stopReason: "stop", content: [{}, { type: "text", text: "done" }] },
    }) + line({ type: "agent_settled" }),
  },
  {
    provider: "cursor",
    say: (text) => line({ type: "assistant", message: { content: [{ type: "text", text }] } }),
    done: line({ type: "result", subtype: "success", is_error: false, result: "done" }),
  },
  {
    provider: "amp",
    say: (text) => line({ type: "assistant", message: { content: [{ type: "text", text }] } }),
    done: line({ type: "result", subtype: "success", is_error: false, result: "done" }),
  },
  { provider: "llm", say: (text) => `${text}\n`, done: "done\n" },
];
