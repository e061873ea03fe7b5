/** Codex behind the ACP adapter that editors use, which has Codex built in. */
import type { RowOf } from "../provider_row.ts";

export const CODEX_ACP: RowOf<"acp"> = {
  provider: "codex-acp",
  title: "Codex (ACP)",
  family: "acp",
  launch: {
    kind: "command",
    names: ["codex-acp"],
    versionArgs: ["--help"],
    unversioned: true,
    install: "npm install -g @zed-industries/codex-acp",
  },
  args: { always: [] },
  stdin: "pipe",
  permissions: { full: {}, ask: {}, "read-only": {} },
  // Its preset for reading asks about everything else, so it is the one for asking as well.
  acp: { modes: { full: "full-access", ask: "read-only", "read-only": "read-only" } },
  secrets: ["OPENAI_API_KEY", "CODEX_API_KEY"],
  brief: "AGENTS.md",
  mcp: "protocol",
  login: {
    variables: ["OPENAI_API_KEY", "CODEX_API_KEY"],
    files: ["$CODEX_HOME/auth.json", ".codex/auth.json"],
    how: "codex login",
  },
  usage: "none",
  remark: "tells no token counts",
};
