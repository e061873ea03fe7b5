/** The built-in demo agent: no model behind it, spoken to like Claude Code. */
import type { RowOf } from "../provider_row.ts";
import { CLAUDE_ARGS, CLAUDE_PERMISSIONS } from "./claude.ts";

export const DEMO: RowOf<"claude-stream-json"> = {
  provider: "demo",
  title: "built-in demo agent (no model)",
  family: "claude-stream-json",
  launch: { kind: "self", args: ["__demo-agent"] },
  args: CLAUDE_ARGS,
  stdin: "pipe",
  permissions: CLAUDE_PERMISSIONS,
  brief: "CLAUDE.md",
  skills: ".claude/skills",
  mcp: "args",
  usage: "stream",
  demo: true,
};
