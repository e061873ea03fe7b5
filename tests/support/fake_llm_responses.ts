/** The format of OpenAI's responses, for the fake model, with functions and with tools that take a program or a patch. */
import type { Dialect, Reply, StreamEvent } from "./fake_llm_dialect.ts";
import { argumentsOf, halves, openAiError, textOf, words } from "./fake_llm_dialect.ts";
import type { Conversation, Schema, Tool, Turn } from "./fake_llm_script.ts";

interface Item {
  readonly type?: string;
  readonly role?: string;
  readonly content?: unknown;
  readonly output?: unknown;
  readonly tools?: readonly ToolSpec[];
}

interface ToolSpec {
  readonly type: string;
  readonly name?: string;
  readonly parameters?: Schema;
  /** Of a namespace. */
  readonly tools?: readonly ToolSpec[];
}

interface Body {
  readonly input?: string | readonly Item[];
  readonly tools?: readonly ToolSpec[];
  readonly stream?: boolean;
  readonly text?: { readonly format?: { readonly schema?: Schema } };
}

export const RESPONSES: Dialect = {
  name: "responses",
  wants: (path) => path.endsWith("/responses") ? "answer" : undefined,
  read,
  write,
  errorEvents: (message) => [{
    event: "response.failed",
    data: {
      type: "response.failed",
      response: { id: "resp_failed", status: "failed", output: [], error: { code: "server_error", message } },
    },
  }],
  errorBody: openAiError,
  tokenCount: (tokens) => ({ input_tokens: tokens }),
};

function read(body: Body): Conversation {
  const items = typeof body.input === "string" ? [{ role: "user", content: body.input }] : body.input ?? [];
  // A model that writes programs gets its tools in an item of the conversation.
  const late = items.filter((item) => item.type === "additional_tools").flatMap((item) => item.tools ?? []);
  return {
    turns: items.flatMap(turnsOf),
    tools: [...body.tools ?? [], ...late].flatMap((tool) => toolsOf(tool)),
    stream: body.stream === true,
    schema: body.text?.format?.schema,
  };
}

function turnsOf(item: Item): Turn[] {
  const type = item.type ?? "";
  if (type.endsWith("_output")) return [{ who: "tool", text: textOf(item.output) }];
  if (item.role === "assistant" || type.endsWith("_call") || type === "reasoning") {
    return [{ who: "model", text: textOf(item.content) }];
  }
  return item.role === "user" ? [{ who: "user", text: textOf(item.content) }] : [];
}

function toolsOf(tool: ToolSpec, namespace?: string): Tool[] {
  const name = tool.name ?? tool.type;
  switch (tool.type) {
    case "namespace":
      return (tool.tools ?? []).flatMap((inner) => toolsOf(inner, name));
    case "function":
      return [{ name, namespace, schema: tool.parameters ?? {} }];
    case "custom":
      return [{ name, namespace, freeform: true }];
    default:
      return [{ name, namespace }];
  }
}

function write(reply: Reply): { events: StreamEvent[]; body: unknown } {
  const events: StreamEvent[] = [];
  const output: unknown[] = [];
  const push = (type: string, data: object) =>
    events.push({ event: type, data: { type, sequence_number: events.length, ...data } });
  const begun = {
    id: reply.id("resp"),
    object: "response",
    created_at: 1_700_000_000,
    status: "in_progress",
    model: reply.model,
    output: [],
    usage: null,
  };
  /** `deltas` happen between the item's beginning and its end. */
  const item = (first: object, last: object, deltas: (at: { item_id: string; output_index: number }) => void) => {
    const { id } = first as { id: string };
    const at = { item_id: id, output_index: output.length };
    push("response.output_item.added", { output_index: at.output_index, item: first });
    deltas(at);
    const done = { ...first, ...last };
    push("response.output_item.done", { output_index: at.output_index, item: done });
    output.push(done);
  };

  push("response.created", { response: begun });
  push("response.in_progress", { response: begun });
  if (reply.thinking) {
    const part = { type: "summary_text", text: reply.thinking };
    item({ id: reply.id("rs"), type: "reasoning", summary: [] }, { summary: [part] }, (place) => {
      const at = { ...place, summary_index: 0 };
      push("response.reasoning_summary_part.added", { ...at, part: { ...part, text: "" } });
      for (const delta of words(part.text)) push("response.reasoning_summary_text.delta", { ...at, delta });
      push("response.reasoning_summary_text.done", { ...at, text: part.text });
      push("response.reasoning_summary_part.done", { ...at, part });
    });
  }
  if (reply.text) {
    const part = { type: "output_text", text: reply.text, annotations: [] };
    const first = { id: reply.id("msg"), type: "message", role: "assistant", status: "in_progress", content: [] };
    item(first, { status: "completed", content: [part] }, (place) => {
      const at = { ...place, content_index: 0 };
      push("response.content_part.added", { ...at, part: { ...part, text: "" } });
      for (const delta of words(part.text)) push("response.output_text.delta", { ...at, delta });
      push("response.output_text.done", { ...at, text: part.text });
      push("response.content_part.done", { ...at, part });
    });
  }
  for (const call of reply.calls) {
    const [type, field, prefix] = typeof call.args === "string"
      ? ["custom_tool_call", "input", "ctc"]
      : ["function_call", "arguments", "fc"];
    const text = argumentsOf(call);
    const names = { name: call.name, ...(call.namespace ? { namespace: call.namespace } : {}) };
    const first = {
      id: reply.id(prefix),
      type,
      status: "in_progress",
      call_id: reply.id("call"),
      ...names,
      [field]: "",
    };
    item(first, { status: "completed", [field]: text }, (at) => {
      for (const delta of halves(text)) push(`response.${type}_${field}.delta`, { ...at, delta });
      push(`response.${type}_${field}.done`, { ...at, [field]: text });
    });
  }
  const { input, output: produced, cached } = reply.usage;
  const usage = {
    input_tokens: input + cached,
    input_tokens_details: { cached_tokens: cached },
    output_tokens: produced,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: input + cached + produced,
  };
  const body = { ...begun, status: "completed", output, usage };
  push("response.completed", { response: body });
  return { events, body };
}
