/** An agent that speaks the Agent Client Protocol, played by a test: answers by method, and everything it was sent. */
import { type FakeAgent, fakeAgent, type FakeAgentOptions } from "./agent_io.ts";

type Json = Record<string, unknown>;

/** What is sent back for a request: a result, an error, or nothing at all. */
export type Answer = { readonly result: Json } | { readonly error: Json } | "never";

/** Called with what the request holds; may print updates before it answers. */
export type Answerer = (params: Json, agent: AcpAgent) => Answer | Promise<Answer>;

export interface AcpAgent extends Pick<FakeAgent, "io" | "end" | "stdinClosed"> {
  /** Requests and notifications it was sent, in order. */
  readonly received: readonly { readonly method: string; readonly params: Json }[];
  print(message: Json): void;
  update(update: Json): void;
  /** Asks the client; resolves with the answer's `result` or `error`. */
  ask(method: string, params: Json): Promise<Json>;
}

const DEFAULTS: Record<string, Answerer> = {
  initialize: () => ({
    result: {
      protocolVersion: 1,
      agentCapabilities: {
        loadSession: true,
        sessionCapabilities: { resume: {} },
        mcpCapabilities: { http: true, sse: false },
      },
    },
  }),
  "session/new": () => ({ result: { sessionId: "s1" } }),
  "session/prompt": () => ({ result: { stopReason: "end_turn" } }),
};

export function acpAgent(answers: Record<string, Answerer> = {}, options: FakeAgentOptions = {}): AcpAgent {
  const agent = fakeAgent(options);
  const received: { method: string; params: Json }[] = [];
  const waiting = new Map<unknown, (answer: Json) => void>();
  let asked = 0;
  // A run that is over reads no further.
  const print = (message: Json) =>
    void agent.print(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`).catch(() => {});
  const take = async (message: Json) => {
    const { id, method } = message;
    if (typeof method !== "string") return waiting.get(id)?.((message.result ?? message.error) as Json);
    const params = message.params as Json;
    received.push({ method, params });
    if (id === undefined) return;
    const answer = await (answers[method] ?? DEFAULTS[method] ?? (() => ({ result: {} })))(params, self);
    if (answer !== "never") print({ id, ...answer });
  };
  const decoder = new TextDecoder();
  let rest = "";
  const stdin = new WritableStream<Uint8Array>({
    write(chunk) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) void take(JSON.parse(line));
    },
  });
  const self: AcpAgent = {
    io: { ...agent.io, stdin },
    end: agent.end,
    stdinClosed: agent.stdinClosed,
    received,
    print,
    update: (update) => print({ method: "session/update", params: { sessionId: "s1", update } }),
    ask(method, params) {
      const id = asked++;
      const answer = new Promise<Json>((resolve) => waiting.set(id, resolve));
      print({ id, method, params });
      return answer;
    },
  };
  return self;
}

export function textChunk(text: string): Json {
  return { sessionUpdate: "agent_message_chunk", content: { type: "text", text } };
}
