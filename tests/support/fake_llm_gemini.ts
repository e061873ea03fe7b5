/** The format of Google's generateContent, for the fake model: model and kind of answer are in the path. */
import type { Dialect, Reply, StreamEvent } from "./fake_llm_dialect.ts";
import { textOf, words } from "./fake_llm_dialect.ts";
import { type Conversation, MARK, type Schema, type Turn } from "./fake_llm_script.ts";

interface Part {
  readonly text?: string;
  readonly functionResponse?: { readonly response?: { readonly output?: unknown } };
}

interface Body {
  readonly contents?: readonly { readonly role?: string; readonly parts?: readonly Part[] }[];
  readonly tools?: readonly {
    readonly functionDeclarations?: readonly {
      readonly name: string;
      readonly parametersJsonSchema?: Schema;
      readonly parameters?: Schema;
    }[];
  }[];
  readonly generationConfig?: {
    readonly responseJsonSchema?: Schema;
    readonly responseSchema?: Schema;
    readonly responseMimeType?: string;
  };
}

const PATH = /\/models\/([^/:]+):(streamGenerateContent|generateContent|countTokens)$/;

const STATUSES: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  429: "RESOURCE_EXHAUSTED",
  503: "UNAVAILABLE",
};

export const GEMINI: Dialect = {
  name: "gemini",
  wants(path) {
    const kind = PATH.exec(path)?.[2];
    if (kind === undefined) return undefined;
    return kind === "countTokens" ? "token-count" : "answer";
  },
  read,
  write,
  errorEvents: (message) => [{ data: GEMINI.errorBody(529, message) }],
  errorBody: (status, message) => ({ error: { code: status, message, status: STATUSES[status] ?? "INTERNAL" } }),
  tokenCount: (tokens) => ({ totalTokens: tokens }),
};

function read(body: Body, path: string): Conversation {
  const [, model, kind] = PATH.exec(path) ?? [];
  const config = body.generationConfig ?? {};
  const schema = config.responseJsonSchema ?? config.responseSchema;
  return {
    model,
    stream: kind === "streamGenerateContent",
    schema: schema ?? (config.responseMimeType === "application/json" ? { type: "object" } : undefined),
    tools: (body.tools ?? []).flatMap(({ functionDeclarations = [] }) =>
      functionDeclarations.map((tool) => ({ name: tool.name, schema: tool.parametersJsonSchema ?? tool.parameters }))
    ),
    turns: (body.contents ?? []).flatMap(({ role, parts = [] }): Turn[] => {
      const text = textOf(parts);
      if (role === "model") return [{ who: "model", text }];
      const results = parts.flatMap(({ functionResponse }) => functionResponse ? [functionResponse.response] : []);
      const isPrompt = results.length === 0 || MARK.test(text);
      return [
        ...results.map((result): Turn => ({ who: "tool", text: textOf(result?.output ?? JSON.stringify(result)) })),
        ...(isPrompt ? [{ who: "user", text } as const] : []),
      ];
    }),
  };
}

function write(reply: Reply): { events: StreamEvent[]; body: unknown } {
  const { input, output, cached } = reply.usage;
  const end = {
    modelVersion: reply.model,
    responseId: reply.id("gem"),
    usageMetadata: {
      promptTokenCount: input + cached,
      candidatesTokenCount: output,
      totalTokenCount: input + cached + output,
      cachedContentTokenCount: cached,
      thoughtsTokenCount: 0,
    },
  };
  const parts: object[] = [
    ...words(reply.thinking ?? "").map((text) => ({ text, thought: true })),
    ...words(reply.text ?? "").map((text) => ({ text })),
    ...reply.calls.map(({ name, args }) => ({
      functionCall: { id: reply.id("fc"), name, args },
      thoughtSignature: "ZmFrZQ==",
    })),
  ];
  const chunk = (some: readonly object[], more: object = {}) => ({
    candidates: [{ content: { role: "model", parts: some }, index: 0, ...more }],
    ...end,
  });
  const done = { finishReason: "STOP" };
  return {
    events: [...parts.map((part) => ({ data: chunk([part]) })), { data: chunk([{ text: "" }], done) }],
    body: chunk(parts, done),
  };
}
