/** The notifications of Codex's app-server as messages: pure apart from what it has to remember of earlier ones. */
import type { AgentMessage } from "../core/message.ts";
import { MAX_ANSWER_CHARS } from "./answer.ts";
import { mcpTool, type ToolAtWork, toolBegun, toolEnded, type ToolItem } from "./codex_items.ts";
import { describeError } from "./codex_outcome.ts";
import { CodexLimits, CodexUsage } from "./codex_usage.ts";
import { type JsonRecord, listOf, recordOf, textOf } from "./json_fields.ts";

type Prose = "text" | "thinking";
type Handler = (events: CodexEvents, params: JsonRecord) => readonly AgentMessage[];

interface Answer {
  readonly text: string;
  readonly final: boolean;
}

export class CodexEvents {
  readonly usage = new CodexUsage();
  readonly limits = new CodexLimits();
  readonly #models = new Map<string, string>();
  /** Tools at work, by their item's id. */
  readonly #tools = new Map<string, ToolItem>();
  /** What was already passed on of each text that is still being said. */
  readonly #said = new Map<string, string>();
  #thread = "";
  #turn = "";
  #lastKind: AgentMessage["kind"] | undefined;
  #answers: Answer[] = [];
  #answerChars = 0;
  #usedTool = false;
  #plans = 0;
  #error: JsonRecord | undefined;

  /** From here on what is said of this thread counts. */
  openThread(thread: string, model: string): void {
    this.#thread = thread;
    this.#models.set(thread, model || "unknown");
  }

  openTurn(turn: string): void {
    this.#turn = turn;
  }

  get thread(): string {
    return this.#thread;
  }

  get turn(): string {
    return this.#turn;
  }

  /** The latest error that Codex does not try to overcome. */
  get error(): JsonRecord | undefined {
    return this.#error;
  }

