/** What a listener serves that others can reach: the daemon protocol, the user API by token, and a sign of life for anybody. */
import type { Fetch } from "../core/ports.ts";
import { type Caller, OWNER_SCOPES } from "./caller.ts";
import type { Deps, Shared } from "./deps.ts";
import { type Authenticate, bearerOf } from "./handler.ts";
import { createUserApi } from "./user_api.ts";
import { UserRefusal } from "./user_refusal.ts";
import { chooseWorkspace, WORKSPACE_HEADER } from "./workspace_choice.ts";
import { listWorkspaces } from "./workspaces.ts";

/** Says of which process a task is; nobody elsewhere may claim to be one. */
const INSTANCE_HEADER = "x-drover-instance";

export interface PublicApiOptions {
  readonly authenticate: Authenticate;
  /** Of everything under `/api/`; it has its own way to ask for a token. */
  readonly handler: (request: Request) => Response | Promise<Response>;
}

export function createPublicApi(shared: Shared, { authenticate, handler }: PublicApiOptions): Fetch {
  const callerOf = async (request: Request) => {
    const caller = await authenticate(bearerOf(request.headers.get("authorization") ?? undefined));
    return caller && OWNER_SCOPES.has(caller.scope) ? caller : undefined;
  };
  const userApi = createUserApi(
    shared,
    async (request) => await enter(shared, await callerOf(request), request),
    { mayStay: async (request, workspaceId) => (await callerOf(request))?.workspaces.has(workspaceId) ?? false },
  );
  return async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/health" && (request.method === "GET" || request.method === "HEAD")) return alive();
    if (pathname.startsWith("/v1/")) return await userApi.fetch(fromOutside(request));
    return await handler(request);
  };
}

function alive(): Response {
  return Response.json({ status: "ok" }, { headers: { "cache-control": "no-store" } });
}

/**
 * Without the server's own request in it: its signal aborts after every answer, and a client that goes away shows by the
 * answer's stream being cancelled.
 */
function fromOutside(request: Request): Request {
  const headers = new Headers(request.headers);
  headers.delete(INSTANCE_HEADER);
  return new Request(request.url, { method: request.method, headers, body: request.body });
}

/** Throws `UserRefusal`. */
async function enter(shared: Shared, caller: Caller | undefined, request: Request): Promise<Deps> {
  if (!caller) {
    throw new UserRefusal(
      "login_refused",
      "The server does not accept the token, or there is none",
      "Show a user's token as Authorization: Bearer mul_…; log in anew with: drover login --server URL",
    );
  }
  const open = await listWorkspaces(shared, caller.workspaces);
  return { ...shared, workspaceId: chooseWorkspace(open, request.headers.get(WORKSPACE_HEADER)).id };
}
