/** GitHub Copilot CLI. */
import type { RowOf } from "../provider_row.ts";
import { COPILOT_DIALECT } from "./copilot_dialect.ts";
import { COPILOT_LOGS } from "../session_logs.ts";

export const COPILOT: RowOf<"exec-jsonl"> = {
  provider: "copilot",
  title: "GitHub Copilot CLI",
  family: "exec-jsonl",
  dialect: COPILOT_DIALECT,
  launch: {
    kind: "command",
    names: ["copilot"],
    versionArgs: ["--version"],
    // Seen to take a prompt on its standard input, and the name of a new session.
    minimum: "1.0.86",
    install: "npm install -g @github/copilot",
  },
  args: {
    // Nobody could answer its questions.
    always: ["--output-format", "json", "--no-ask-user"],
    model: ["--model", "{}"],
    effort: ["--reasoning-effort", "{}"],
    // Not --session-id, which begins a new session when it does not find the one.
    resume: ["--resume={}"],
    newSession: ["--session-id={}"],
    mcpConfig: ["--additional-mcp-config", "@{}"],
    reserved: [
      ...[
        "-p",
        "--prompt",
        "-i",
        "--interactive",
        "--output-format",
        "-s",
        "--silent",
        "--stream",
        "--acp",
        "--connect",
      ],
      ...[
        "-r",
        "--resume",
        "--continue",
        "--session-id",
        "--trust-folder",
        "--yolo",
        "--allow-all",
        "--allow-all-tools",
      ],
      ...["--allow-all-paths", "--allow-tool", "--deny-tool", "--available-tools", "--excluded-tools", "--mode"],
      ...["--autopilot", "--plan", "--environment-host", "--additional-mcp-config"],
    ],
  },
  stdin: "pipe",
  permissions: {
    full: { args: ["--yolo"] },
    // A closed list of tools that cannot write; what is denied stays so whatever the environment allows.
    "read-only": {
      args: ["--available-tools=view,grep,glob", "--deny-tool=shell", "--deny-tool=write"],
    },
  },
  env: {
    // It would run the newest version that it has ever downloaded, whichever one is installed.
    COPILOT_AUTO_UPDATE: "false",
  },
  secrets: ["COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "COPILOT_PROVIDER_*"],
  brief: "AGENTS.md",
  skills: ".github/skills",
  mcp: "args",
  login: {
    variables: ["COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "COPILOT_PROVIDER_BASE_URL"],
    files: [".copilot/config.json"],
    how: "copilot login",
  },
  runsFrom: [".cache/copilot/pkg"],
  // Its events count no tokens.
  sessionLogs: COPILOT_LOGS,
  usage: "none",
};
