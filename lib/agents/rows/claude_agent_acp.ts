/** Claude Code behind the ACP adapter that editors use, which brings a Claude Code of its own. */
import type { RowOf } from "../provider_row.ts";
import { CLAUDE } from "./claude.ts";

/** As with Claude Code itself: a closed list of tools that cannot write, and none of the project's own settings. */
const READ_ONLY = {
  claudeCode: {
    options: { tools: ["Read", "Glob", "Grep", "WebFetch", "WebSearch"], settingSources: ["user"] },
  },
};

export const CLAUDE_AGENT_ACP: RowOf<"acp"> = {
  provider: "claude-agent-acp",
  title: "Claude Agent (ACP)",
  family: "acp",
  launch: {
    kind: "command",
    names: ["claude-agent-acp"],
    versionArgs: ["--version"],
    install: "npm install -g @agentclientprotocol/claude-agent-acp",
  },
  args: { always: [] },
  stdin: "pipe",
  permissions: { full: {}, ask: {}, "read-only": { withoutProject: true } },
  acp: {
    modes: { full: "bypassPermissions", ask: "default", "read-only": "default" },
    sessionMeta: { "read-only": READ_ONLY },
  },
  env: CLAUDE.env!,
  rootEnv: CLAUDE.rootEnv!,
  secrets: CLAUDE.secrets!,
  brief: CLAUDE.brief!,
  skills: CLAUDE.skills!,
  mcp: "protocol",
  login: {
    variables: CLAUDE.login!.variables!,
    files: CLAUDE.login!.files!,
    how: CLAUDE.login!.how,
  },
  usage: "stream",
};
