/** What the demo agent is told on its standard input: the user's messages in order, and the answers to what it asked. */
import { listOf, parseRecord, recordOf, textOf } from "./json_fields.ts";
import { readLines } from "./ndjson.ts";

export interface DemoAnswer {
  readonly allow: boolean;
  readonly why: string;
}

const NOBODY: DemoAnswer = { allow: false, why: "nobody can answer any more" };

/** Reads from the first use on, also while a turn is under way. */
export class DemoInbox {
  readonly #prompts: string[] = [];
  readonly #asked = new Map<string, (answer: DemoAnswer) => void>();
  #arrived: (() => void) | undefined;
  #ended = false;

  constructor(stdin: ReadableStream<Uint8Array>) {
    void this.#read(stdin);
  }

  /** The next message of the user; `undefined` when there will be none. */
  async next(): Promise<string | undefined> {
    while (this.#prompts.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => this.#arrived = resolve);
    }
    return this.#prompts.shift();
  }

  /** What is answered to the question with this id; an input that ends is a refusal. */
  answerTo(id: string): Promise<DemoAnswer> {
    if (this.#ended) return Promise.resolve(NOBODY);
    return new Promise((resolve) => this.#asked.set(id, resolve));
  }

  async #read(stdin: ReadableStream<Uint8Array>): Promise<void> {
    try {
      for await (const batch of readLines(stdin)) {
        for (const line of batch) if (typeof line === "string") this.#accept(line);
        this.#arrived?.();
      }
    } finally {
      this.#ended = true;
      for (const settle of this.#asked.values()) settle(NOBODY);
      this.#arrived?.();
    }
  }

  #accept(line: string): void {
    const event = parseRecord(line);
    if (event?.type === "user") this.#prompts.push(promptOf(event.message));
    if (event?.type !== "control_response") return;
    const { request_id, response } = recordOf(event.response);
    const { behavior, message } = recordOf(response);
    this.#asked.get(textOf(request_id))?.({ allow: behavior === "allow", why: textOf(message) });
  }
}

function promptOf(message: unknown): string {
  const { content } = recordOf(message);
  return textOf(content) || listOf(content).map((block) => textOf(recordOf(block).text)).join("\n");
}
