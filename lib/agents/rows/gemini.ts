/** Gemini CLI. */
import type { RowOf } from "../provider_row.ts";
import { GEMINI_DIALECT } from "./gemini_dialect.ts";
import { GEMINI_LOGS } from "../session_logs.ts";

export const GEMINI: RowOf<"exec-jsonl"> = {
  provider: "gemini",
  title: "Gemini CLI",
  family: "exec-jsonl",
  dialect: GEMINI_DIALECT,
  launch: {
    kind: "command",
    names: ["gemini"],
    versionArgs: ["--version"],
    // The first with --session-id is not known; this one was seen to have it.
    minimum: "0.58.0",
    install: "npm install -g @google/gemini-cli",
  },
  args: {
    always: ["--output-format", "stream-json"],
    model: ["--model", "{}"],
    resume: ["--resume", "{}"],
    newSession: ["--session-id", "{}"],
    reserved: [
      ...["-p", "--prompt", "-i", "--prompt-interactive", "-o", "--output-format", "-r", "--resume", "--session-id"],
      ...["--session-file", "--skip-trust", "--approval-mode", "-y", "--yolo", "--acp", "--experimental-acp"],
      ...["-w", "--worktree"],
    ],
  },
  stdin: "pipe",
  // Its plan mode is no promise: the model itself can leave it, and without a person that is approved.
  permissions: {
    // It refuses to work in a directory that nobody has called trusted; --skip-trust alone leaves out its settings there.
    full: { args: ["--yolo"], env: { GEMINI_CLI_TRUST_WORKSPACE: "true" } },
  },
  env: {
    // The process it would start as a copy of itself keeps signals from arriving.
    GEMINI_CLI_NO_RELAUNCH: "true",
  },
  secrets: ["GEMINI_API_KEY", "GOOGLE_API_KEY"],
  brief: "GEMINI.md",
  skills: ".gemini/skills",
  mcp: { file: ".gemini/settings.json" },
  login: {
    variables: ["GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_GCA"],
    files: [".gemini/oauth_creds.json"],
    how: "gemini, and then /auth",
  },
  sessionLogs: GEMINI_LOGS,
  usage: "stream",
  remark: "it can be resumed only in the directory where its session began",
};
