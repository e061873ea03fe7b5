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

/** The configuration without what makes a CLI start anything; `left`: the names of the servers that are not in it. */
export function withoutCommands<T>(value: T): { config: T | { mcpServers: Record<string, unknown> }; left: string[] } {
  const named = recordOf(recordOf(value)?.mcpServers);
  if (!named) return { config: value, left: [] };
  const read = Object.entries(named).map(([name, entry]) => ({ name, entry: recordOf(entry) ?? {} }));
  const called = read.filter(({ entry }) => !Object.hasOwn(entry, "command"));
  const plain = (entry: Record<string, unknown>) =>
    Object.fromEntries(CALLED.flatMap((key) => Object.hasOwn(entry, key) ? [[key, entry[key]]] : []));
  return {
    config: { mcpServers: Object.fromEntries(called.map(({ name, entry }) => [name, plain(entry)])) },
    left: read.filter((one) => !called.includes(one)).map(({ name }) => name),
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
