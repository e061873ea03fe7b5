/** pi. */
import type { RowOf } from "../provider_row.ts";
import { PI_DIALECT } from "./pi_dialect.ts";
import { PI_LOGS } from "../session_logs.ts";

export const PI: RowOf<"exec-jsonl"> = {
  provider: "pi",
  title: "pi",
  family: "exec-jsonl",
  dialect: PI_DIALECT,
  launch: {
    kind: "command",
    names: ["pi"],
    versionArgs: ["--version"],
    // The first that was seen with --session-id and --approve.
    minimum: "0.87.0",
    install: "npm install -g @earendil-works/pi-coding-agent",
  },
  args: {
    always: ["--print", "--mode", "json"],
    model: ["--model", "{}"],
    effort: ["--thinking", "{}"],
    // Not --session-id, which begins a new session when it does not find the one.
    resume: ["--session", "{}"],
    newSession: ["--session-id", "{}"],
    reserved: [
      ...["-p", "--print", "--mode", "--session", "--session-id", "--no-session", "-c", "--continue", "-r", "--resume"],
      ...["--fork", "-t", "--tools", "-e", "--extension", "-a", "--approve", "-na", "--no-approve", "-ne"],
      ...["--no-extensions", "--export", "--list-models", "--"],
    ],
  },
  stdin: "pipe",
  permissions: {
    // It has no permissions of its own: every tool it has runs. Skills of the project load only when it is approved.
    full: { args: ["--approve"] },
    // A closed list of tools that cannot write, and none of the extensions, which are programs.
    "read-only": { args: ["--tools", "read,grep,find,ls", "--no-extensions", "--no-approve"] },
  },
  env: {
    // Looks for updates of itself and of its list of models at each start.
    PI_OFFLINE: "1",
    PI_TELEMETRY: "0",
  },
  secrets: [
    ...["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_OAUTH_TOKEN", "OPENAI_API_KEY", "GEMINI_API_KEY"],
    ...["OPENROUTER_API_KEY", "GROQ_API_KEY", "MISTRAL_API_KEY", "XAI_API_KEY", "DEEPSEEK_API_KEY", "KIMI_API_KEY"],
    ...["ZAI_API_KEY", "CEREBRAS_API_KEY", "AI_GATEWAY_API_KEY"],
  ],
  brief: "AGENTS.md",
  skills: ".pi/skills",
  mcp: "none",
  login: {
    variables: ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"],
    files: [
      "$PI_CODING_AGENT_DIR/auth.json",
      "$PI_CODING_AGENT_DIR/models.json",
      ".pi/agent/auth.json",
      ".pi/agent/models.json",
    ],
    how: "pi, and then /login",
  },
  sessionLogs: PI_LOGS,
  usage: "stream",
  remark: "it can be resumed only in the directory where its session began",
};
