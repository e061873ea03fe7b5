/** `--server [URL]`: asking a team server instead of this machine's daemon; what verbs that take it have in common. */
import type { ServerSession, ServerWish } from "../app/server_api.ts";
import type { UserApi } from "../app/control_client.ts";
import { connectControl } from "../app/reach.ts";
import { DroverError } from "../core/drover_error.ts";
import type { CommandContext, OptionSpec, Parsed } from "./command.ts";
import type { FollowOptions } from "./follow.ts";

export const SERVER_OPTIONS: readonly OptionSpec[] = [
  { name: "server", value: "[URL]", summary: "ask the team server: this one, or the one of drover login" },
  { name: "workspace", value: "W", summary: "with --server: which workspace, by name or id (default: the only one)" },
];

export const SERVER_DETAILS = `
With --server it is about the tasks of a team server (see drover serve), with the token of drover login.`;

/** `undefined` without `--server`. Throws `usage`. */
export function serverWish({ values, switches }: Parsed): ServerWish | undefined {
  const { server: url, workspace } = values;
  if (url !== undefined || switches.has("server")) return { url, workspace };
  if (workspace === undefined) return undefined;
  throw new DroverError("usage", "Cannot use --workspace without --server: this machine has one workspace only");
}

/** Loaded late: without `--server` none of it is needed. */
export async function openServer({ host, home }: CommandContext, wish: ServerWish): Promise<ServerSession> {
  const { openServerSession } = await import("../app/server_api.ts");
  return await openServerSession(host, home(), wish);
}

/** How a stream that broke is taken up again: at the same server, or at whoever holds the home by then. */
export async function resuming(
  { host, home, output }: CommandContext,
  api: UserApi,
): Promise<Pick<FollowOptions, "reconnect" | "patience"> & { reconnect: () => Promise<UserApi | undefined> }> {
  if (!isServerSession(api)) return { reconnect: () => connectControl(host, home()) };
  const { SERVER_PATIENCE } = await import("../app/server_api.ts");
  let told = false;
  return {
    patience: SERVER_PATIENCE,
    async reconnect() {
      const back = await api.comeBack();
      if (!back && !told) output.note(`drover: ${api.server} does not answer, waiting for it; the task goes on`);
      told = !back;
      return back;
    },
  };
}

export function isServerSession(api: UserApi): api is ServerSession {
  return "comeBack" in api;
}
