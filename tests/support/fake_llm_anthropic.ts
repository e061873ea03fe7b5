/** The Anthropic Messages format, for the fake model. */
import type { Dialect, Reply, StreamEvent } from "./fake_llm_dialect.ts";
import { argumentsOf, halves, textOf, words } from "./fake_llm_dialect.ts";
import { type Conversation, MARK, type Schema, type Turn } from "./fake_llm_script.ts";

type Content = string | readonly Block[];

interface Block {
  readonly type: string;
  readonly text?: string;
  readonly content?: Content;
}

interface Body {
  readonly messages?: readonly { readonly role: string; readonly content: Content }[];
  readonly tools?: readonly { readonly name: string; readonly input_schema?: Schema }[];
  readonly stream?: boolean;
  readonly output_config?: { readonly format?: { readonly schema?: Schema } };
  readonly output_format?: { readonly schema?: Schema };
}

const ERROR_TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  429: "rate_limit_error",
  529: "overloaded_error",
};

export const ANTHROPIC: Dialect = {
  name: "anthropic",
  wants(path) {
    if (path.endsWith("/messages")) return "answer";
    return path.endsWith("/messages/count_tokens") ? "token-count" : undefined;
  },
  read,
  write,
  errorEvents: (message) => [{ event: "error", data: ANTHROPIC.errorBody(529, message) }],
  errorBody: (status, message) => ({
    type: "error",
    error: { type: ERROR_TYPES[status] ?? "api_error", message },
    request_id: "req_fake",
  }),
  tokenCount: (tokens) => ({ input_tokens: tokens }),
};

function read(body: Body): Conversation {
  const turns = (body.messages ?? []).flatMap(({ role, content }): Turn[] => {
    const blocks = typeof content === "string" ? [{ type: "text", text: content }] : content;
    if (role === "assistant") return [{ who: "model", text: textOf(blocks) }];
    const results = blocks.filter((block) => block.type === "tool_result");
    const text = textOf(blocks.filter((block) => block.type === "text"));
    const isPrompt = role === "user" && (results.length === 0 || MARK.test(text));
    return [
      ...results.map((result): Turn => ({ who: "tool", text: textOf(result.content ?? "") })),
      ...(isPrompt ? [{ who: "user", text } as const] : []),
    ];
  });
  return {
    turns,
    tools: (body.tools ?? []).map(({ name, input_schema }) => ({ name, schema: input_schema })),
    stream: body.stream === true,
    schema: body.output_config?.format?.schema ?? body.output_format?.schema,
  };
}

function write(reply: Reply): { events: StreamEvent[]; body: unknown } {
  const { input, output, cached, cacheWrite } = reply.usage;
  const usage = {
    input_tokens: input,
    cache_creation_input_tokens: cacheWrite,
    cache_read_input_tokens: cached,
    output_tokens: output,
    service_tier: "standard",
  };
  const head = { id: reply.id("msg"), type: "message", role: "assistant", model: reply.model, stop_sequence: null };
  const events: StreamEvent[] = [];
  const content: unknown[] = [];
  const push = (type: string, data: object) => events.push({ event: type, data: { type, ...data } });
  const block = (empty: object, deltas: readonly object[], full: object) => {
    const index = content.push(full) - 1;
    push("content_block_start", { index, content_block: empty });
    for (const delta of deltas) push("content_block_delta", { index, delta });
    push("content_block_stop", { index });
  };

  const begun = { ...head, content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } };
  push("message_start", { message: begun });
  push("ping", {});
  if (reply.thinking) {
    const signature = "ZmFrZQ==";
    const deltas = words(reply.thinking).map((thinking) => ({ type: "thinking_delta", thinking }));
    block(
      { type: "thinking", thinking: "", signature: "" },
      [...deltas, { type: "signature_delta", signature }],
      { type: "thinking", thinking: reply.thinking, signature },
    );
  }
  if (reply.text) {
    const deltas = words(reply.text).map((text) => ({ type: "text_delta", text }));
    block({ type: "text", text: "" }, deltas, { type: "text", text: reply.text });
  }
  for (const call of reply.calls) {
    const start = { type: "tool_use", id: reply.id("toolu"), name: call.name };
    const deltas = halves(argumentsOf(call)).map((partial_json) => ({ type: "input_json_delta", partial_json }));
    block({ ...start, input: {} }, deltas, { ...start, input: call.args });
  }
  const stop_reason = reply.calls.length > 0 ? "tool_use" : "end_turn";
  push("message_delta", { delta: { stop_reason, stop_sequence: null }, usage });
  push("message_stop", {});
  return { events, body: { ...head, content, stop_reason, usage } };
}
