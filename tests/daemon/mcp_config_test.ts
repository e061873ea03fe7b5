/** MCP servers: what is read of a configuration, and how a CLI's own file gets and loses them. */
import { assertEquals } from "@std/assert";
import { mcpConfigOf, onlyCalled, withoutServers, withServers } from "../../lib/daemon/mcp_config.ts";

const CONFIG = {
  mcpServers: {
    files: { command: "mcp-files", args: ["--root", "."], env: { TOKEN: "t", odd: 7 } },
    web: { url: "https://example.test/mcp", headers: { Authorization: "Bearer x" }, timeout: 5 },
    events: { type: "sse", url: "https://example.test/sse" },
    broken: { args: ["x"] },
    nonsense: 7,
  },
};

Deno.test("mcpConfigOf() reads servers that are started and servers that are called, and names what it cannot use", () => {
  const { servers, entries, unusable } = mcpConfigOf(CONFIG)!;
  assertEquals(servers, [
    { name: "files", kind: "stdio", command: "mcp-files", args: ["--root", "."], env: { TOKEN: "t" } },
    { name: "web", kind: "http", url: "https://example.test/mcp", headers: { Authorization: "Bearer x" } },
    { name: "events", kind: "sse", url: "https://example.test/sse", headers: {} },
  ]);
  assertEquals(Object.keys(entries), ["files", "web", "events"]);
  assertEquals(entries.web, CONFIG.mcpServers.web);
  assertEquals(unusable, ["broken", "nonsense"]);
});

Deno.test("mcpConfigOf() tells no configuration from one that wants no servers", () => {
  for (const value of [undefined, null, {}, [], "x", { mcpServers: [] }]) assertEquals(mcpConfigOf(value), undefined);
  assertEquals(mcpConfigOf({ mcpServers: {} }), { servers: [], entries: {}, unusable: [] });
});

Deno.test("withServers() keeps what else is in the file, and withoutServers() takes only ours out again", () => {
  const entries = { a: { command: "ours" }, b: { command: "b" } };
  const original = JSON.stringify({ theme: "dark", mcpServers: { a: { command: "theirs" }, c: { command: "c" } } });
  const placed = withServers(original, entries)!;
  assertEquals(JSON.parse(placed).mcpServers, { a: { command: "ours" }, b: { command: "b" }, c: { command: "c" } });
  const edited = JSON.stringify({ ...JSON.parse(placed), theme: "light" });
  assertEquals(JSON.parse(withoutServers(edited, entries, original)!), {
    theme: "light",
    mcpServers: { a: { command: "theirs" }, c: { command: "c" } },
  });
  assertEquals(JSON.parse(withoutServers(withServers("", entries)!, entries, "")!), {});
  assertEquals([withServers("// no", entries), withoutServers("[]", entries, "")], [undefined, undefined]);
});

Deno.test("onlyCalled() keeps servers that are called and are sent nothing of this machine's", () => {
  const asks = {
    url: { url: "https://example.test/${ANTHROPIC_API_KEY}" },
    header: { url: "https://example.test", headers: { "x-key": "$OPENAI_API_KEY" } },
    braced: { url: "https://example.test", headers: { "x-key": "{env:OPENAI_API_KEY}" } },
  };
  const { config, commands, curious } = onlyCalled({ mcpServers: { ...CONFIG.mcpServers, ...asks } });
  assertEquals([commands, curious], [["files"], ["url", "header", "braced"]]);
  const { web, events } = CONFIG.mcpServers;
  assertEquals(config.mcpServers, { web, events, broken: {}, nonsense: {} } as unknown as typeof config.mcpServers);
  assertEquals(onlyCalled(undefined), { config: undefined, commands: [], curious: [] });
});
