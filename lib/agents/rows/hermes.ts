/** Hermes Agent, over its ACP server. */
import type { RowOf } from "../provider_row.ts";

export const HERMES: RowOf<"acp"> = {
  provider: "hermes",
  title: "Hermes Agent",
  family: "acp",
  launch: {
    kind: "command",
    names: ["hermes"],
    versionArgs: ["--version"],
    install: "see https://hermes-agent.nousresearch.com/docs",
  },
  args: { always: ["acp"] },
  stdin: "pipe",
  permissions: { full: { env: { HERMES_YOLO_MODE: "1" } }, ask: {} },
  // Its callbacks run in another thread than its answers.
  acp: { refusesLostSession: true, lingerMs: 250 },
  secrets: ["HERMES_*", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY", "NOUS_API_KEY"],
  brief: "AGENTS.md",
  mcp: "protocol",
  usage: "stream",
};
