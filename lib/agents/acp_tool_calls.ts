/** Tool calls of the Agent Client Protocol, which come in pieces, as one tool use and one result each. */
import type { AgentMessage } from "../core/message.ts";
import type { AcpOptions } from "./acp_options.ts";
import { isRecord, type JsonRecord, listOf, parseRecord, recordOf, textOf } from "./json_fields.ts";

/** Calls that are over are remembered for what an agent may still say of them; it does so soon. */
const REMEMBERED = 1_000;
const OVER: ReadonlySet<string> = new Set(["completed", "failed"]);

interface Call {
  readonly callId: string;
  tool: string;
  kind: string;
  title: string;
  input: JsonRecord;
  /** The input as the model writes it, where an agent shows that. */
  written: string;
  said: boolean;
  over: boolean;
}

/** A call as a permission request is about it. */
export interface KnownCall {
  readonly tool: string;
  readonly kind: string;
  readonly title: string;
  readonly input: JsonRecord;
}

export class AcpToolCalls {
  readonly #options: AcpOptions;
  readonly #calls = new Map<string, Call>();
  readonly #over: string[] = [];
  /** Few, however long the run. */
  readonly #unsaid = new Set<Call>();

  constructor(options: AcpOptions) {
    this.#options = options;
  }

  /** `tool_call` or `tool_call_update`: both may be the first that is heard of a call. */
  accept(update: JsonRecord): AgentMessage[] {
    const first = update.sessionUpdate === "tool_call";
    const call = this.#merge(update, first);
    if (!call || call.over) return [];
    const { status } = update;
    if (OVER.has(textOf(status))) return this.#finish(call, update, status === "failed");
    // Input without a word on the status may grow still; whatever the agent says next says that it is complete.
    const complete = first || status === "in_progress";
    return complete && !empty(call.input) ? this.#use(call) : [];
  }

  /** Everything whose input is known, because the agent went on to something else. */
  others(callId?: string): AgentMessage[] {
    if (this.#unsaid.size === 0) return [];
    return [...this.#unsaid]
      .filter((call) => call.callId !== callId && !empty(inputOf(call)))
      .flatMap((call) => this.#use(call));
  }

  /** The agent waits for a decision on this call, so there will be no more of its input. */
  asked(toolCall: JsonRecord): { readonly call: KnownCall; readonly messages: AgentMessage[] } {
    // The content of a question is its text, not the input as the model writes it.
    const { content, ...facts } = toolCall;
    const call = this.#merge({ ...facts, status: "in_progress" }, false) ?? this.#new("");
    const messages = call.callId === "" ? [] : this.#use(call);
    const tool = nameOf(call);
    const title = call.title && call.title !== tool ? call.title : contentText({ content }) || tool;
    return { call: { tool, kind: call.kind, title, input: inputOf(call) }, messages };
  }

  /** What the agent sends of a call replaces what it sent before, and what it leaves out stays. */
  #merge(update: JsonRecord, first: boolean): Call | undefined {
    const callId = textOf(update.toolCallId);
    if (!callId) return undefined;
    const isNew = !this.#calls.has(callId);
    const call = this.#calls.get(callId) ?? this.#new(callId);
    if (isNew) {
      this.#calls.set(callId, call);
      this.#unsaid.add(call);
    }
    const title = textOf(update.title);
    call.tool ||= textOf(update.name) || toolInMeta(recordOf(update._meta)) ||
      (isNew && this.#options.titleIsTool ? title : "");
    call.kind = textOf(update.kind) || call.kind;
    call.title = title || call.title;
    const partial = first && this.#options.lateInput && update.status === "pending";
    const input = recordOf(update.rawInput);
    // A question about a call may describe it in other fields than its input.
    if (!partial && !empty(input) && !call.said) call.input = input;
    // At the end the content is the output.
    if (!call.said && !OVER.has(textOf(update.status))) call.written = contentText(update) || call.written;
    return call;
  }

  #forgetOld(callId: string): void {
    this.#over.push(callId);
    if (this.#over.length > REMEMBERED) this.#calls.delete(this.#over.shift()!);
  }

  #new(callId: string): Call {
    return { callId, tool: "", kind: "", title: "", input: {}, written: "", said: false, over: false };
  }

  #use(call: Call): AgentMessage[] {
    if (call.said) return [];
    call.said = true;
    this.#unsaid.delete(call);
    call.input = inputOf(call);
    return [{ kind: "tool-use", tool: nameOf(call), callId: call.callId, input: call.input }];
  }

  #finish(call: Call, update: JsonRecord, failed: boolean): AgentMessage[] {
    const use = this.#use(call);
    call.over = true;
    this.#forgetOld(call.callId);
    // It may be a whole file.
    call.input = {};
    call.written = "";
    const raw = update.rawOutput;
    const output = rawText(raw) || contentText(update) || (isRecord(raw) ? JSON.stringify(raw) : "");
    const isError = failed || exitCodeOf(recordOf(raw)) !== 0;
    return [...use, { kind: "tool-result", tool: nameOf(call), callId: call.callId, output, isError }];
  }
}

function empty(input: JsonRecord): boolean {
  return Object.keys(input).length === 0;
}

/** An agent that shows the input only as the model writes it. */
function inputOf({ input, written }: Call): JsonRecord {
  return empty(input) ? parseRecord(written) ?? {} : input;
}

/** The protocol has no field for the name of a tool; its kind is the next best. */
function nameOf({ tool, kind }: Call): string {
  return tool || kind || "other";
}

function toolInMeta(meta: JsonRecord): string {
  return textOf(meta.toolName) || textOf(recordOf(meta.claudeCode).toolName);
}

const OUTPUT_FIELDS = ["formatted_output", "aggregated_output", "output", "text", "error", "stdout"] as const;

function rawText(raw: unknown): string {
  const fields = recordOf(raw);
  return textOf(raw) || OUTPUT_FIELDS.map((name) => textOf(fields[name])).find(Boolean) || "";
}

/** Some agents call a command done that ended with an error of its own. */
function exitCodeOf(raw: JsonRecord): number {
  const code = raw.exit_code ?? raw.exitCode ?? recordOf(raw.metadata).exit;
  return typeof code === "number" ? code : 0;
}

function contentText(update: JsonRecord): string {
  return listOf(update.content).map(recordOf).map(textOfPart).filter(Boolean).join("\n");
}

function textOfPart(part: JsonRecord): string {
  if (part.type === "diff") return describeDiff(part);
  return part.type === "content" ? textOf(recordOf(part.content).text) : "";
}

/** The whole of both texts would be the file twice. */
function describeDiff({ path, oldText, newText }: JsonRecord): string {
  const [before, after] = [lines(oldText), lines(newText)];
  return typeof oldText === "string" && oldText !== ""
    ? `Changed ${textOf(path)} (${before} lines before, ${after} after)`
    : `Wrote ${textOf(path)} (${after} lines)`;
}

function lines(text: unknown): number {
  const all = textOf(text);
  return all === "" ? 0 : all.split("\n").length - (all.endsWith("\n") ? 1 : 0);
}
