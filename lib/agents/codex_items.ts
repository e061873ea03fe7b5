/** What Codex's thread items say of tools: their names, what they were given, and what came of it. */
import { isRecord, type JsonRecord, listOf, recordOf, textOf } from "./json_fields.ts";

export interface ToolItem {
  readonly tool: string;
  readonly input: JsonRecord;
}

export interface ToolAtWork extends ToolItem {
  readonly callId: string;
}

export interface ToolEnd {
  readonly output: string;
  readonly isError: boolean;
}

interface ToolKind {
  readonly begin: (item: JsonRecord) => ToolItem;
  readonly end: (item: JsonRecord) => string;
  /** Its input is complete only at its end. */
  readonly late?: true;
  readonly failed?: (item: JsonRecord) => boolean;
}

const TOOLS: Readonly<Partial<Record<string, ToolKind>>> = {
  commandExecution: {
    begin: ({ command, cwd }) => ({ tool: "exec_command", input: { command, cwd } }),
    end: (item) => [exitCode(item), textOf(item.aggregatedOutput)].filter(Boolean).join("\n"),
    failed: (item) => exitCode(item) !== "",
  },
  fileChange: {
    begin: ({ changes }) => ({ tool: "apply_patch", input: { changes: listOf(changes).map(changeOf) } }),
    end: ({ changes }) => listOf(changes).map(changeOf).map(({ kind, path }) => `${kind} ${path}`).join("\n"),
  },
  mcpToolCall: {
    begin: ({ server, tool, arguments: input }) => ({
      tool: mcpTool(textOf(server), textOf(tool)),
      input: recordOf(input),
    }),
    end: ({ result, error }) => textOf(recordOf(error).message) || contentText(recordOf(result).content),
  },
  dynamicToolCall: {
    begin: ({ tool, arguments: input }) => ({ tool: textOf(tool), input: recordOf(input) }),
    end: ({ contentItems }) => contentText(contentItems),
    failed: ({ success }) => success === false,
  },
  webSearch: {
    begin: ({ query, action }) => ({ tool: "web_search", input: { query, action } }),
    end: ({ results }) => listOf(results).length > 0 ? JSON.stringify(results) : "",
    late: true,
  },
  imageView: { begin: ({ path }) => ({ tool: "view_image", input: { path } }), end: () => "" },
  imageGeneration: {
    begin: ({ revisedPrompt }) => ({ tool: "image_generation", input: { prompt: revisedPrompt } }),
    // Never the image itself, which may be among the fields.
    end: ({ savedPath, failure }) => isRecord(failure) ? JSON.stringify(failure) : textOf(savedPath),
    late: true,
    failed: ({ failure }) => isRecord(failure),
  },
  collabAgentToolCall: {
    begin: ({ tool, prompt, model, receiverThreadIds }) => ({
      tool: textOf(tool),
      input: { prompt, model, agents: receiverThreadIds },
    }),
    end: ({ agentsStates }) => JSON.stringify(recordOf(agentsStates)),
  },
};

/** As models call it. */
export function mcpTool(server: string, tool: string): string {
  return `mcp__${server}__${tool}`;
}

/** `undefined` for what is no tool, or one whose input is not known before its end. */
export function toolBegun(item: JsonRecord): ToolItem | undefined {
  const kind = TOOLS[textOf(item.type)];
  return kind && !kind.late ? kind.begin(item) : undefined;
}

export function toolEnded(item: JsonRecord): ToolItem & ToolEnd | undefined {
  const kind = TOOLS[textOf(item.type)];
  if (!kind) return undefined;
  const declined = item.status === "declined";
  return {
    ...kind.begin(item),
    output: declined ? "It was not allowed" : kind.end(item),
    isError: declined || item.status === "failed" || kind.failed?.(item) === true,
  };
}

/** Empty for a good end. */
function exitCode({ exitCode: code }: JsonRecord): string {
  return typeof code === "number" && code !== 0 ? `Exit code ${code}` : "";
}

function changeOf(change: unknown): { path: string; kind: string; diff: string } {
  const { path, kind, diff } = recordOf(change);
  return { path: textOf(path), kind: textOf(recordOf(kind).type) || "change", diff: textOf(diff) };
}

/** Text blocks as they are; of anything else only what it is. */
function contentText(content: unknown): string {
  return listOf(content).map((block) => {
    const { type, text } = recordOf(block);
    return typeof text === "string" ? text : `[${textOf(type) || "something that is not text"}]`;
  }).join("\n");
}
