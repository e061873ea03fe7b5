/** What an agent says in pieces: blocks in a row become paragraphs, and those after the last tool are its answer. */
import type { AgentMessage } from "../core/message.ts";
import { Answer } from "./answer.ts";

export class Prose {
  #lastKind: "text" | "thinking" | undefined;
  #lastBlock = "";
  readonly #answer = new Answer();
  #answerBlock = "";

  /** What was said since a tool was last used. */
  get answer(): string {
    return this.#answer.text;
  }

  /** One piece of the block. `aside`: somebody other than the agent itself says it, so that it is no part of the answer. */
  say(kind: "text" | "thinking", block: string, text: string, { aside = false } = {}): AgentMessage[] {
    if (text === "") return [];
    const follows = this.#lastKind === kind && this.#lastBlock !== block;
    this.#lastKind = kind;
    this.#lastBlock = block;
    if (kind === "text" && !aside) {
      if (!this.#answer.empty && this.#answerBlock !== block) this.#answer.add("\n\n");
      this.#answer.add(text);
      this.#answerBlock = block;
    }
    return [{ kind, text: follows ? `\n\n${text}` : text }];
  }

  /** A tool is used: what was said before led up to it. */
  toolUsed({ aside = false } = {}): void {
    this.#lastKind = undefined;
    if (!aside) this.#answer.clear();
  }
}
