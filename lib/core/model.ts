/** The nouns every part of drover shares: provider, runtime, task, claim, command line, work directory. */

/** A protocol an agent CLI speaks; it selects the adapter. Families name protocols, never products. */
export type Family = "claude-stream-json" | "codex-app-server" | "acp" | "exec-jsonl" | "plain-text";

/**
 * What a task may do. `full`: everything. `ask`: what the agent CLI asks about is decided by a person, and refused when
 * nobody answers in time. `read-only`: nothing that changes files; the CLI's own promise, which its row asks for.
 */
export const PERMISSIONS = ["full", "ask", "read-only"] as const;
export type Permission = typeof PERMISSIONS[number];

/**
 * Where a task works: `in-place` in a directory of the user's, `worktree` in a git worktree of the repository that
 * holds `path`, `scratch` in an empty directory of its own.
 */
export type DirectoryMode = "in-place" | "worktree" | "scratch";

export interface DirectoryRequest {
  readonly mode: DirectoryMode;
  /** Absolute path of the user's directory; absent for `scratch`. */
  readonly path?: string;
}

/** An agent CLI found working on this machine. */
export interface Runtime {
  /** The CLI's name: one row of the table in `agents/registry.ts`. */
  readonly provider: string;
  readonly family: Family;
  /** Absolute path of the executable that PATH led to, links not followed: a launch follows the name, not a frozen target. */
  readonly executable: string;
  /** Arguments that come before the adapter's own. */
  readonly fixedArgs: readonly string[];
  /** What `--version` said, e.g. `2.1.328`; empty when the provider has none. */
  readonly version: string;
  /** What this CLI needs in its environment on this machine: from its row of the table, and from a runtime profile. */
  readonly env?: Readonly<Record<string, string>>;
  /** The runtime profile it was made from; absent for what was simply found. */
  readonly profile?: { readonly id: string; readonly name: string };
}

/** What tells the runtimes of a machine apart. A provider's name has no colon in it. */
export function runtimeKey({ provider, profile }: Pick<Runtime, "provider" | "profile">): string {
  return profile ? `${provider}:${profile.id}` : provider;
}

/** Of a runtime's key. */
export function providerOf(key: string): string {
  return key.split(":", 1)[0]!;
}

/** A row of the provider table that is not usable here, and why: the text shown by `drover agents --all`. */
export interface SkippedProvider {
  readonly provider: string;
  readonly why: SkipReason;
  /** One line for people: the current value and what to do next. */
  readonly detail: string;
}

export type SkipReason =
  | "not-found"
  | "not-executable"
  | "version-probe-failed"
  | "version-unreadable"
  | "version-too-old"
  | "not-supported"
  | "demo-only";

/** What is started for a task: no shell, prompts and secrets never in `args`. */
export interface CommandLine {
  readonly executable: string;
  readonly args: readonly string[];
  /** Added to the agent's environment. */
  readonly env: Readonly<Record<string, string>>;
  /** `pipe`: the adapter writes and closes it; `null`: the CLI gets /dev/null. */
  readonly stdin: "pipe" | "null";
}

/** What an adapter needs to know of a task. */
export interface AgentTask {
  readonly id: string;
  readonly prompt: string;
  /** Absolute path the agent starts in. */
  readonly cwd: string;
  readonly permission: Permission;
  readonly model?: string;
  /** How hard the model is to think, in the CLI's own words, e.g. `high`. */
  readonly effort?: string;
  /** The CLI's own sandbox is wanted. */
  readonly sandbox?: boolean;
  /** The provider's own session id to continue. */
  readonly resumeSession?: string;
  /** A UUID of ours for a new session, which a CLI that lets its caller choose gets: known before it says anything. */
  readonly newSession: string;
  /** Of the agent: added after ours. */
  readonly extraArgs?: readonly string[];
  /** Servers of tools for this run; absent where the CLI's own configuration is to count alone. */
  readonly mcpServers?: readonly McpServer[];
  /** The same in a private file, as the `mcpServers` object most CLIs read; only where a row takes it like that. */
  readonly mcpConfigFile?: string;
}

/** A server of the model context protocol that an agent is to use. */
export type McpServer =
  | {
    readonly name: string;
    readonly kind: "stdio";
    readonly command: string;
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
  }
  | {
    readonly name: string;
    readonly kind: "http" | "sse";
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
  };

/** Tokens of one model over a whole run: totals, never increments. */
export interface ModelUsage {
  readonly model: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
  /** In 1e-10 USD; 0 or less means unknown. */
  readonly costUsdTicks: number;
}
