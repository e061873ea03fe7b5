/** The MCP servers of an agent: what a server's configuration says, for a CLI's protocol, its options or its own file. */
import type { McpServer } from "../core/model.ts";

export interface McpConfig {
  readonly servers: readonly McpServer[];
  /** As CLIs read it: entries as they came, those that nobody could use left out. */
  readonly entries: Readonly<Record<string, unknown>>;
  /** Names of those. */
  readonly unusable: readonly string[];
}

/**
 * `undefined` where there is none, which leaves a CLI its own configuration. One that names no server is one all the
 * same: no servers are wanted then.
 */
export function mcpConfigOf(value: unknown): McpConfig | undefined {
  const named = recordOf(recordOf(value)?.mcpServers);
  if (!named) return undefined;
  const read = Object.entries(named).map(([name, entry]) => ({ name, entry, server: serverOf(name, entry) }));
  return {
    servers: read.flatMap(({ server }) => server ?? []),
    entries: Object.fromEntries(read.filter(({ server }) => server).map(({ name, entry }) => [name, entry])),
    unusable: read.filter(({ server }) => !server).map(({ name }) => name),
  };
}

/** What a CLI is to read of a server that is only called. One of them also knows a command that makes its headers. */
const CALLED = ["type", "transport", "url", "httpUrl", "serverUrl", "headers", "timeout"] as const;

/** CLIs put a variable of their own surroundings there, e.g. `${TOKEN}`, `$TOKEN` or `{env:TOKEN}`. */
const VARIABLE = /\$|\{env:/;

export interface CalledServers<T> {
  readonly config: T | { mcpServers: Record<string, unknown> };
  /** Names of the servers that are not in it, as they are commands. */
  readonly commands: readonly string[];
  /** And as they would be sent variables of this machine. */
  readonly curious: readonly string[];
}

/** The configuration without what makes a CLI start anything, or send anything of this machine's. */
export function onlyCalled<T>(value: T): CalledServers<T> {
  const named = recordOf(recordOf(value)?.mcpServers);
  if (!named) return { config: value, commands: [], curious: [] };
  const plain = (entry: Record<string, unknown>) =>
    Object.fromEntries(CALLED.flatMap((key) => Object.hasOwn(entry, key) ? [[key, entry[key]]] : []));
  const read = Object.entries(named).map(([name, value]) => {
    const entry = recordOf(value) ?? {};
    const [command, curious] = [Object.hasOwn(entry, "command"), VARIABLE.test(JSON.stringify(plain(entry)))];
    return { name, entry: plain(entry), kind: command ? "command" : curious ? "curious" : "called" };
  });
  const of = (wanted: string) => read.filter(({ kind }) => kind === wanted);
  return {
    config: { mcpServers: Object.fromEntries(of("called").map(({ name, entry }) => [name, entry])) },
    commands: of("command").map(({ name }) => name),
    curious: of("curious").map(({ name }) => name),
  };
}

function serverOf(name: string, value: unknown): McpServer | undefined {
  const entry = recordOf(value);
  if (!entry) return undefined;
  if (typeof entry.command === "string" && entry.command !== "") {
    const args = Array.isArray(entry.args) ? entry.args.filter((arg) => typeof arg === "string") : [];
    return { name, kind: "stdio", command: entry.command, args, env: textsOf(entry.env) };
  }
  const url = entry.url ?? entry.httpUrl ?? entry.serverUrl;
  if (typeof url !== "string" || !URL.canParse(url)) return undefined;
  const sse = (entry.type ?? entry.transport) === "sse";
  return { name, kind: sse ? "sse" : "http", url, headers: textsOf(entry.headers) };
}

/** What a file of the CLI's is to say for this run. `undefined` when it cannot be read. */
export function withServers(original: string, entries: McpConfig["entries"]): string | undefined {
  const file = parsed(original);
  if (!file) return undefined;
  return json({ ...file, mcpServers: { ...recordOf(file.mcpServers), ...entries } });
}

/**
 * The file after a run in which somebody wrote to it: our entries are taken out, those of the user that had their names
 * are put back. `undefined` when it cannot be read, and then it is left as it is.
 */
export function withoutServers(now: string, entries: McpConfig["entries"], original: string): string | undefined {
  const file = parsed(now);
  if (!file) return undefined;
  const before = recordOf(parsed(original)?.mcpServers) ?? {};
  const servers: Record<string, unknown> = { ...recordOf(file.mcpServers) };
  for (const [name, entry] of Object.entries(entries)) {
    if (JSON.stringify(servers[name]) !== JSON.stringify(entry)) continue;
    delete servers[name];
    if (Object.hasOwn(before, name)) servers[name] = before[name];
  }
  const { mcpServers: _, ...rest } = file;
  return json(Object.keys(servers).length > 0 ? { ...rest, mcpServers: servers } : rest);
}

function json(value: unknown): string {
  return JSON.stringify(value, null, 2) + "\n";
}

function parsed(text: string): Record<string, unknown> | undefined {
  if (text.trim() === "") return {};
  try {
    return recordOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function recordOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Record<string, unknown>
    : undefined;
}

function textsOf(value: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries(recordOf(value) ?? {}).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}
