/** The calls about the credential itself: whose it is, which workspaces it opens, and how it is renewed. */
import * as z from "zod/mini";
import type { WireClient } from "./client.ts";
import { WorkspaceList } from "./payloads.ts";
import type { CallResult } from "./retry.ts";

// Lazy throughout, as in payloads.ts.

type Waiting = { readonly signal?: AbortSignal };
type Calls = Pick<WireClient, "call">;

const QUICK_MS = 15_000;

const text = z.catch(z.string(), "");
const User = z.lazy(() => z.object({ id: text, name: text, email: text }));
export type WireUser = z.infer<typeof User>;

/** Whose token it is. A token of a daemon belongs to nobody, and a server may lack the route: any failure says only that. */
export function accountUser(client: Calls, options: Waiting = {}): Promise<CallResult<WireUser>> {
  return client.call({
    method: "GET",
    path: "/api/me",
    deadlineMs: QUICK_MS,
    decode: (value) => User.parse(value),
  }, options);
}

/** By the new route, or else by the old one (wire protocol 1.3). */
export async function accountWorkspaces(client: Calls, options: Waiting = {}): Promise<CallResult<WorkspaceList>> {
  const decode = (value: unknown) => WorkspaceList.parse(value);
  const get = (path: string) => client.call({ method: "GET", path, deadlineMs: QUICK_MS, decode }, options);
  const answer = await get("/api/daemon/workspaces");
  return answer.kind === "failed" && answer.status === 404 ? await get("/api/workspaces") : answer;
}

const Renewal = z.lazy(() => z.object({ expires_at: text, renewed: z.catch(z.boolean(), false) }));
export type Renewal = z.infer<typeof Renewal>;

/** Wire protocol 1.21; a 404 is a server without it, a 400 a credential that cannot be renewed. */
export function renewToken(client: Calls, options: Waiting = {}): Promise<CallResult<Renewal>> {
  return client.call({
    method: "POST",
    path: "/api/tokens/current/renew",
    body: {},
    deadlineMs: QUICK_MS,
    decode: (value) => Renewal.parse(value),
  }, options);
}
