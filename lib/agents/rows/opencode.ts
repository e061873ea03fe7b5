/** OpenCode, over its ACP server: headless it shows no text before it is complete, and asks nobody. */
import type { RowOf } from "../provider_row.ts";

/** Merged over the user's own rules; the last rule that fits counts. */
const ASK = { edit: "ask", bash: "ask", webfetch: "ask", external_directory: "ask" };
/** Its planning mode runs commands, so what can change something is taken away by rule. */
const READ_ONLY = { edit: "deny", bash: "deny", task: "deny", external_directory: "deny" };

export const OPENCODE: RowOf<"acp"> = {
  provider: "opencode",
  title: "OpenCode",
  family: "acp",
  launch: {
    kind: "command",
    names: ["opencode"],
    versionArgs: ["--version"],
    install: "npm install -g opencode-ai",
  },
  args: { always: ["acp"] },
  stdin: "pipe",
  permissions: {
    full: {},
    ask: { env: { OPENCODE_PERMISSION: JSON.stringify(ASK) } },
    "read-only": { env: { OPENCODE_PERMISSION: JSON.stringify(READ_ONLY) } },
  },
  acp: {
    modes: { "read-only": "plan" },
    titleIsTool: true,
    lateInput: true,
    // Any failure of its own store of sessions; there is no code for one that is not there.
    lostSession: ({ data }) => (data as { service?: unknown } | undefined)?.service === "session",
  },
  env: { OPENCODE_DISABLE_AUTOUPDATE: "1" },
  secrets: [
    ...["OPENCODE_*", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"],
    ...["OPENROUTER_API_KEY", "GROQ_API_KEY", "DEEPSEEK_API_KEY", "MISTRAL_API_KEY", "XAI_API_KEY", "GITHUB_TOKEN"],
  ],
  brief: "AGENTS.md",
  skills: ".opencode/skills",
  mcp: "protocol",
  usage: "stream",
  remark: "counts the tokens of the last model call only",
};
