/** THE TABLE: one row per agent CLI, and one adapter per protocol family; everything drover knows of a CLI stands in this folder. */
import type { Family, Permission } from "../core/model.ts";
import type { Backend } from "./backend.ts";
import { claudeStreamJson } from "./claude_stream_json.ts";
import { plainText } from "./plain_text.ts";

export const BACKENDS: Readonly<Record<Family, Backend>> = {
  "claude-stream-json": claudeStreamJson,
  "plain-text": plainText,
};

/** How a row is started and how one finds out that it works. */
export type Launch =
  | {
    readonly kind: "command";
    /** Names looked up on PATH, the first that is there wins. */
    readonly names: readonly string[];
    readonly versionArgs: readonly string[];
    /** Older ones are skipped; absent where any version will do. */
    readonly minimum?: string;
    /** For people who do not have it. */
    readonly install: string;
  }
  /** This program itself, with a verb of its own: nothing to find, nothing to probe. */
  | { readonly kind: "self"; readonly args: readonly string[] };

export interface ProviderRow {
  readonly provider: string;
  /** For people. */
  readonly title: string;
  readonly family: Family;
  readonly launch: Launch;
  /** What the CLI can promise. */
  readonly permissions: readonly Permission[];
  readonly env?: Readonly<Record<string, string>>;
  /** Additionally where drover runs as root. */
  readonly rootEnv?: Readonly<Record<string, string>>;
  /** No model behind it: never chosen unless asked for by name. */
  readonly demo?: true;
}

/** Best first: what is chosen when nobody says which. */
export const PROVIDERS: readonly ProviderRow[] = [
  {
    provider: "claude",
    title: "Claude Code",
    family: "claude-stream-json",
    launch: {
      kind: "command",
      names: ["claude"],
      versionArgs: ["--version"],
      minimum: "2.0.0",
      install: "npm install -g @anthropic-ai/claude-code",
    },
    permissions: ["full", "read-only"],
    env: {
      // A CLI that replaces itself during a run is a changed binary to us.
      DISABLE_AUTOUPDATER: "1",
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      // What runs in the background is ended with the run, so the model had better not count on it.
      CLAUDE_CODE_DISABLE_BACKGROUND_TASKS: "1",
    },
    // As root it refuses to skip permissions unless told that it is in a sandbox; only exactly "1" counts.
    rootEnv: { IS_SANDBOX: "1" },
  },
  {
    provider: "llm",
    title: "llm (one prompt, one answer, no tools)",
    family: "plain-text",
    launch: { kind: "command", names: ["llm"], versionArgs: ["--version"], install: "pipx install llm" },
    permissions: ["full", "read-only"],
  },
  {
    provider: "demo",
    title: "built-in demo agent (no model)",
    family: "claude-stream-json",
    launch: { kind: "self", args: ["__demo-agent"] },
    permissions: ["full", "read-only"],
    demo: true,
  },
];

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
