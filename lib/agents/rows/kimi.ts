/** Kimi Code, over its ACP server: headless it tells its session's id only at the very end. */
import type { RowOf } from "../provider_row.ts";
import { KIMI_LOGS } from "../session_logs.ts";

export const KIMI: RowOf<"acp"> = {
  provider: "kimi",
  title: "Kimi Code",
  family: "acp",
  launch: {
    kind: "command",
    names: ["kimi"],
    versionArgs: ["--version"],
    install: "npm install -g @moonshot-ai/kimi-code",
  },
  args: { always: ["acp"] },
  stdin: "pipe",
  // Planning refuses to write files, and a command is asked about, which is denied.
  permissions: { full: {}, ask: {}, "read-only": {} },
  acp: {
    modes: { full: "yolo", ask: "default", "read-only": "plan" },
    titleIsTool: true,
    errorsIn: "~/.kimi-code/sessions/*/{}/logs",
  },
  env: { KIMI_CODE_NO_AUTO_UPDATE: "1" },
  secrets: ["KIMI_*", "MOONSHOT_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"],
  brief: "AGENTS.md",
  skills: ".kimi-code/skills",
  mcp: "protocol",
  login: {
    variables: ["KIMI_API_KEY"],
    files: ["$KIMI_CODE_HOME/credentials/kimi-code.json", ".kimi-code/credentials/kimi-code.json"],
    how: "kimi login",
  },
  sessionLogs: KIMI_LOGS,
  usage: "none",
  remark: "tells no token counts, and why a provider failed only in its own log",
};