  /** What the agent said since it last used a tool; what it called its final answer, if it called anything so. */
  get answer(): string {
    const final = this.#answers.filter((answer) => answer.final);
    return (final.length > 0 ? final : this.#answers).map(({ text }) => text).join("\n\n");
  }

  /** The tool at work that a request for approval is about; requests of MCP servers do not name the item. */
  toolOf({ itemId, serverName }: JsonRecord): ToolAtWork | undefined {
    const found = typeof serverName === "string"
      ? [...this.#tools].findLast(([, { tool }]) => tool.startsWith(mcpTool(serverName, "")))
      : [...this.#tools].find(([callId]) => callId === itemId);
    return found ? { callId: found[0], ...found[1] } : undefined;
  }

  isOurTurn(params: JsonRecord): boolean {
    const turn = textOf(params.turnId) || textOf(recordOf(params.turn).id);
    return params.threadId === this.#thread && this.#turn !== "" && turn === this.#turn;
  }

  accept(method: string, params: JsonRecord): readonly AgentMessage[] {
    return ANYWHERE[method]?.(this, params) ?? (this.isOurTurn(params) ? OF_OUR_TURN[method]?.(this, params) : null) ??
      [];
  }

  /** Also of the threads of subagents, which are paid for as well. */
  countTokens(params: JsonRecord): readonly AgentMessage[] {
    const [thread, usage] = [textOf(params.threadId), recordOf(params.tokenUsage)];
    if (thread === this.#thread && !this.isOurTurn(params)) {
      this.usage.skip(thread, usage);
      return [];
    }
    const model = this.#models.get(thread) ?? this.#models.get(this.#thread) ?? "unknown";
    return this.usage.add(thread, model, usage) ? [{ kind: "usage", usage: this.usage.models }] : [];
  }

  useModel(thread: string, model: string): void {
    if (model) this.#models.set(thread, model);
  }

  complain(error: JsonRecord, willRetry: boolean): readonly AgentMessage[] {
    if (willRetry) return [{ kind: "error", text: describeError(error) }];
    this.#error = error;
    return [];
  }

  /** One piece of a text. Texts in a row are read as one; each item is a paragraph of its own. */
  say(kind: Prose, id: string, piece: string): readonly AgentMessage[] {
    if (piece === "") return [];
    const said = this.#said.get(id);
    const text = said === undefined && this.#lastKind === kind ? `\n\n${piece}` : piece;
    this.#said.set(id, `${said ?? ""}${piece}`);
    this.#lastKind = kind;
    return [{ kind, text }];
  }

  begin(item: JsonRecord): readonly AgentMessage[] {
    const tool = toolBegun(item);
    return tool ? this.#use(textOf(item.id), tool) : [];
  }

  end(item: JsonRecord): readonly AgentMessage[] {
    const id = textOf(item.id);
    switch (item.type) {
      case "agentMessage":
        this.#answer(textOf(item.text), item.phase === "final_answer");
        return this.#finish("text", id, textOf(item.text));
      case "plan":
        this.#answer(textOf(item.text), false);
        return this.#finish("text", id, textOf(item.text));
      case "reasoning":
        return this.#reasoned(id, item);
      default:
        return this.#endTool(id, item);
    }
  }

  plan({ explanation, plan }: JsonRecord): readonly AgentMessage[] {
    const id = `plan-${++this.#plans}`;
    return [...this.#use(id, { tool: "update_plan", input: { explanation, plan } }), ...this.#result(id, "", false)];
  }

  #endTool(id: string, item: JsonRecord): readonly AgentMessage[] {
    const ended = toolEnded(item);
    if (!ended) return [];
    const { tool, input, output, isError } = ended;
    const begun = this.#tools.has(id) ? [] : this.#use(id, { tool, input });
    return [...begun, ...this.#result(id, output, isError)];
  }

  #use(id: string, tool: ToolItem): readonly AgentMessage[] {
    this.#tools.set(id, tool);
    this.#usedTool = true;
    this.#lastKind = "tool-use";
    return [{ kind: "tool-use", tool: tool.tool, callId: id, input: tool.input }];
  }

  #result(id: string, output: string, isError: boolean): readonly AgentMessage[] {
    const tool = this.#tools.get(id)?.tool ?? "";
    this.#tools.delete(id);
    this.#lastKind = "tool-result";
    return [{ kind: "tool-result", tool, callId: id, output, isError }];
  }

  #answer(text: string, final: boolean): void {
    if (this.#usedTool) [this.#answers, this.#answerChars] = [[], 0];
    this.#usedTool = false;
    if (!text) return;
    this.#answers.push({ text, final });
    this.#answerChars += text.length;
    while (this.#answers.length > 1 && this.#answerChars > MAX_ANSWER_CHARS) {
      this.#answerChars -= this.#answers.shift()!.text.length;
    }
  }

  /** What the pieces did not hold; all of it where there were none. */
  #finish(kind: Prose, id: string, whole: string): readonly AgentMessage[] {
    const said = this.#said.get(id) ?? "";
    const rest = whole.startsWith(said) ? this.say(kind, id, whole.slice(said.length)) : [];
    this.#said.delete(id);
    return rest;
  }

  #reasoned(id: string, { summary, content }: JsonRecord): readonly AgentMessage[] {
    const summaries = listOf(summary).map(textOf);
    const contents = summaries.length > 0 ? [] : listOf(content).map(textOf);
    return [
      ...summaries.flatMap((text, i) => this.#finish("thinking", partId(id, "summary", i), text)),
      ...contents.flatMap((text, i) => this.#finish("thinking", partId(id, "content", i), text)),
    ];
  }
}

function partId(item: unknown, part: "summary" | "content", index: unknown): string {
  return `${item} ${part} ${index}`;
}

const ANYWHERE: Readonly<Partial<Record<string, Handler>>> = {
  "thread/tokenUsage/updated": (events, params) => events.countTokens(params),
  "thread/started": (events, { thread }) => {
    events.useModel(textOf(recordOf(thread).id), textOf(recordOf(thread).model));
    return [];
  },
  "model/rerouted": (events, { threadId, toModel }) => {
    events.useModel(textOf(threadId), textOf(toModel));
    return [];
  },
  "account/rateLimits/updated": (events, { rateLimits }) => {
    events.limits.accept(recordOf(rateLimits));
    return [];
  },
  "mcpServer/startupStatus/updated": (_events, { name, status, error }) =>
    status === "failed"
      ? [{ kind: "error", text: `The MCP server ${textOf(name)} did not start: ${textOf(error) || "no reason given"}` }]
      : [],
};

const OF_OUR_TURN: Readonly<Partial<Record<string, Handler>>> = {
  "item/started": (events, { item }) => events.begin(recordOf(item)),
  "item/completed": (events, { item }) => events.end(recordOf(item)),
  "item/agentMessage/delta": (events, { itemId, delta }) => events.say("text", textOf(itemId), textOf(delta)),
  "item/plan/delta": (events, { itemId, delta }) => events.say("text", textOf(itemId), textOf(delta)),
  "item/reasoning/summaryTextDelta": (events, { itemId, summaryIndex, delta }) =>
    events.say("thinking", partId(itemId, "summary", summaryIndex), textOf(delta)),
  "item/reasoning/textDelta": (events, { itemId, contentIndex, delta }) =>
    events.say("thinking", partId(itemId, "content", contentIndex), textOf(delta)),
  "turn/plan/updated": (events, params) => events.plan(params),
  "error": (events, { error, willRetry }) => events.complain(recordOf(error), willRetry === true),
};
