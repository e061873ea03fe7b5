/** What opening a session of the Agent Client Protocol takes: which request resumes, which servers go along, how a setting is set. */
import type { AgentTask, McpServer } from "../core/model.ts";
import { type JsonRecord, listOf, recordOf, textOf } from "./json_fields.ts";

/** The one version there is. */
export const PROTOCOL_VERSION = 1;

/** What the agent said it can do, from its answer to `initialize`. */
export interface AcpAbilities {
  /** Taking up a session without its history is better: a replay is read for nothing. */
  readonly resume: "session/resume" | "session/load" | undefined;
  readonly http: boolean;
  readonly sse: boolean;
  readonly authMethods: readonly string[];
}

export function abilitiesOf(answer: JsonRecord): AcpAbilities {
  const can = recordOf(answer.agentCapabilities);
  const mcp = recordOf(can.mcpCapabilities);
  return {
    resume: recordOf(can.sessionCapabilities).resume
      ? "session/resume"
      : can.loadSession === true
      ? "session/load"
      : undefined,
    http: mcp.http === true,
    sse: mcp.sse === true,
    authMethods: listOf(answer.authMethods).map((method) => textOf(recordOf(method).id)),
  };
}

/** The servers in the protocol's form, and the names of those the agent cannot use. */
export function mcpServersFor(
  servers: readonly McpServer[],
  abilities: AcpAbilities,
): { readonly taken: readonly JsonRecord[]; readonly left: readonly string[] } {
  const usable = servers.filter(({ kind }) => kind === "stdio" || abilities[kind]);
  return {
    taken: usable.map(mcpServer),
    left: servers.filter((server) => !usable.includes(server)).map(({ name, kind }) => `${name} (${kind})`),
  };
}

function mcpServer(server: McpServer): JsonRecord {
  if (server.kind !== "stdio") {
    return { type: server.kind, name: server.name, url: server.url, headers: pairs(server.headers) };
  }
  return { name: server.name, command: server.command, args: server.args, env: pairs(server.env) };
}

function pairs(record: Readonly<Record<string, string>>): JsonRecord[] {
  return Object.entries(record).map(([name, value]) => ({ name, value }));
}

/** A setting of a session that the agent offers, e.g. its model. */
export interface AcpSetting {
  readonly id: string;
  readonly current: string;
  readonly choices: readonly { readonly value: string; readonly name: string }[];
}

export type SettingCategory = "model" | "thought_level";

/** By the category, because each agent has ids of its own. */
export function settingOf(opened: JsonRecord, category: SettingCategory): AcpSetting | undefined {
  const option = listOf(opened.configOptions).map(recordOf).find((each) => each.category === category);
  if (option) {
    return {
      id: textOf(option.id),
      current: textOf(option.currentValue),
      choices: listOf(option.options).flatMap(choices),
    };
  }
  const models = recordOf(opened.models);
  if (category !== "model" || !models.currentModelId) return undefined;
  return {
    id: "",
    current: textOf(models.currentModelId),
    choices: listOf(models.availableModels).map(recordOf)
      .map(({ modelId, name }) => ({ value: textOf(modelId), name: textOf(name) })),
  };
}

/** Choices may come in groups. */
function choices(option: unknown): { value: string; name: string }[] {
  const { value, name, options } = recordOf(option);
  if (Array.isArray(options)) return options.flatMap(choices);
  return [{ value: textOf(value), name: textOf(name) }];
}

/** A request that puts the session into the state the task wants. */
export interface SetupRequest {
  readonly method: string;
  readonly params: JsonRecord;
  /** What it sets, for people. */
  readonly what: "mode" | "model" | "effort";
}

/** In the order they are to be sent. A model the agent is told of by its arguments is not set again. */
export function setupOf(
  task: AgentTask,
  sessionId: string,
  opened: JsonRecord,
  { mode, modelByArgument, effortByArgument }: {
    readonly mode: string | undefined;
    readonly modelByArgument: boolean;
    readonly effortByArgument: boolean;
  },
): { readonly requests: readonly SetupRequest[]; readonly left: readonly string[] } {
  const requests: SetupRequest[] = [];
  const left: string[] = [];
  if (mode) requests.push({ method: "session/set_mode", params: { sessionId, modeId: mode }, what: "mode" });
  if (task.model && !modelByArgument) {
    const { id } = settingOf(opened, "model") ?? { id: "" };
    requests.push(
      id
        ? { method: "session/set_config_option", params: { sessionId, configId: id, value: task.model }, what: "model" }
        : { method: "session/set_model", params: { sessionId, modelId: task.model }, what: "model" },
    );
  }
  if (task.effort && !effortByArgument) {
    const setting = settingOf(opened, "thought_level");
    const params = { sessionId, configId: setting?.id, value: task.effort };
    if (setting) requests.push({ method: "session/set_config_option", params, what: "effort" });
    else left.push(`effort ${task.effort}`);
  }
  return { requests, left };
}

/** For the table of tokens: the wanted model, else the one the session began with. */
export function modelNameOf(task: AgentTask, opened: JsonRecord, byName: boolean): string {
  const setting = settingOf(opened, "model");
  const value = task.model ?? setting?.current ?? "";
  const name = byName && !task.model ? setting?.choices.find((choice) => choice.value === value)?.name : undefined;
  return name || value || "unknown";
}
