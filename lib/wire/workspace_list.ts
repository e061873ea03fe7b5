/** The workspaces of a server: the new route with its ETag, and the old one where the new is missing (wire protocol 1.3). */
import type { Spec } from "./client.ts";
import { WorkspaceList } from "./payloads.ts";
import type { CallResult } from "./retry.ts";

const DEADLINE_MS = 15_000;

type Waiting = { signal?: AbortSignal };
type Call = <T>(spec: Spec<T>, options?: Waiting) => Promise<CallResult<T>>;

export interface WorkspaceLister {
  list(options?: Waiting): Promise<CallResult<WorkspaceList>>;
  /** Only the old route is there: a server of April 2026, for the rest of this process. */
  readonly old: boolean;
}

export function createWorkspaceLister(call: Call): WorkspaceLister {
  let old = false;
  let known: { readonly etag: string; readonly list: WorkspaceList } | undefined;
  const decode = (value: unknown) => WorkspaceList.parse(value);
  const oldRoute = (waiting?: Waiting) =>
    call({ method: "GET", path: "/api/workspaces", deadlineMs: DEADLINE_MS, decode }, waiting);
  const newRoute = async (waiting?: Waiting): Promise<CallResult<WorkspaceList>> => {
    let etag = "";
    const answer = await call({
      method: "GET",
      path: "/api/daemon/workspaces",
      deadlineMs: DEADLINE_MS,
      decode,
      onHeaders: (headers) => etag = headers.get("etag") ?? "",
      ...(known ? { headers: { "if-none-match": known.etag } } : {}),
    }, waiting);
    if (answer.kind === "ok") known = etag === "" ? undefined : { etag, list: answer.value };
    return answer.kind === "failed" && answer.status === 304 && known ? { kind: "ok", value: known.list } : answer;
  };
  return {
    get old() {
      return old;
    },
    async list(waiting) {
      if (!old) {
        const answer = await newRoute(waiting);
        if (answer.kind === "ok" || answer.status !== 404) return answer;
        // Not believed unless the other one is there: a proxy in trouble says the same of both.
        const fallback = await oldRoute(waiting);
        old = fallback.kind === "ok";
        return old ? fallback : answer;
      }
      const answer = await oldRoute(waiting);
      // A server that was replaced by a new one.
      if (answer.kind === "failed" && answer.status === 404) old = false;
      return answer;
    },
  };
}
