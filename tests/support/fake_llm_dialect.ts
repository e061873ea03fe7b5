/** The contract between the fake model's server and the wire formats it speaks, one file per format. */
import type { Call, Conversation, Usage } from "./fake_llm_script.ts";

export interface Dialect {
  readonly name: string;
  /** What a request with this path wants; undefined when it is not of this dialect. Matched by the end of the path. */
  wants(path: string): "answer" | "token-count" | undefined;
  // deno-lint-ignore no-explicit-any
  read(body: any, path: string): Conversation;
  write(reply: Reply): { readonly events: readonly StreamEvent[]; readonly body: unknown };
  /** The events after which a client that reads a stream knows that the model failed. */
  errorEvents(message: string): readonly StreamEvent[];
  errorBody(status: number, message: string): unknown;
  tokenCount(tokens: number): unknown;
}

export interface Reply {
  readonly model: string;
  readonly thinking?: string;
  readonly text?: string;
  readonly calls: readonly Call[];
  readonly usage: Usage;
  /** A new id with this prefix. */
  id(prefix: string): string;
}

/** One server-sent event. */
export interface StreamEvent {
  readonly event?: string;
  /** A string is sent as it stands. */
  readonly data: unknown;
}

/** Words with the space after them: what a text is streamed in. */
export function words(text: string): string[] {
  return text.match(/\S+\s*|\s+/g) ?? [];
}

/** Two pieces that are no JSON by themselves, as a real model's arguments come. */
export function halves(text: string): string[] {
  return [text.slice(0, text.length >> 1), text.slice(text.length >> 1)];
}

/** A call's arguments as the text that most formats carry them in. */
export function argumentsOf(call: Call): string {
  return typeof call.args === "string" ? call.args : JSON.stringify(call.args);
}

/** The text in a content of any shape: a string, a block, or blocks within blocks. */
// deno-lint-ignore no-explicit-any
export function textOf(content: any): string {
  if (typeof content === "string") return content;
  if (Array.isArray(content)) return content.map(textOf).filter(Boolean).join("\n");
  if (content === null || typeof content !== "object") return "";
  return textOf(content.text ?? content.content ?? content.output);
}

/** The shape of an error that all formats of OpenAI share. */
export function openAiError(status: number, message: string): unknown {
  const type = OPENAI_ERRORS[status] ?? "api_error";
  return { error: { message, type, param: null, code: status === 401 ? "invalid_api_key" : null } };
}

const OPENAI_ERRORS: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  429: "rate_limit_error",
};
