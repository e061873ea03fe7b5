/** The format of OpenAI's chat completions, for the fake model: what most clients speak to a provider of one's own. */
import type { Dialect, Reply, StreamEvent } from "./fake_llm_dialect.ts";
import { argumentsOf, halves, openAiError, textOf, words } from "./fake_llm_dialect.ts";
import type { Conversation, Schema, Turn } from "./fake_llm_script.ts";

interface Body {
  readonly messages?: readonly { readonly role: string; readonly content: unknown }[];
  readonly tools?: readonly { readonly function?: { readonly name: string; readonly parameters?: Schema } }[];
  readonly stream?: boolean;
  readonly response_format?: { readonly json_schema?: { readonly schema?: Schema } };
}

const WHO: Readonly<Record<string, Turn["who"]>> = { user: "user", assistant: "model", tool: "tool" };

export const CHAT: Dialect = {
  name: "chat",
  wants: (path) => path.endsWith("/chat/completions") ? "answer" : undefined,
  read,
  write,
  errorEvents: (message) => [{ data: openAiError(529, message) }],
  errorBody: openAiError,
  tokenCount: (tokens) => ({ tokens }),
};

function read(body: Body): Conversation {
  return {
    turns: (body.messages ?? []).flatMap(({ role, content }): Turn[] => {
      const who = WHO[role];
      return who ? [{ who, text: textOf(content) }] : [];
    }),
    tools: (body.tools ?? []).flatMap(({ function: tool }) =>
      tool ? [{ name: tool.name, schema: tool.parameters }] : []
    ),
    stream: body.stream === true,
    schema: body.response_format?.json_schema?.schema,
  };
}

function write(reply: Reply): { events: StreamEvent[]; body: unknown } {
  const head = { id: reply.id("chatcmpl"), created: 1_700_000_000, model: reply.model };
  const calls = reply.calls.map((call) => ({
    id: reply.id("call"),
    type: "function",
    function: { name: call.name, arguments: argumentsOf(call) },
  }));
  const finish_reason = calls.length > 0 ? "tool_calls" : "stop";
  const { input, output, cached } = reply.usage;
  const usage = {
    prompt_tokens: input + cached,
    completion_tokens: output,
    total_tokens: input + cached + output,
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens_details: { reasoning_tokens: 0 },
  };
  const events: StreamEvent[] = [];
  const push = (delta: object, finish: string | null = null) =>
    events.push({
      data: {
        ...head,
        object: "chat.completion.chunk",
        choices: [{ index: 0, delta, finish_reason: finish }],
      },
    });
  push({ role: "assistant", content: "" });
  for (const reasoning_content of words(reply.thinking ?? "")) push({ reasoning_content });
  for (const content of words(reply.text ?? "")) push({ content });
  for (const [index, call] of calls.entries()) {
    push({ tool_calls: [{ ...call, index, function: { name: call.function.name, arguments: "" } }] });
    for (const piece of halves(call.function.arguments)) {
      push({ tool_calls: [{ index, function: { arguments: piece } }] });
    }
  }
  push({}, finish_reason);
  events.push({ data: { ...head, object: "chat.completion.chunk", choices: [], usage } }, { data: "[DONE]" });
  const message = {
    role: "assistant",
    content: reply.text ?? null,
    ...(calls.length > 0 ? { tool_calls: calls } : {}),
  };
  const body = { ...head, object: "chat.completion", choices: [{ index: 0, message, finish_reason }], usage };
  return { events, body };
}
