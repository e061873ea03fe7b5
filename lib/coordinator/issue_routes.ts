/** The routes of issues, their comments and their tasks: for people, and for an agent with the issue of its own task. */
import { ChangeIssue, CreateComment, CreateIssue, ISSUE_STATUSES } from "../wire/issue_calls.ts";
import type { ApiContext, Routes } from "./access.ts";
import { findComment, listComments, wireComment } from "./comments.ts";
import { cancelIssueTasks, commentOn } from "./issue_tasks.ts";
import { assigns, authorOf, changeIssue, createIssue, issueOf, listIssues, wireIssue } from "./issues.ts";
import { type TaskRecord, wireTask } from "./records.ts";
import { Refusal } from "./refusal.ts";
import { readBody } from "./request_body.ts";

const LIST = { usual: 100, most: 500 } as const;
const COMMENTS = { usual: 200, most: 1_000 } as const;

const TASKS = "SELECT * FROM tasks WHERE thread_id = :issue ORDER BY created_at DESC, rowid DESC LIMIT 200";

export function addIssueRoutes(routes: Routes): void {
  routes.inChosenWorkspace("GET", "/api/issues", async (c, { deps }) => {
    const status = c.req.query("status") ?? null;
    if (status !== null && !(ISSUE_STATUSES as readonly string[]).includes(status)) {
      throw new Refusal(400, `invalid status; use ${ISSUE_STATUSES.join(", ")}`);
    }
    const issues = await listIssues(deps, { status, limit: limitOf(c, LIST) });
    return c.json({ issues: issues.map(wireIssue) });
  });
  routes.inChosenWorkspace("POST", "/api/issues", async (c, { deps }) => {
    return c.json(wireIssue(await createIssue(deps, await readBody(c.req.raw, CreateIssue))), 201);
  });
  routes.inIssue(
    "GET",
    "/api/issues/:iid",
    async (c, { deps, issue }) => c.json(wireIssue(await issueOf(deps, issue))),
  );
  for (const method of ["PUT", "PATCH"] as const) {
    routes.inIssue(method, "/api/issues/:iid", async (c, { deps, caller, issue }) => {
      const changes = await readBody(c.req.raw, ChangeIssue);
      if (caller.scope === "task" && assigns(changes)) throw new Refusal(403, "an agent cannot give issues to others");
      return c.json(wireIssue(await changeIssue(deps, issue, changes)));
    });
  }
  routes.inIssue("GET", "/api/issues/:iid/comments", async (c, { deps, issue }) => {
    const since = Date.parse(c.req.query("since") ?? "") || 0;
    const comments = await listComments(deps, { issue, since, limit: limitOf(c, COMMENTS) });
    return c.json(comments.map((comment) => wireComment(issue, comment)));
  });
  routes.inIssue("POST", "/api/issues/:iid/comments", async (c, { deps, caller, issue }) => {
    const { content } = await readBody(c.req.raw, CreateComment);
    const author = await authorOf(deps, caller);
    const id = await commentOn(deps, { issue: await issueOf(deps, issue), author, content });
    const added = await findComment(deps, { issue, id });
    return c.json(added ? wireComment(issue, added) : { id }, 201);
  });
  routes.inIssue("GET", "/api/issues/:iid/tasks", async (c, { deps, issue }) => {
    return c.json((await deps.store.all<TaskRecord>(TASKS, { issue })).map(wireTask));
  });
  routes.inIssue("POST", "/api/issues/:iid/tasks/cancel", async (c, { deps, issue }) => {
    return c.json({ cancelled: await cancelIssueTasks(deps, issue) });
  });
}

/** Nonsense counts as nothing. */
function limitOf(c: ApiContext, rule: { readonly usual: number; readonly most: number }): number {
  const limit = Number(c.req.query("limit") ?? rule.usual);
  return Number.isInteger(limit) && limit >= 1 ? Math.min(limit, rule.most) : rule.usual;
}
