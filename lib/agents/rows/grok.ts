/** Grok Build, over its ACP server. */
import type { RowOf } from "../provider_row.ts";

export const GROK: RowOf<"acp"> = {
  provider: "grok",
  title: "Grok Build",
  family: "acp",
  launch: {
    kind: "command",
    names: ["grok"],
    versionArgs: ["--version"],
    install: "see https://docs.x.ai/build/overview",
  },
  args: {
    always: ["--no-auto-update", "agent"],
    model: ["--model", "{}"],
    effort: ["--effort", "{}"],
    // Its options belong to the command before.
    last: ["stdio"],
    reserved: ["--always-approve", "--model", "-m", "--effort", "--no-auto-update"],
  },
  stdin: "pipe",
  permissions: { full: { args: ["--always-approve"] }, ask: {} },
  acp: { authenticate: ["xai.api_key", "cached_token"] },
  secrets: ["XAI_API_KEY", "GROK_*"],
  brief: "AGENTS.md",
  skills: ".grok/skills",
  mcp: "protocol",
  login: { variables: ["XAI_API_KEY"], files: ["$GROK_HOME/auth.json", ".grok/auth.json"], how: "grok login" },
  usage: "stream",
};
