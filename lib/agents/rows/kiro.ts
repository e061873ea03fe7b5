/** Kiro CLI, over its ACP server. */
import type { RowOf } from "../provider_row.ts";

export const KIRO: RowOf<"acp"> = {
  provider: "kiro",
  title: "Kiro CLI",
  family: "acp",
  launch: {
    kind: "command",
    names: ["kiro-cli"],
    versionArgs: ["--version"],
    // The first with an ACP server.
    minimum: "1.25.0",
    install: "see https://kiro.dev/docs/cli",
  },
  args: { always: ["acp"], reserved: ["--trust-all-tools", "-a", "--trust-tools"] },
  stdin: "pipe",
  permissions: { full: { args: ["--trust-all-tools"] }, ask: {} },
  acp: {},
  secrets: ["KIRO_*", "AWS_*"],
  brief: "AGENTS.md",
  skills: ".kiro/skills",
  mcp: "protocol",
  login: { variables: ["KIRO_API_KEY"], status: ["whoami"], how: "kiro-cli login" },
  usage: "none",
};
