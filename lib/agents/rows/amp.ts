/** Amp: Claude Code's JSON lines, from a service of its own. */
import { ClaudeLikeReader } from "../claude_like.ts";
import type { Dialect, DialectStep, LastWords } from "../dialect.ts";
import type { RowOf } from "../provider_row.ts";
import { failed } from "../session.ts";

const LAST_WORDS: readonly LastWords[] = [
  { says: /getUserInfo failed: 40[13]|Invalid API key/i, reason: "agent_error.provider_auth_or_access" },
  { says: /getUserInfo failed/, reason: "agent_error.provider_network" },
];

class AmpReader extends ClaudeLikeReader {
  /** Without a key it shows a link and waits for a person, for as long as one lets it. */
  other(line: string): DialectStep | undefined {
    if (!line.startsWith("No API key found")) return undefined;
    const detail = "Amp is not logged in: it works only through its own service; run amp login, or set AMP_API_KEY";
    return { messages: [], outcome: failed("agent_error.provider_auth_or_access", detail) };
  }
}

const AMP_DIALECT: Dialect = { open: (task) => new AmpReader(task, LAST_WORDS) };

export const AMP: RowOf<"exec-jsonl"> = {
  provider: "amp",
  title: "Amp",
  family: "exec-jsonl",
  dialect: AMP_DIALECT,
  launch: {
    kind: "command",
    names: ["amp"],
    versionArgs: ["--version"],
    install: "npm install -g @sourcegraph/amp",
  },
  args: {
    always: ["--execute", "--stream-json-thinking", "--no-ide", "--no-notifications", "--no-archive-after-execute"],
    // Its modes choose the model.
    model: ["--mode", "{}"],
    resume: ["threads", "continue", "{}"],
    mcpConfig: ["--mcp-config", "{}"],
    reserved: [
      ...["-x", "--execute", "-ox", "--stream-json", "--stream-json-thinking", "--stream-json-input", "--executor"],
      ...["--no-tui", "--mcp-config", "--runner-dir", "--dangerously-allow-all"],
    ],
  },
  stdin: "pipe",
  permissions: { full: { args: ["--dangerously-allow-all"] } },
  secrets: ["AMP_API_KEY"],
  brief: "AGENTS.md",
  skills: ".agents/skills",
  mcp: "args",
  login: {
    variables: ["AMP_API_KEY"],
    files: [".local/share/amp/secrets.json"],
    how: "amp login",
  },
  usage: "none",
  remark: "all of it goes through ampcode.com, with an account there; never tried in a whole run",
};
