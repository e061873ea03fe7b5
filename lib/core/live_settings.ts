/** What a running daemon does about changed settings: which it takes at once, and which wait for its next start. */
import { rowOf, SETTING_NAMES, type Settings } from "./config.ts";

/** Read anew each time they are needed. A name that is missing here waits for the next start, which is always right. */
const LIVE: ReadonlySet<string> = new Set<keyof Settings>([
  "maxConcurrentTasks",
  "timeLimitMs",
  "silenceLimitMs",
  "toolLimitMs",
  "agentLimits",
  "askTimeoutMs",
  "tasksPerDay",
  "tokensPerDay",
  "usdPerDay",
  "claimOnBattery",
  "serverUrl",
  "watchedWorkspaces",
  "watchAll",
  "workspacePolicy",
  // The updater reads them each time that it looks.
  "updateAuto",
  "updateUrl",
  "updateIntervalMs",
]);

function isLive(name: keyof Settings): boolean {
  return LIVE.has(name);
}

/** `settings` is what to work with, `waiting` the keys that the next start takes. */
export function liveSettings(
  started: Settings,
  latest: Settings,
): { readonly settings: Settings; readonly waiting: readonly string[] } {
  const live = Object.fromEntries(SETTING_NAMES.filter(isLive).map((name) => [name, latest[name]]));
  const waiting = SETTING_NAMES.filter((name) => !same(started[name], latest[name]) && !takesAll(name));
  return { settings: { ...started, ...live }, waiting: waiting.map((name) => rowOf(name).key) };
}

export function liveLimitsOf(settings: Settings) {
  const { maxConcurrentTasks: slots, timeLimitMs, silenceLimitMs, toolLimitMs, agentLimits, askTimeoutMs } = settings;
  return { slots, timeLimitMs, silenceLimitMs, toolLimitMs, agentLimits, askTimeoutMs };
}

/** All of it is taken at once. From another server nothing is taken any more; it is connected to by the next start. */
export function takesAll(name: keyof Settings): boolean {
  return isLive(name) && name !== "serverUrl";
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
