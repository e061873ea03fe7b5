/** THE TABLE: one row per agent CLI, and one adapter per protocol family; everything drover knows of a CLI stands in its row. */
import { type Family, PERMISSIONS } from "../core/model.ts";
import { acp } from "./acp.ts";
import type { Adapter, Backend } from "./backend.ts";
import { claudeStreamJson } from "./claude_stream_json.ts";
import { codexAppServer } from "./codex_app_server.ts";
import { commandLineOf } from "./command_line.ts";
import { execJsonl } from "./exec_jsonl.ts";
import { plainText } from "./plain_text.ts";
import type { ProviderRow, RowOf } from "./provider_row.ts";
import { AMP } from "./rows/amp.ts";
import { CLAUDE } from "./rows/claude.ts";
import { CLAUDE_AGENT_ACP } from "./rows/claude_agent_acp.ts";
import { CODEX } from "./rows/codex.ts";
import { CODEX_ACP } from "./rows/codex_acp.ts";
import { COPILOT } from "./rows/copilot.ts";
import { CURSOR_AGENT } from "./rows/cursor_agent.ts";
import { DEMO } from "./rows/demo.ts";
import { GEMINI } from "./rows/gemini.ts";
import { GOOSE } from "./rows/goose.ts";
import { GROK } from "./rows/grok.ts";
import { HERMES } from "./rows/hermes.ts";
import { KIMI } from "./rows/kimi.ts";
import { KIRO } from "./rows/kiro.ts";
import { LLM } from "./rows/llm.ts";
import { OPENCLAW } from "./rows/openclaw.ts";
import { OPENCODE } from "./rows/opencode.ts";
import { PI } from "./rows/pi.ts";
import { QWEN } from "./rows/qwen.ts";

/** Best first: what is chosen when nobody says which. */
export const PROVIDERS: readonly ProviderRow[] = [
  CLAUDE,
  CODEX,
  GEMINI,
  COPILOT,
  CURSOR_AGENT,
  OPENCODE,
  PI,
  KIMI,
  QWEN,
  GROK,
  HERMES,
  GOOSE,
  KIRO,
  CLAUDE_AGENT_ACP,
  CODEX_ACP,
  AMP,
  OPENCLAW,
  LLM,
  DEMO,
];

const ADAPTERS: { readonly [F in Family]: (row: RowOf<F>) => Adapter } = {
  "claude-stream-json": () => claudeStreamJson,
  "codex-app-server": () => codexAppServer,
  acp,
  "exec-jsonl": ({ dialect }) => execJsonl(dialect),
  "plain-text": () => plainText,
};

export function backendOf(row: ProviderRow): Backend {
  const { run } = (ADAPTERS[row.family] as (row: ProviderRow) => Adapter)(row);
  return {
    family: row.family,
    permissions: PERMISSIONS.filter((one) => row.permissions[one]),
    commandFor: (runtime, task) => commandLineOf(row, runtime, task),
    run,
  };
}

const BACKENDS = new Map(PROVIDERS.map((row) => [row.provider, backendOf(row)]));

export function rowOf(provider: string): ProviderRow | undefined {
  return PROVIDERS.find((row) => row.provider === provider);
}

/** Of a provider of the table; throws for any other, which discovery never finds. */
export function backendFor(provider: string): Backend {
  const backend = BACKENDS.get(provider);
  if (!backend) throw new Error(`There is no agent CLI ${provider} in the table`);
  return backend;
}

/**
 * Variables a running agent sets for what it starts, as names or as prefixes that end in `*`. An agent that inherits
 * them from another one believes to be nested, and some then refuse to start.
 */
export const SESSION_VARIABLES: readonly string[] = [
  "CLAUDECODE",
  "CLAUDECODE_*",
  "CLAUDE_CODE_ENTRYPOINT",
  "CLAUDE_CODE_EXECPATH",
  "CLAUDE_CODE_SESSION_ID",
  "CLAUDE_CODE_SSE_PORT",
  "CODEX_CI",
  "CODEX_SANDBOX",
  "CODEX_SANDBOX_NETWORK_DISABLED",
  "CODEX_SESSION_ID",
  "CODEX_THREAD_ID",
  "CODEX_TOOL_CALL_ID",
];
