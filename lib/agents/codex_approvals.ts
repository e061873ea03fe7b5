/** What Codex asks its client: approvals as questions, and the answers in the form each of them wants. */
import type { PermissionRequest } from "../core/message.ts";
import { mcpTool, type ToolAtWork } from "./codex_items.ts";
import { isRecord, type JsonRecord, listOf, recordOf, textOf } from "./json_fields.ts";

export interface Question {
  readonly request: PermissionRequest;
  /** What is sent back. */
  readonly answer: (allow: boolean) => JsonRecord;
}

type Reader = (params: JsonRecord, tool: ToolAtWork | undefined) => Question | undefined;

const QUESTIONS: Readonly<Partial<Record<string, Reader>>> = {
  "item/commandExecution/requestApproval": (params, tool) => {
    const { command, cwd, reason, kind, networkApprovalContext: network } = params;
    const title = kind === "writeStdin"
      ? `answer a running command: ${textOf(command)}`
      : isRecord(network)
      ? `connect to ${textOf(network.host) || "the network"}`
      : `run ${textOf(command)}`;
    return ask(params, { tool: tool?.tool ?? "exec_command", title }, { command, cwd, reason, network }, decision);
  },
  "item/fileChange/requestApproval": (params, tool) => {
    const paths = listOf(tool?.input.changes).map((change) => textOf(recordOf(change).path)).filter(Boolean);
    const title = `change ${paths.join(", ") || "files"}`;
    return ask(params, { tool: tool?.tool ?? "apply_patch", title }, {
      ...tool?.input,
      reason: params.reason,
      root: params.grantRoot,
    }, decision);
  },
  "item/permissions/requestApproval": (params) => {
    const { permissions, reason, cwd } = params;
    const granted = Object.entries(recordOf(permissions)).filter(([, value]) => isRecord(value));
    const title = `have more rights until the end of the turn: ${granted.map(([name]) => name).join(", ")}`;
    return ask(params, { tool: "request_permissions", title }, { permissions, reason, cwd }, (allow) => ({
      permissions: allow ? Object.fromEntries(granted) : {},
      scope: "turn",
    }));
  },
  "mcpServer/elicitation/request": (params, atWork) => {
    const { serverName, message, requestedSchema, _meta: meta } = params;
    const { tool_name: name, tool_params: input } = recordOf(meta);
    const isYesOrNo = Object.keys(recordOf(recordOf(requestedSchema).properties)).length === 0;
    // What has to be filled in, or visited, needs a person at this very moment.
    if (!isRecord(requestedSchema) || !isYesOrNo) return undefined;
    const tool = textOf(name) ? mcpTool(textOf(serverName), textOf(name)) : atWork?.tool ?? textOf(serverName);
    const itemId = tool === atWork?.tool ? atWork.callId : "";
    const title = textOf(message) || `use ${tool}`;
    return ask({ itemId }, { tool, title }, recordOf(input ?? atWork?.input), elicited);
  },
};

/** `undefined`: not a question that can be answered with yes or no. */
export function questionOf(method: string, params: JsonRecord, tool: ToolAtWork | undefined): Question | undefined {
  return QUESTIONS[method]?.(params, tool);
}

/** Answers that say no where there is no question, to those who would not understand an error. */
export const DECLINED: Readonly<Partial<Record<string, JsonRecord>>> = {
  "mcpServer/elicitation/request": elicited(false),
};

function ask(
  { itemId }: JsonRecord,
  { tool, title }: { tool: string; title: string },
  input: JsonRecord,
  answer: Question["answer"],
): Question {
  const known = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== null && value !== undefined));
  return { request: { tool, callId: textOf(itemId), title: oneLine(title), input: known }, answer };
}

/** The turn goes on after a refusal; `cancel` would end it. */
function decision(allow: boolean): JsonRecord {
  return { decision: allow ? "accept" : "decline" };
}

function elicited(allow: boolean): JsonRecord {
  return { action: allow ? "accept" : "decline", content: allow ? {} : null, _meta: null };
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, " ⏎ ");
}
