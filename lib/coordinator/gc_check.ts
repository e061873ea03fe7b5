/** What daemons ask before they remove a work directory: is its task over, is its thread still known (wire protocol 1.27 to 1.31). */
import * as z from "zod/mini";
import { listOf } from "../wire/payloads.ts";
import type { Routes } from "./access.ts";
import type { Deps } from "./deps.ts";
import { Refusal } from "./refusal.ts";
import { readBody } from "./request_body.ts";
import { canonicalUuid } from "./uuid.ts";

const MAX_IDS = 500;
const MAX_BYTES = 64 * 1024;
const Batch = z.lazy(() => z.object({ issue_ids: listOf(z.string(), { max: MAX_IDS }) }));

const TASK = "SELECT status, completed_at FROM tasks WHERE id = :id";
const THREAD = `
SELECT t.status AS status, t.updated_at AS updated_at, max(coalesce(k.completed_at, k.created_at)) AS used_at
FROM threads t LEFT JOIN tasks k ON k.thread_id = t.id
WHERE t.id = :id AND t.workspace_id = :workspace GROUP BY t.id, t.status, t.updated_at`;

export function addGcRoutes(routes: Routes): void {
  routes.inWorkspace("POST", "/api/daemon/workspaces/:wid/issues/gc-check", async (c, { deps }) => {
    const { issue_ids } = await readBody(c.req.raw, Batch, { limit: MAX_BYTES });
    const issues = await Promise.all(issue_ids.map(async (id) => {
      const issue = await issueOf(deps, id);
      return issue ? { id, found: true, ...issue } : { id, found: false };
    }));
    return c.json({ issues });
  });
  routes.inIssue("GET", "/api/daemon/issues/:iid/gc-check", async (c, { deps, issue }) => {
    const found = await issueOf(deps, issue);
    if (!found) throw new Refusal(404, "issue not found");
    return c.json(found);
  });
  routes.inTask("GET", "/api/daemon/tasks/:tid/gc-check", async (c, { deps, task }) => {
    const row = await deps.store.get<{ status: string; completed_at: number | null }>(TASK, { id: task.id });
    return c.json({ status: row?.status ?? task.status, completed_at: timeOf(row?.completed_at ?? null) });
  });
}

async function issueOf(deps: Deps, text: string): Promise<{ status: string; updated_at: string | null } | undefined> {
  const id = canonicalUuid(text);
  const thread = id &&
    await deps.store.get<{ status: string; updated_at: number; used_at: number | null }>(THREAD, {
      id,
      workspace: deps.workspaceId,
    });
  return thread
    ? { status: thread.status, updated_at: timeOf(Math.max(thread.updated_at, thread.used_at ?? 0)) }
    : undefined;
}

function timeOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
