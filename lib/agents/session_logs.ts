/** The session logs that agent CLIs keep for themselves: where they lie, and the tokens of one line of them. */
import { type JsonRecord, numberOf, parseRecord, recordOf, textOf } from "./json_fields.ts";

/** The tokens of one answer of a model. */
export interface LoggedUsage {
  /** The same for every line that tells of this answer, in whichever file: it is counted once. */
  readonly id: string;
  /** ms since 1970. */
  readonly at: number;
  readonly model: string;
  /** Without what was read from or written to the cache. */
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
}

/** What a reader remembers of a file from line to line, also from one look at it to the next. */
export type Kept = Record<string, string>;

export interface SessionLogs {
  /** The folder below HOME, and the variable that names another one. */
  readonly home: string;
  readonly variable?: string;
  /** Below that, at any depth. */
  readonly folder: string;
  readonly ends: string;
  /** A line with none of these tells nothing: most of a log is text, and to parse all of it would take minutes. */
  readonly hints: readonly string[];
  /** `place`: unique for the line. */
  readonly read: (line: JsonRecord, kept: Kept, place: string) => LoggedUsage | undefined;
}

/** `undefined` for a line that tells of no tokens, or cannot be read. */
export function readLogLine(logs: SessionLogs, text: string, kept: Kept, place: string): LoggedUsage | undefined {
  if (!logs.hints.some((hint) => text.includes(hint))) return undefined;
  const line = parseRecord(text);
  const usage = line && logs.read(line, kept, place);
  if (!usage || !Number.isFinite(usage.at) || usage.model === "") return undefined;
  const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens } = usage;
  return inputTokens + outputTokens + cacheReadTokens + cacheWriteTokens > 0 ? usage : undefined;
}

/** For a CLI that counts what it read from and wrote to the cache as input too. */
function withoutCache({ input, read, write }: Readonly<Record<"input" | "read" | "write", unknown>>) {
  const [cacheReadTokens, cacheWriteTokens] = [numberOf(read), numberOf(write)];
  const inputTokens = Math.max(0, numberOf(input) - cacheReadTokens - cacheWriteTokens);
  return { inputTokens, cacheReadTokens, cacheWriteTokens };
}

/** A line for each block of an answer, each with the tokens so far; a resumed session repeats the lines of the first. */
export const CLAUDE_LOGS: SessionLogs = {
  home: ".claude",
  variable: "CLAUDE_CONFIG_DIR",
  folder: "projects",
  ends: ".jsonl",
  hints: ['"usage"'],
  read(line) {
    const message = recordOf(line.message);
    const model = textOf(message.model);
    // What the CLI says itself, of an error for one.
    if (line.type !== "assistant" || model === "<synthetic>") return undefined;
    const usage = recordOf(message.usage);
    return {
      id: `${textOf(message.id) || textOf(line.uuid)}:${textOf(line.requestId)}`,
      at: Date.parse(textOf(line.timestamp)),
      model,
      inputTokens: numberOf(usage.input_tokens),
      outputTokens: numberOf(usage.output_tokens),
      cacheReadTokens: numberOf(usage.cache_read_input_tokens),
      cacheWriteTokens: numberOf(usage.cache_creation_input_tokens),
    };
  },
};

/** Totals of a session after each request, some told twice; which model it was stands in the turn's own line before. */
export const CODEX_LOGS: SessionLogs = {
  home: ".codex",
  variable: "CODEX_HOME",
  folder: "sessions",
  ends: ".jsonl",
  hints: ['"token_count"', '"turn_context"', '"session_meta"'],
  read(line, kept) {
    const payload = recordOf(line.payload);
    if (line.type === "session_meta") {
      // A fork has the line of the session it comes from as well, behind its own.
      kept.session ||= textOf(payload.id);
      return undefined;
    }
    if (line.type === "turn_context") {
      kept.model = textOf(payload.model) || (kept.model ?? "");
      return undefined;
    }
    const info = recordOf(payload.info);
    const total = String(numberOf(recordOf(info.total_token_usage).total_tokens));
    if (payload.type !== "token_count" || total === "0" || total === kept.total) return undefined;
    kept.total = total;
    const last = recordOf(info.last_token_usage);
    const timestamp = textOf(line.timestamp);
    return {
      id: `${kept.session ?? ""}:${timestamp}:${total}`,
      at: Date.parse(timestamp),
      model: kept.model || "unknown",
      ...withoutCache({
        input: last.input_tokens,
        read: last.cached_input_tokens,
        write: last.cache_write_input_tokens,
      }),
      outputTokens: numberOf(last.output_tokens),
    };
  },
};

