/** THE TABLE: one row per agent CLI, and one adapter per protocol family; everything drover knows of a CLI stands in its row. */
import type { Family } from "../core/model.ts";
import type { Adapter, Backend } from "./backend.ts";
import { claudeStreamJson } from "./claude_stream_json.ts";
import { commandLineOf } from "./command_line.ts";
import { plainText } from "./plain_text.ts";
import type { ProviderRow, RowOf } from "./provider_row.ts";
import { CLAUDE } from "./rows/claude.ts";
import { DEMO } from "./rows/demo.ts";
import { LLM } from "./rows/llm.ts";

/** Best first: what is chosen when nobody says which. */
export const PROVIDERS: readonly ProviderRow[] = [CLAUDE, LLM, DEMO];

const ADAPTERS: { readonly [F in Family]: (row: RowOf<F>) => Adapter } = {
  "claude-stream-json": () => claudeStreamJson,
  "codex-app-server": () => {
    throw new Error("The codex-app-server family is not built yet");
  },
  acp: () => {
    throw new Error("The acp family is not built yet");
  },
  "exec-jsonl": () => {
    throw new Error("The exec-jsonl family is not built yet");
  },
  "plain-text": () => plainText,
};

export function backendOf(row: ProviderRow): Backend {
  const { run } = (ADAPTERS[row.family] as (row: ProviderRow) => Adapter)(row);
  return { family: row.family, commandFor: (runtime, task) => commandLineOf(row, runtime, task), run };
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
];
