/** Which settings a running daemon takes at once, and which it names as waiting. */
import { assertEquals } from "@std/assert";
import { mergeSettings, type Settings } from "../../lib/core/config.ts";
import { liveLimitsOf, liveSettings } from "../../lib/core/live_settings.ts";

const STARTED = mergeSettings({ flags: {}, env: {}, file: {} });

function after(change: Partial<Settings>) {
  return liveSettings(STARTED, { ...STARTED, ...change });
}

Deno.test("liveSettings() takes limits and consent at once", () => {
  const { settings, waiting } = after({
    maxConcurrentTasks: 9,
    agentLimits: { claude: 1 },
    watchedWorkspaces: { w: "ask" },
  });
  assertEquals([settings.maxConcurrentTasks, settings.watchedWorkspaces, waiting], [9, { w: "ask" }, []]);
  assertEquals(liveLimitsOf(settings), {
    slots: 9,
    timeLimitMs: STARTED.timeLimitMs,
    silenceLimitMs: STARTED.silenceLimitMs,
    toolLimitMs: STARTED.toolLimitMs,
    agentLimits: { claude: 1 },
    askTimeoutMs: STARTED.askTimeoutMs,
  });
});

Deno.test("liveSettings() leaves the rest as it was, and names it", () => {
  const { settings, waiting } = after({ healthPort: 4711, remoteEnabled: true, logLevel: "debug" });
  assertEquals(settings, STARTED);
  assertEquals([...waiting].sort(), ["health.port", "log.level", "remote.enabled"]);
});

Deno.test("liveSettings() knows of another server at once, and connects to it with the next start", () => {
  const { settings, waiting } = after({ serverUrl: "https://other.example" });
  assertEquals([settings.serverUrl, waiting], ["https://other.example", ["server.url"]]);
});
