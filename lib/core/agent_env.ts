/** The environment an agent gets: what drover was started with, minus what would confuse it, plus what its task needs. */
import type { Env } from "./ports.ts";
import { matchesName, withoutSecrets } from "./secret_variables.ts";

export interface AgentEnvInput {
  readonly inherited: Env;
  /** Variables of agent sessions, from the provider table: an agent started from inside another must not think it is nested. */
  readonly sessionVariables: readonly string[];
  /** Which inherited secrets this agent may see: those that its row or the configuration names. */
  readonly secrets: readonly string[];
  /** The server's per-agent variables; those that would break the run are left out. */
  readonly custom: Env;
  /** The adapter's own. */
  readonly adapter: Env;
  /** The task's own, `DROVER_…`. */
  readonly task: Env;
  /** Put first on PATH. */
  readonly binDirectory: string;
}

/** A custom environment may not move the agent out of the place drover gave it (wire protocol 1.4). */
const PROTECTED = new Set(["HOME", "PATH", "USER", "SHELL", "TERM", "TMPDIR", "TMP", "TEMP"]);

const OWN_PREFIXES = ["DROVER_", "MULTICA_"];

/**
 * Set for programs that git starts, a hook for one: they bind git to that repository wherever it is called, so that an
 * agent's commits would land there and not in its own directory.
 */
const REPOSITORY = new Set([
  "GIT_ALTERNATE_OBJECT_DIRECTORIES",
  "GIT_COMMON_DIR",
  "GIT_DIR",
  "GIT_GRAFT_FILE",
  "GIT_IMPLICIT_WORK_TREE",
  "GIT_INDEX_FILE",
  "GIT_NAMESPACE",
  "GIT_OBJECT_DIRECTORY",
  "GIT_PREFIX",
  "GIT_SHALLOW_FILE",
  "GIT_WORK_TREE",
]);

/** The environment without what binds git to a certain repository. */
export function withoutRepository(env: Env): Env {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !REPOSITORY.has(name)));
}

export function agentEnv(input: AgentEnvInput): Env {
  const env: Record<string, string> = {};
  const inherited = withoutSecrets(withoutRepository(input.inherited), input.secrets);
  for (const [name, value] of Object.entries(inherited)) {
    if (!isOwn(name) && !matchesAny(name, input.sessionVariables)) env[name] = value;
  }
  for (const [name, value] of Object.entries(input.custom)) {
    if (!isOwn(name) && !PROTECTED.has(name) && isVariableName(name)) env[name] = value;
  }
  Object.assign(env, input.adapter, input.task);
  env.PATH = [input.binDirectory, ...(env.PATH ? [env.PATH] : ["/usr/local/bin:/usr/bin:/bin"])].join(":");
  return env;
}

function isOwn(name: string): boolean {
  return OWN_PREFIXES.some((prefix) => name.startsWith(prefix));
}

function matchesAny(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => matchesName(name, pattern));
}

function isVariableName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name);
}
