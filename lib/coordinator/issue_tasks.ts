/** The tasks that an issue makes: one when it is given to an agent, and one for what is said to that agent later (wire protocol 3.2). */
import { holdAgent } from "./agent_choice.ts";
import { addComment, type Author } from "./comments.ts";
import { type Deps, inTransaction, type Shared } from "./deps.ts";
import { isOpen } from "./sql.ts";
import { cancelTask } from "./transitions.ts";

/** Of all comments of one task, in characters; what comes on top makes another task. */
const PAYLOAD_LENGTH = 512 * 1024;

export interface IssueRow {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly priority: number;
  readonly agent_id: string | null;
}

const ADD = `
INSERT INTO tasks
  (id, workspace_id, thread_id, agent_id, runtime_id, status, kind, priority, prompt, directory_mode, permission, fire_at,
   created_at)
SELECT CAST(:id AS TEXT), :workspace, CAST(:issue AS TEXT), a.id, a.runtime_id, CAST(:status AS TEXT), CAST(:kind AS TEXT),
  CAST(:priority AS BIGINT), CAST(:prompt AS TEXT), 'scratch', 'full', CAST(:fireAt AS BIGINT), CAST(:now AS BIGINT)
FROM agents a JOIN runtimes r ON r.id = a.runtime_id
WHERE a.id = :agent AND r.workspace_id = :workspace AND r.removed_at IS NULL
ON CONFLICT DO NOTHING
RETURNING runtime_id`;

/** The last of those that nobody has claimed yet. */
const WAITING = `
SELECT t.id, (SELECT coalesce(sum(length(c.content)), 0) FROM comments c WHERE c.thread_id = t.thread_id AND c.task_id = t.id) AS said
FROM tasks t WHERE t.thread_id = :issue AND t.agent_id = :agent AND (t.status = 'queued' OR t.status = 'deferred')
ORDER BY t.created_at DESC, t.rowid DESC LIMIT 1 FOR UPDATE OF t`;

const GROW = `
UPDATE tasks SET prompt = prompt || CAST(:more AS TEXT)
WHERE id = :id AND (status = 'queued' OR status = 'deferred') RETURNING id`;

/** What an agent, which is held, is to do with an issue that it is given; no second one while the first waits. */
export async function assignTask(deps: Deps, issue: IssueRow): Promise<void> {
  await addTask(deps, issue, { kind: "direct", prompt: promptOf(issue), orLater: false });
}

/** As `GET /api/issues/{id}` has it. */
function promptOf({ title, description }: IssueRow): string {
  return description.trim() === "" ? title : `${title}\n\n${description}`;
}

/** A person says something: the agent of the issue deals with it in the task that waits already, or in one more. */
export function commentOn(
  deps: Deps,
  { issue, author, content }: { issue: IssueRow; author: Author; content: string },
): Promise<string> {
  return inTransaction(deps, async (deps) => {
    const comment = await addComment(deps, { issue: issue.id, author, content });
    if (author.type !== "member" || issue.agent_id === null) return comment;
    // Before any of its tasks, as a claim does it, so that the two do not wait for each other.
    await holdAgent(deps, issue.agent_id);
    const task = await mergedInto(deps, issue, content) ??
      await addTask(deps, issue, { kind: "comment", prompt: `${issue.title}\n\n${content}`, orLater: true });
    if (task !== undefined) {
      await deps.store.run("UPDATE comments SET task_id = :task WHERE id = :comment", { task, comment });
    }
    return comment;
  });
}

async function mergedInto(deps: Deps, issue: IssueRow, content: string): Promise<string | undefined> {
  const place = { issue: issue.id, agent: issue.agent_id };
  const waiting = await deps.store.get<{ id: string; said: number }>(WAITING, place);
  if (!waiting || waiting.said + content.length > PAYLOAD_LENGTH) return undefined;
  const grown = await deps.store.get<{ id: string }>(GROW, { id: waiting.id, more: `\n\n${content}` });
  return grown?.id;
}

/**
 * Its id; `undefined` where the agent has no runtime, or where one waits already. The agent is held, or it could be moved
 * while this arrives where it was. `orLater`: where one was claimed a moment ago and knows nothing of this it is made all
 * the same, and gets into the queue when that one has started.
 */
async function addTask(
  deps: Deps,
  issue: IssueRow,
  task: { kind: "direct" | "comment"; prompt: string; orLater: boolean },
): Promise<string | undefined> {
  const now = deps.clock.now();
  const id = deps.random.uuid();
  const { kind, prompt } = task;
  const row = { id, workspace: deps.workspaceId, issue: issue.id, agent: issue.agent_id, kind, prompt, now };
  const add = (status: "queued" | "deferred", fireAt: number | null) =>
    deps.store.get<{ runtime_id: string }>(ADD, { ...row, priority: issue.priority, status, fireAt });
  const added = await add("queued", null) ?? (task.orLater ? await add("deferred", now) : undefined);
  if (!added) return undefined;
  const { runtime_id: runtimeId } = added;
  deps.store.afterCommit(() => deps.wakeups.publish({ kind: "task-available", runtimeId, taskId: id }));
  return id;
}

/** How many. */
export function cancelIssueTasks(deps: Shared, issue: string): Promise<number> {
  return inTransaction(deps, async (deps) => {
    const sql = `SELECT id FROM tasks WHERE thread_id = :issue AND ${isOpen()}`;
    const open = await deps.store.all<{ id: string }>(sql, { issue });
    for (const { id } of open) await cancelTask(deps, id);
    return open.length;
  });
}
