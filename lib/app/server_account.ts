/** What commands ask of a team server beside the daemon: whether it takes a token, whose that is, and which workspaces it opens. */
import { BUILD } from "../core/build_info.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Host } from "../core/ports.ts";
import { accountUser, accountWorkspaces, type WireUser } from "../wire/account.ts";
import { createClient } from "../wire/client.ts";
import type { CallFailure } from "../wire/retry.ts";

export interface ServerAccount {
  /** Null where the server does not say. */
  readonly user: WireUser | null;
  readonly workspaces: readonly { readonly id: string; readonly name: string }[];
}

/** Throws `login_refused` and `server_unreachable`, which say what helps. */
export async function askAccount(
  host: Host,
  { server, token, signal }: { server: string; token: string; signal?: AbortSignal },
): Promise<ServerAccount> {
  using outward = host.network.outward(host.system.env);
  const client = createClient({
    name: server,
    baseUrl: server,
    token: () => token,
    fetch: outward.fetch,
    clock: host.clock,
    version: BUILD.version,
    os: host.system.os,
    capabilities: [],
  });
  const waiting = signal ? { signal } : {};
  const [workspaces, user] = await Promise.all([accountWorkspaces(client, waiting), accountUser(client, waiting)]);
  if (workspaces.kind !== "ok") throw refusal(server, workspaces);
  const known = user.kind === "ok" && (user.value.id !== "" || user.value.email !== "") ? user.value : null;
  return { user: known, workspaces: workspaces.value };
}

function refusal(server: string, failure: CallFailure): DroverError {
  const { code, status, detail } = failure;
  if (code === "status" && status === 401) {
    return new DroverError("login_refused", `Cannot log in at ${server}: it does not accept the token (${detail})`, {
      hint: "make a new personal access token there, then: drover login",
    });
  }
  if (code === "status" && status === 403) {
    return new DroverError("login_refused", `Cannot log in at ${server}: it does not let this user in (${detail})`, {
      hint: "ask whoever runs the server",
    });
  }
  if (code === "transport" || (code === "status" && (status >= 500 || status === 408 || status === 429))) {
    return new DroverError("server_unreachable", `Cannot reach the server ${server}: ${detail}`, {
      hint: "check the address, the network, and HTTPS_PROXY and SSL_CERT_FILE where those are needed; then try again",
    });
  }
  return new DroverError(
    "server_unreachable",
    `Cannot log in at ${server}: what answers there is no such server (${detail})`,
    {
      hint: "check the address; it is that of the API, without a path in most cases",
    },
  );
}
