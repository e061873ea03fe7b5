/** The contract between the fake model's server and the wire formats it speaks, one file per format. */
import type { Call, Conversation, Usage } from "./fake_llm_script.ts";

export interface Dialect {
  readonly name: string;
  /** What a request with this path wants; undefined when it is not of this dialect. Matched by the end of the path. */
  wants(path: string): "answer" | "token-count" | undefined;
  // deno-lint-ignore no-explicit-any
  read(body: any): Conversation;
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
  readonly data: unknown;
}

/** Words with the space after them: what a text is streamed in. */
export function words(text: string): string[] {
  return text.match(/\S+\s*|\s+/g) ?? [];
}
