/** The team server, as `drover doctor` sees it without asking it: the login, and what its workspaces may do here. */
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { Host } from "../core/ports.ts";
import { type Credentials, isExpired, readCredentials } from "./credentials.ts";
import { count, type Finding, ok, warning } from "./doctor_check.ts";
import { isPrivate } from "./login.ts";
import { readSettings } from "./settings.ts";

export async function checkServer(host: Host, home: Home): Promise<Finding | Finding[]> {
  const settings = await readSettings(host, home).catch((error) => {
    if (error instanceof DroverError) return undefined;
    throw error;
  });
  if (!settings) return ok("not looked at, as the settings cannot be used");
  const { serverUrl, remoteEnabled, watchAll, watchedWorkspaces } = settings;
  if (serverUrl === "") {
    return remoteEnabled
      ? warning("remote is enabled and no server is configured", "drover login --server URL")
      : ok("none is configured");
  }
  // Only looked at: what is wrong with its mode is for another check.
  const files = { ...host.files, chmod: () => Promise.resolve() };
  const login = loginOf(await readCredentials({ files }, home), serverUrl, host.clock.now());
  const watched = Object.keys(watchedWorkspaces).length;
  const found = [
    ...(login === undefined ? [] : [warning(`${login} ${serverUrl}`, "drover login")]),
    ...(isPrivate(serverUrl) ? [] : [warning(`the token travels to ${serverUrl} unencrypted`, "use https://")]),
    ...(remoteEnabled && !watchAll && watched === 0
      ? [warning("remote is enabled and no workspace is watched", "drover enable remote --workspace W --policy ask")]
      : []),
  ];
  if (found.length > 0) return found;
  const what = watchAll ? "all workspaces" : count(watched, "workspace");
  return ok(`logged in at ${serverUrl}; ${remoteEnabled ? `${what} watched` : "remote is disabled"}`);
}

/** What is wrong with it; nothing when it may well be fine. */
function loginOf(credentials: Credentials | undefined, server: string, now: number): string | undefined {
  if (!credentials) return "not logged in at";
  if (credentials.server !== server) return `logged in at ${credentials.server}, and not at`;
  return isExpired(credentials, now) ? "the token has expired of" : undefined;
}