/** The same answer again after each of its tools. */
export const GEMINI_LOGS: SessionLogs = {
  home: ".gemini",
  folder: "tmp",
  ends: ".jsonl",
  hints: ['"tokens"'],
  read(line) {
    const tokens = recordOf(line.tokens);
    if (line.type !== "gemini") return undefined;
    const cached = numberOf(tokens.cached);
    return {
      id: textOf(line.id),
      at: Date.parse(textOf(line.timestamp)),
      model: textOf(line.model),
      inputTokens: Math.max(0, numberOf(tokens.input) + numberOf(tokens.tool) - cached),
      outputTokens: numberOf(tokens.output) + numberOf(tokens.thoughts),
      cacheReadTokens: cached,
      cacheWriteTokens: 0,
    };
  },
};

export const QWEN_LOGS: SessionLogs = {
  home: ".qwen",
  folder: "projects",
  ends: ".jsonl",
  hints: ['"usageMetadata"'],
  read(line) {
    const usage = recordOf(line.usageMetadata);
    if (line.type !== "assistant") return undefined;
    const [prompt, cached, total] = [usage.promptTokenCount, usage.cachedContentTokenCount, usage.totalTokenCount]
      .map(numberOf) as [number, number, number];
    return {
      id: textOf(line.uuid),
      at: Date.parse(textOf(line.timestamp)),
      model: textOf(line.model),
      inputTokens: Math.max(0, prompt - cached),
      // Whether thoughts are part of the answer's count differs by provider; the total has them in any case.
      outputTokens: total > prompt ? total - prompt : numberOf(usage.candidatesTokenCount),
      cacheReadTokens: cached,
      cacheWriteTokens: 0,
    };
  },
};

export const PI_LOGS: SessionLogs = {
  home: ".pi",
  folder: "agent/sessions",
  ends: ".jsonl",
  hints: ['"usage"'],
  read(line) {
    const message = recordOf(line.message);
    const usage = recordOf(message.usage);
    if (line.type !== "message" || message.role !== "assistant") return undefined;
    const timestamp = textOf(line.timestamp);
    return {
      // Ids are short, and unique in their session only; a fork keeps both.
      id: `${timestamp}:${textOf(line.id)}`,
      at: Date.parse(timestamp),
      model: textOf(message.model),
      inputTokens: numberOf(usage.input),
      outputTokens: numberOf(usage.output),
      cacheReadTokens: numberOf(usage.cacheRead),
      cacheWriteTokens: numberOf(usage.cacheWrite),
    };
  },
};

/** What its JSON stream does not tell. */
export const COPILOT_LOGS: SessionLogs = {
  home: ".copilot",
  variable: "COPILOT_HOME",
  folder: "session-state",
  ends: "events.jsonl",
  hints: ['"session.usage_record"'],
  read(line) {
    const usage = recordOf(recordOf(line.data).usage);
    if (line.type !== "session.usage_record") return undefined;
    return {
      id: textOf(line.id),
      at: Date.parse(textOf(line.timestamp)),
      model: textOf(usage.model),
      ...withoutCache({ input: usage.inputTokens, read: usage.cacheReadTokens, write: usage.cacheWriteTokens }),
      outputTokens: numberOf(usage.outputTokens),
    };
  },
};

/** Records without an id, under the name that the user gave the model; the request before says which that is. */
export const KIMI_LOGS: SessionLogs = {
  home: ".kimi-code",
  folder: "sessions",
  ends: "wire.jsonl",
  hints: ['"usage.record"', '"llm.request"'],
  read(line, kept, place) {
    if (line.type === "llm.request") {
      kept[`model ${textOf(line.modelAlias)}`] = textOf(line.model);
      return undefined;
    }
    if (line.type !== "usage.record") return undefined;
    const usage = recordOf(line.usage);
    const alias = textOf(line.model);
    return {
      id: place,
      at: numberOf(line.time) || NaN,
      model: kept[`model ${alias}`] || alias,
      inputTokens: numberOf(usage.inputOther),
      outputTokens: numberOf(usage.output),
      cacheReadTokens: numberOf(usage.inputCacheRead),
      cacheWriteTokens: numberOf(usage.inputCacheCreation),
    };
  },
};
