/** The settings about a team server: where it is, and what its workspaces may do with this machine. */
import { type Permission, PERMISSIONS } from "./model.ts";
import { onOrOff, type Row } from "./setting_values.ts";

export interface RemoteSettings {
  /** Whether the daemon takes work from the configured server, beside the tasks of this machine. */
  readonly remoteEnabled: boolean;
  /** Without a slash at its end; empty where there is none. */
  readonly serverUrl: string;
  /** The workspaces whose tasks are taken, by id, and the most that these may do. */
  readonly watchedWorkspaces: Readonly<Record<string, Permission>>;
  /** Every workspace of the server is watched, also one that comes later. */
  readonly watchAll: boolean;
  /** For workspaces that are watched without a word of their own. */
  readonly workspacePolicy: Permission;
  /** Whether the demo agent takes the server's tasks, too: there is no model behind what it answers. */
  readonly remoteDemo: boolean;
}

type Table = { readonly [K in keyof RemoteSettings]: Row<RemoteSettings[K]> };

export const REMOTE_SETTINGS: Table = {
  remoteEnabled: onOrOff("remote.enabled", "DROVER_REMOTE_ENABLED", false),
  serverUrl: {
    key: "server.url",
    variable: "DROVER_SERVER_URL",
    fallback: "",
    parse: (value) => value === "" ? "" : typeof value === "string" ? serverUrlOf(value) : undefined,
    write: (value) => value,
    range: "an address such as https://multica.example.com, without a user name",
  },
  watchedWorkspaces: {
    key: "workspaces.watched",
    variable: "DROVER_WORKSPACES",
    fallback: {},
    parse: parseWatched,
    write: formatWatched,
    range: `a list such as ID=ask,ID=full with ids of workspaces and one of ${PERMISSIONS.join(", ")} each`,
  },
  watchAll: onOrOff("workspaces.auto", "DROVER_WORKSPACES_AUTO", false),
  workspacePolicy: {
    key: "workspaces.policy",
    variable: "DROVER_WORKSPACES_POLICY",
    fallback: "ask",
    parse: permissionOf,
    write: (value) => value,
    range: PERMISSIONS.join(", "),
    choices: PERMISSIONS,
  },
  remoteDemo: onOrOff("remote.demo", "DROVER_REMOTE_DEMO", false),
};

/** The base URL of a server, however people and other programs write it; `undefined` for what is no address. */
export function serverUrlOf(text: string): string | undefined {
  const url = URL.parse(text.trim().replace(/^ws(s?):/i, "http$1:"));
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "") return undefined;
  const path = url.pathname.replace(/\/+$/, "");
  return url.origin + (path === "/ws" ? "" : path);
}

export function permissionOf(value: unknown): Permission | undefined {
  return PERMISSIONS.find((one) => one === value);
}

/** `ID=ask,ID=full`, or the same as an object. */
function parseWatched(value: unknown): Readonly<Record<string, Permission>> | undefined {
  const entries: readonly (readonly [string, unknown])[] | undefined = typeof value === "string"
    ? value.split(",").map((part) => part.trim()).filter(Boolean).map(pairOf)
    : value !== null && typeof value === "object" && !Array.isArray(value)
    ? Object.entries(value)
    : undefined;
  const good = entries?.every(([id, policy]) => /^[\w-]+$/.test(id) && permissionOf(policy));
  // Servers take ids in any spelling and answer in small letters.
  return good
    ? Object.fromEntries(entries!.map(([id, policy]) => [id.toLowerCase(), permissionOf(policy)!]))
    : undefined;
}

function pairOf(part: string): readonly [string, string] {
  const [id = "", policy = ""] = part.split("=").map((word) => word.trim());
  return [id, policy];
}

export function formatWatched(watched: Readonly<Record<string, Permission>>): string {
  return Object.entries(watched).map(([id, policy]) => `${id}=${policy}`).join(",");
}

/** The owner's word on one workspace; `undefined` where it is only available. */
export function watchedIn(
  settings: Pick<RemoteSettings, "remoteEnabled" | "watchedWorkspaces" | "watchAll" | "workspacePolicy">,
  workspaceId: string,
): { readonly policy: Permission } | undefined {
  if (!settings.remoteEnabled) return undefined;
  const { watchedWorkspaces: watched, watchAll, workspacePolicy: policy } = settings;
  const id = workspaceId.toLowerCase();
  if (Object.hasOwn(watched, id)) return { policy: watched[id]! };
  return watchAll ? { policy } : undefined;
}
