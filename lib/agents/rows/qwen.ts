/** Qwen Code, over its ACP server. */
import type { RowOf } from "../provider_row.ts";
import { QWEN_LOGS } from "../session_logs.ts";

export const QWEN: RowOf<"acp"> = {
  provider: "qwen",
  title: "Qwen Code",
  family: "acp",
  launch: {
    kind: "command",
    names: ["qwen"],
    versionArgs: ["--version"],
    install: "npm install -g @qwen-code/qwen-code",
  },
  args: {
    always: ["--acp"],
    // Over the protocol its models have internal keys that nobody knows.
    model: ["--model", "{}"],
    reserved: ["--acp", "--experimental-acp", "--approval-mode", "--yolo", "-y", "--model", "-m", "-p", "--prompt"],
  },
  stdin: "pipe",
  permissions: { full: {}, ask: {}, "read-only": {} },
  acp: {
    modes: { full: "yolo", ask: "default", "read-only": "plan" },
    inputIncludesCached: true,
    modelByName: true,
  },
  env: { QWEN_CODE_SUPPRESS_YOLO_WARNING: "1" },
  secrets: ["OPENAI_API_KEY", "DASHSCOPE_API_KEY", "QWEN_*"],
  brief: "QWEN.md",
  skills: ".qwen/skills",
  mcp: "protocol",
  login: {
    variables: ["OPENAI_API_KEY", "DASHSCOPE_API_KEY"],
    files: ["$QWEN_HOME/oauth_creds.json", ".qwen/oauth_creds.json"],
    how: "qwen, then /auth",
  },
  // The launcher of npm's stays, and starts what is newer there.
  runsFrom: [".qwen/updates/npm"],
  sessionLogs: QWEN_LOGS,
  usage: "stream",
};
