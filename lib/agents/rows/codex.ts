/** Codex. */
import type { RowOf } from "../provider_row.ts";
import { CODEX_LOGS } from "../session_logs.ts";

export const CODEX: RowOf<"codex-app-server"> = {
  provider: "codex",
  title: "Codex",
  family: "codex-app-server",
  launch: {
    kind: "command",
    names: ["codex"],
    versionArgs: ["--version"],
    minimum: "0.100.0",
    install: "npm install -g @openai/codex",
  },
  // Model, effort, session, rights, sandbox and servers of tools are all said by the protocol.
  args: {
    always: ["app-server"],
    sandbox: [],
    reserved: ["--listen", "--stdio", "--ws-auth", "--code-mode-host", "--startup-client-info"],
  },
  stdin: "pipe",
  permissions: { full: {}, ask: {}, "read-only": {} },
  secrets: ["CODEX_API_KEY", "CODEX_ACCESS_TOKEN", "OPENAI_API_KEY", "AZURE_OPENAI_API_KEY"],
  brief: "AGENTS.md",
  skills: ".agents/skills",
  mcp: "protocol",
  privateHome: {
    variable: "CODEX_HOME",
    original: ".codex",
    // Sessions are found in any home that has their files. Not `rules`, which let commands out of every sandbox.
    linked: [
      "auth.json",
      "sessions",
      "archived_sessions",
      "AGENTS.md",
      "AGENTS.override.md",
      "prompts",
      "skills",
      "plugins",
    ],
    // A run notes in it which directories are trusted.
    copied: ["config.toml"],
  },
  login: {
    variables: ["CODEX_API_KEY", "CODEX_ACCESS_TOKEN"],
    // With settings of its own it may be told to use another provider, or the system's key ring: no log-in is missing then.
    files: [
      ...["$CODEX_HOME/auth.json", "$CODEX_HOME/config.toml"],
      ...[".codex/auth.json", ".codex/config.toml"],
    ],
    status: ["login", "status"],
    how: "codex login",
  },
  sessionLogs: CODEX_LOGS,
  usage: "stream",
};
