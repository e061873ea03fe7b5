/** Issues: what a team wants done, said in a title and a description, and discussed in comments. */
import { type ChangeIssue, type CreateIssue, PRIORITIES } from "../wire/issue_calls.ts";
import { agentById, chooseAgent, holdAgent } from "./agent_choice.ts";
import type { Caller } from "./caller.ts";
import type { Author } from "./comments.ts";
import { type Deps, inTransaction, type Shared } from "./deps.ts";
import { assignTask, cancelIssueTasks } from "./issue_tasks.ts";
import { userTime } from "./records.ts";
import { Refusal } from "./refusal.ts";
import { canonicalUuid } from "./uuid.ts";

export interface IssueRecord {
  readonly id: string;
  readonly workspace_id: string;
  readonly workspace_name: string;
  readonly title: string;
  readonly description: string;
  readonly status: string;
  readonly priority: number;
  /** Null for a thread that began with a prompt. */
  readonly number: number | null;
  readonly agent_id: string | null;
  readonly created_at: number;
  readonly updated_at: number;
}

const ALL = `
SELECT t.id, t.workspace_id, w.name AS workspace_name, t.title, t.description, t.status, t.priority, t.number, t.agent_id,
  t.created_at, t.updated_at
FROM threads t JOIN workspaces w ON w.id = t.workspace_id`;

const LIST = `${ALL}
WHERE t.workspace_id = :workspace AND t.number IS NOT NULL AND (CAST(:status AS TEXT) IS NULL OR t.status = :status)
ORDER BY t.created_at DESC, t.number DESC LIMIT :limit`;

/** The number is the workspace's own and never used again. */
const NEXT_NUMBER = "UPDATE workspaces SET issues = issues + 1 WHERE id = :workspace RETURNING issues";

const ADD = `
INSERT INTO threads (id, workspace_id, title, description, status, priority, number, agent_id, created_at, updated_at)
VALUES (:id, :workspace, :title, :description, :status, :priority, :number, :agent, :now, :now)`;

const CHANGE = `
UPDATE threads SET title = :title, description = :description, status = :status, priority = :priority, agent_id = :agent,
  updated_at = :now
WHERE id = :id`;

export async function issueOf(deps: Shared, id: string): Promise<IssueRecord> {
  const issue = await deps.store.get<IssueRecord>(`${ALL} WHERE t.id = :id`, { id });
  if (!issue) throw new Refusal(404, "issue not found");
  return issue;
}

/** The newest first. */
export function listIssues(deps: Deps, query: { status: string | null; limit: number }): Promise<IssueRecord[]> {
  return deps.store.all<IssueRecord>(LIST, { ...query, workspace: deps.workspaceId });
}

/** Its agent gets a task in the same transaction. Throws `Refusal`. */
export function createIssue(deps: Deps, wanted: CreateIssue): Promise<IssueRecord> {
  return inTransaction(deps, async (deps) => {
    const { store, workspaceId: workspace } = deps;
    const agent = await agentOf(deps, wanted) ?? null;
    const numbered = await store.get<{ issues: number }>(NEXT_NUMBER, { workspace });
    const id = deps.random.uuid();
    await store.run(ADD, {
      id,
      workspace,
      agent,
      title: wanted.title,
      description: wanted.description ?? "",
      status: wanted.status,
      priority: PRIORITIES.indexOf(wanted.priority),
      number: numbered?.issues ?? null,
      now: deps.clock.now(),
    });
    const issue = await issueOf(deps, id);
    if (agent !== null) await assignTask(deps, issue);
    return issue;
  });
}

/** A new agent gets a task; what is called off is stopped. Throws `Refusal`. */
export function changeIssue(deps: Deps, id: string, changes: ChangeIssue): Promise<IssueRecord> {
  return inTransaction(deps, async (deps) => {
    // All of it is written back: nobody may change another part of it in between.
    await deps.store.get("SELECT id FROM threads WHERE id = :id FOR NO KEY UPDATE", { id });
    const before = await issueOf(deps, id);
    const agent = await agentOf(deps, changes);
    await deps.store.run(CHANGE, {
      id,
      title: changes.title ?? before.title,
      description: changes.description === undefined ? before.description : changes.description ?? "",
      status: changes.status ?? before.status,
      priority: changes.priority === undefined ? before.priority : PRIORITIES.indexOf(changes.priority),
      agent: agent === undefined ? before.agent_id : agent,
      now: deps.clock.now(),
    });
    const after = await issueOf(deps, id);
    if (after.status === "cancelled" && before.status !== "cancelled") await cancelIssueTasks(deps, id);
    else if (after.agent_id !== null && after.agent_id !== before.agent_id) await assignTask(deps, after);
    return after;
  });
}

/** Whether a change says who is to work on it, which agents may not. */
export function assigns({ agent, agent_id, assignee_id }: ChangeIssue): boolean {
  return agent !== undefined || agent_id !== undefined || assignee_id !== undefined;
}

/**
 * The agent's id, null for nobody, `undefined` where nothing is said of it. It is held, so that its task arrives where it
 * is. Throws `Refusal` for one that is not here.
 */
async function agentOf(deps: Deps, wanted: ChangeIssue): Promise<string | null | undefined> {
  const { agent: name, assignee_type: type } = wanted;
  const id = wanted.agent_id !== undefined ? wanted.agent_id : wanted.assignee_id;
  if (name === undefined && !id) return id === undefined ? undefined : null;
  if (name === undefined && wanted.agent_id === undefined && type && type !== "agent") {
    throw new Refusal(400, "an issue can only be given to an agent here: assignee_type must be agent");
  }
  const found = name === undefined
    ? await agentById(deps, canonicalUuid(id ?? "") ?? "")
    : await chooseAgent(deps, name);
  if (!found) throw new Refusal(404, "agent not found");
  await holdAgent(deps, found.agentId);
  return found.agentId;
}

/** As whom a caller writes: the agent of its task, or a person. */
export async function authorOf(deps: Shared, caller: Caller): Promise<Author> {
  if (caller.taskId === undefined) return { type: "member", id: caller.userId ?? null };
  const sql = "SELECT agent_id FROM tasks WHERE id = :task";
  const task = await deps.store.get<{ agent_id: string }>(sql, { task: caller.taskId });
  return { type: "agent", id: task?.agent_id ?? null };
}

export function wireIssue(issue: IssueRecord): Record<string, unknown> {
  return {
    id: issue.id,
    workspace_id: issue.workspace_id,
    number: issue.number,
    identifier: issue.number === null ? "" : `${prefixOf(issue.workspace_name)}-${issue.number}`,
    title: issue.title,
    description: issue.description,
    status: issue.status,
    priority: PRIORITIES[issue.priority] ?? "none",
    agent_id: issue.agent_id,
    assignee_type: issue.agent_id === null ? null : "agent",
    assignee_id: issue.agent_id,
    parent_issue_id: null,
    due_date: null,
    created_at: userTime(issue.created_at),
    updated_at: userTime(issue.updated_at),
  };
}

function prefixOf(workspace: string): string {
  return workspace.replace(/[^a-z0-9]/gi, "").slice(0, 3).toUpperCase() || "ISSUE";
}
