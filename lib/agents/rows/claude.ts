/** Claude Code. */
import type { ArgTemplates, RowOf } from "../provider_row.ts";
import { CLAUDE_LOGS } from "../session_logs.ts";

/** Also of the demo agent, which speaks as it does. */
export const CLAUDE_ARGS = {
  always: ["-p", "--output-format", "stream-json", "--input-format", "stream-json", "--verbose"],
  model: ["--model", "{}"],
  effort: ["--effort", "{}"],
  resume: ["--resume", "{}"],
  mcpConfig: ["--mcp-config", "{}", "--strict-mcp-config"],
  reserved: [
    ...["-p", "--print", "--output-format", "--input-format", "--verbose", "--permission-mode", "--tools"],
    ...["--permission-prompt-tool", "--dangerously-skip-permissions", "--disallowedTools", "--resume", "--session-id"],
    ...["--strict-mcp-config", "--mcp-config", "--setting-sources"],
  ],
} as const satisfies ArgTemplates;

/**
 * Read-only is a closed list of tools that cannot write, a mode that denies what would have to be asked, and none of
 * the project's own settings and servers, which may run commands. A version too old for one of these refuses to start.
 * Nobody can answer a question, so that tool is taken away from the others.
 */
export const CLAUDE_PERMISSIONS = {
  full: { args: ["--permission-mode", "bypassPermissions", "--disallowedTools", "AskUserQuestion"] },
  ask: {
    args: [
      ...["--permission-mode", "default", "--permission-prompt-tool", "stdio"],
      ...["--disallowedTools", "AskUserQuestion"],
    ],
  },
  "read-only": {
    args: [
      ...["--permission-mode", "dontAsk", "--tools", "Read,Glob,Grep,WebFetch,WebSearch"],
      ...["--strict-mcp-config", "--setting-sources", "user"],
    ],
    withoutProject: true,
  },
} as const;

export const CLAUDE: RowOf<"claude-stream-json"> = {
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
  args: CLAUDE_ARGS,
  stdin: "pipe",
  permissions: CLAUDE_PERMISSIONS,
  env: {
    // A CLI that replaces itself during a run is a changed binary to us.
    DISABLE_AUTOUPDATER: "1",
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    // What runs in the background is ended with the run, so the model had better not count on it.
    CLAUDE_CODE_DISABLE_BACKGROUND_TASKS: "1",
  },
  // As root it refuses to skip permissions unless told that it is in a sandbox; only exactly "1" counts.
  rootEnv: { IS_SANDBOX: "1" },
  secrets: ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"],
  brief: "CLAUDE.md",
  skills: ".claude/skills",
  mcp: "args",
  login: {
    variables: ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"],
    files: ["$CLAUDE_CONFIG_DIR/.credentials.json", ".claude/.credentials.json"],
    // Knows of the keychain, other clouds and helpers for keys as well.
    status: ["auth", "status"],
    statusSince: "2.1.327",
    loggedOut: '"loggedIn": false',
    how: "claude /login",
  },
  sessionLogs: CLAUDE_LOGS,
  usage: "stream",
};
