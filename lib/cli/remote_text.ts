/** What `status` shows of a team server: the login, each workspace, and settings that wait. */
import type { ConfigView } from "../app/config_watch.ts";
import type { RemoteView } from "../app/remote.ts";
import type { ServerView, WorkspaceView } from "../app/remote_link.ts";
import { oneLine, paint, plain } from "./output.ts";

/** Newer fields are absent in what a daemon of an older version says. */
export type SeenRemote = Pick<RemoteView, "enabled"> & Partial<RemoteView>;

export function remoteRows(remote: SeenRemote | undefined, since: (at: number) => string): string[][] {
  if (!remote) return [];
  const { enabled, variable, connection } = remote;
  const by = variable ? ` (by ${variable})` : "";
  if (!connection) {
    const none = enabled ? paint.yellow(", no server is configured: drover login --server URL") : "";
    return [["remote", `${enabled ? "enabled" : "disabled"}${by}${none}`]];
  }
  return [["remote", `enabled${by}, ${serverText(connection, since)}`], ...workspaceRows(connection.workspaces)];
}

function serverText({ server, user, login, how, lastContactAt }: ServerView, since: (at: number) => string): string {
  const person = user && (user.name || user.email);
  const contact = lastContactAt === null ? "no contact yet" : `last contact ${since(lastContactAt)} ago`;
  const trouble = login === "accepted" || login === "untried" ? "" : paint.yellow(`; ${how}`);
  return `${server}${person ? ` as ${oneLine(plain(person), 60)}` : ""}, ${contact}${trouble}`;
}

function workspaceRows(workspaces: readonly WorkspaceView[]): string[][] {
  if (workspaces.length > 0 && workspaces.every(({ policy }) => policy === null)) {
    const names = workspaces.map(nameOf).join(", ");
    return [["workspace", paint.yellow(`none is watched; available: ${names} (drover enable remote --workspace W)`)]];
  }
  return workspaces.map((one) => [
    "workspace",
    `${nameOf(one)}: ${one.policy === null ? "available, not watched" : `watched, ${one.policy}`}`,
  ]);
}

function nameOf({ name, id }: WorkspaceView): string {
  return oneLine(plain(name || `${id} (not known to the server)`), 60);
}

export function configRows(config: ConfigView | undefined): string[][] {
  if (!config) return [];
  const { problem, waiting } = config;
  return [
    ...(problem === null
      ? []
      : [["settings", paint.yellow(`those before are in use: ${oneLine(plain(problem), 200)}`)]]),
    ...(waiting.length === 0 ? [] : [["settings", `changed, taken by drover restart: ${waiting.join(", ")}`]]),
  ];
}
