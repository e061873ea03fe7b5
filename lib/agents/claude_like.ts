/** The dialect of CLIs whose JSON lines are those of Claude Code: its events and outcomes, under another name. */
import type { ChildExit } from "../core/ports.ts";
import { ClaudeEvents } from "./claude_events.ts";
import { outcomeOfResult, usageOfResult } from "./claude_outcome.ts";
import { type DialectReader, type DialectStep, earlyEndIn, endedEarly, type LastWords } from "./dialect.ts";
import type { AgentTask } from "../core/model.ts";
import type { JsonRecord } from "./json_fields.ts";

export class ClaudeLikeReader implements DialectReader {
  readonly #task: AgentTask;
  readonly #lastWords: readonly LastWords[];
  readonly #events = new ClaudeEvents();

  constructor(task: AgentTask, lastWords: readonly LastWords[] = []) {
    this.#task = task;
    this.#lastWords = lastWords;
  }

  accept(event: JsonRecord): DialectStep {
    const { messages, result } = this.#events.take(event);
    if (!result) return { messages };
    const usage = usageOfResult(result, this.#events, this.#task.resumeSession !== undefined);
    return {
      messages: usage.length > 0 ? [...messages, { kind: "usage", usage }] : messages,
      outcome: outcomeOfResult(result, this.#events),
    };
  }

  end(exit: ChildExit | undefined, detail: string, stderr: string) {
    const why = earlyEndIn(this.#lastWords, stderr, this.#task);
    return endedEarly(exit, detail, { sessionId: this.#events.sessionId, why });
  }
}
