/** llm: one prompt, one answer, no tools. */
import type { RowOf } from "../provider_row.ts";

export const LLM: RowOf<"plain-text"> = {
  provider: "llm",
  title: "llm (one prompt, one answer, no tools)",
  family: "plain-text",
  launch: { kind: "command", names: ["llm"], versionArgs: ["--version"], install: "pipx install llm" },
  args: { always: [], model: ["--model", "{}"] },
  stdin: "pipe",
  // It has no tools, so there is nothing to ask about and nothing it could change.
  permissions: { full: {}, ask: {}, "read-only": {} },
  secrets: ["OPENAI_API_KEY", "LLM_*"],
  mcp: "none",
  usage: "none",
};
