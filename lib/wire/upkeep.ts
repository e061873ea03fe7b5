/** The calls beside the tasks: which repositories a workspace has, what became of a directory's task, and the tokens of a day. */
import * as z from "zod/mini";
import type { WireClient } from "./client.ts";
import { listOf, RepoPayload } from "./payloads.ts";
import type { CallFailure, CallResult } from "./retry.ts";

// Lazy throughout, as in payloads.ts.

const WorkspaceRepos = z.lazy(() => z.object({ repos: z.catch(z.nullish(z.array(RepoPayload)), null) }));

type Waiting = { readonly signal?: AbortSignal };

/** Wire protocol 1.18. */
export function workspaceRepos(
  client: Pick<WireClient, "call">,
  workspace: string,
  options: Waiting = {},
): Promise<CallResult<readonly RepoPayload[]>> {
  return client.call({
    method: "GET",
    path: `/api/daemon/workspaces/${encodeURIComponent(workspace)}/repos`,
    decode: (value) => WorkspaceRepos.parse(value).repos ?? [],
  }, options);
}

/** What a work directory was made for. */
export type GcSubject = "issue" | "chat" | "autopilot" | "task";

const GC_PATH: Readonly<Record<GcSubject, string>> = {
  issue: "issues",
  chat: "chat-sessions",
  autopilot: "autopilot-runs",
  task: "tasks",
};

const GcAnswer = z.lazy(() =>
  z.object({
    status: z.string(),
    updated_at: z.catch(z.nullish(z.string()), null),
    completed_at: z.catch(z.nullish(z.string()), null),
  })
);
export type GcAnswer = z.infer<typeof GcAnswer>;

/** Wire protocol 1.28 to 1.31. */
export function gcCheck(
  client: Pick<WireClient, "call">,
  { kind, id }: { kind: GcSubject; id: string },
  options: Waiting = {},
): Promise<CallResult<GcAnswer>> {
  return client.call({
    method: "GET",
    path: `/api/daemon/${GC_PATH[kind]}/${encodeURIComponent(id)}/gc-check`,
    decode: (value) => GcAnswer.parse(value),
  }, options);
}

/**
 * Whether the server says that it knows no such thing (any more). A route that is missing, a workspace that is closed to
 * us and a page of something in between are also answered with 404, and say nothing of it.
 */
export function saysDeleted({ code, status, gone, detail }: CallFailure): boolean {
  if (code !== "status" || status !== 404) return false;
  return gone === "task" ||
    (gone === undefined && /(issue|chat session|session|autopilot run|run) not found/i.test(detail));
}

/** The tokens of one day, provider and model on this machine: totals, which replace what was reported before. */
export const DailyUsage = z.lazy(() =>
  z.object({
    date: z.string().check(z.regex(/^\d{4}-\d\d-\d\d$/)),
    provider: z.string(),
    model: z.string(),
    input_tokens: z.int().check(z.nonnegative()),
    output_tokens: z.int().check(z.nonnegative()),
    cache_read_tokens: z.int().check(z.nonnegative()),
    cache_write_tokens: z.int().check(z.nonnegative()),
  })
);
export type DailyUsage = z.infer<typeof DailyUsage>;
export const DailyUsageRequest = z.lazy(() => z.object({ entries: listOf(DailyUsage, { max: 5_000 }) }));

/** Of the protocol before April 16, 2026; a 404 is a server without it. */
export function reportDailyUsage(
  client: Pick<WireClient, "call">,
  runtime: string,
  { entries, signal }: Waiting & { entries: readonly DailyUsage[] },
): Promise<CallResult<unknown>> {
  const path = `/api/daemon/runtimes/${encodeURIComponent(runtime)}/usage`;
  return client.call({ method: "POST", path, body: { entries } }, signal ? { signal } : {});
}
