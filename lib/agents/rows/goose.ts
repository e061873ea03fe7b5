/** goose, over its ACP server. */
import type { RowOf } from "../provider_row.ts";

export const GOOSE: RowOf<"acp"> = {
  provider: "goose",
  title: "goose",
  family: "acp",
  launch: {
    kind: "command",
    names: ["goose"],
    versionArgs: ["--version"],
    // The first with an ACP server.
    minimum: "1.8.0",
    install: "see https://block.github.io/goose/docs/getting-started/installation",
  },
  args: { always: ["acp"] },
  stdin: "pipe",
  // A permission kept for a tool in its own settings would get past a promise to read only.
  permissions: { full: { env: { GOOSE_MODE: "auto" } }, ask: { env: { GOOSE_MODE: "approve" } } },
  acp: {},
  secrets: ["GOOSE_*", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GOOGLE_API_KEY", "OPENROUTER_API_KEY"],
  brief: "AGENTS.md",
  mcp: "protocol",
  usage: "none",
};
