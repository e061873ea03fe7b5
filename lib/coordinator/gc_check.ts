/** What daemons ask before they remove a work directory: is its task over, is its thread still known (wire protocol 1.27 to 1.31). */
import type { Hono } from "hono";
import * as z from "zod/mini";
import type { Deps } from "./deps.ts";
import { readBody } from "./request_body.ts";
import { canonicalUuid } from "./uuid.ts";

const MAX_IDS = 500;
const Batch = z.lazy(() => z.object({ issue_ids: z.array(z.string()).check(z.maxLength(MAX_IDS)) }));

const TASK = "SELECT status, completed_at FROM tasks WHERE id = :id";
const THREAD = `
SELECT t.created_at AS created_at, max(coalesce(k.completed_at, k.created_at)) AS used_at
FROM threads t LEFT JOIN tasks k ON k.thread_id = t.id WHERE t.id = :id GROUP BY t.id, t.created_at`;

/** A thread can be gone on with for as long as it is remembered: until then it is open, whatever its tasks are. */
const OPEN = "in_progress";

export function addGcRoutes(app: Hono, deps: Deps): void {
  app.post("/api/daemon/workspaces/:wid/issues/gc-check", async (c) => {
    if (canonicalUuid(c.req.param("wid")) !== deps.workspaceId) return c.json({ error: "workspace not found" }, 404);
    const { issue_ids } = await readBody(c.req.raw, Batch);
    const issues = await Promise.all(issue_ids.map(async (id) => {
      const issue = await issueOf(deps, id);
      return issue ? { id, found: true, ...issue } : { id, found: false };
    }));
    return c.json({ issues });
  });
  app.get("/api/daemon/issues/:iid/gc-check", async (c) => {
    const issue = await issueOf(deps, c.req.param("iid"));
    return issue ? c.json(issue) : c.json({ error: "issue not found" }, 404);
  });
  app.get("/api/daemon/tasks/:tid/gc-check", async (c) => {
    const id = canonicalUuid(c.req.param("tid"));
    const task = id && await deps.store.get<{ status: string; completed_at: number | null }>(TASK, { id });
    if (!task) return c.json({ error: "task not found" }, 404);
    return c.json({ status: task.status, completed_at: timeOf(task.completed_at) });
  });
}

async function issueOf(deps: Deps, text: string): Promise<{ status: string; updated_at: string | null } | undefined> {
  const id = canonicalUuid(text);
  const thread = id && await deps.store.get<{ created_at: number; used_at: number | null }>(THREAD, { id });
  return thread ? { status: OPEN, updated_at: timeOf(thread.used_at ?? thread.created_at) } : undefined;
}

function timeOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
