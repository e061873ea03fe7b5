/** Comments of issues: who wrote what, and which of them a task has to deal with. */
import type { Shared } from "./deps.ts";
import { userTime } from "./records.ts";

export interface IssueComment {
  readonly id: string;
  readonly author_type: "member" | "agent" | "system";
  readonly author_id: string | null;
  readonly author_name: string;
  readonly content: string;
  readonly created_at: number;
}

/** Of one comment, in characters: what is longer belongs into a file. */
export const COMMENT_LENGTH = 64 * 1024;

const COLUMNS = `
SELECT c.id, c.author_type, c.author_id, coalesce(u.name, a.name, '') AS author_name, c.content, c.created_at
FROM comments c
  LEFT JOIN users u ON c.author_type = 'member' AND u.id = c.author_id
  LEFT JOIN agents a ON c.author_type = 'agent' AND a.id = c.author_id
WHERE c.thread_id = :thread`;

/** The newest come first here, so that of many the latest are read. */
const LATEST = `${COLUMNS} AND c.created_at >= :since ORDER BY c.created_at DESC, c.rowid DESC LIMIT :limit`;
const OF_TASK = `${COLUMNS} AND c.task_id = :task ORDER BY c.created_at, c.rowid`;

const ADD = `
INSERT INTO comments (id, thread_id, author_type, author_id, content, task_id, created_at)
VALUES (:id, :thread, :type, :author, :content, NULL, :now)`;

/** The agent's last words are its comment, unless it wrote one itself. */
const ADD_OUTPUT = `
INSERT INTO comments (id, thread_id, author_type, author_id, content, task_id, created_at)
SELECT CAST(:id AS TEXT), t.thread_id, 'agent', t.agent_id, CAST(:content AS TEXT), NULL, CAST(:now AS BIGINT)
FROM tasks t JOIN threads h ON h.id = t.thread_id
WHERE t.id = :task AND h.number IS NOT NULL AND NOT EXISTS (
  SELECT 1 FROM comments c
  WHERE c.thread_id = t.thread_id AND c.author_type = 'agent' AND c.author_id = t.agent_id
    AND c.created_at >= t.started_at)`;

const ADD_FAILURE = `
INSERT INTO comments (id, thread_id, author_type, author_id, content, task_id, created_at)
SELECT CAST(:id AS TEXT), t.thread_id, 'system', NULL, CAST(:content AS TEXT), NULL, CAST(:now AS BIGINT)
FROM tasks t JOIN threads h ON h.id = t.thread_id WHERE t.id = :task AND h.number IS NOT NULL`;

/** The latest `limit`, in the order in which they were written. `since` is in ms since 1970. */
export async function listComments(
  deps: Shared,
  { issue, since, limit }: { issue: string; since: number; limit: number },
): Promise<IssueComment[]> {
  return (await deps.store.all<IssueComment>(LATEST, { thread: issue, since, limit })).reverse();
}

export function findComment(deps: Shared, which: { issue: string; id: string }): Promise<IssueComment | undefined> {
  return deps.store.get<IssueComment>(`${COLUMNS} AND c.id = :id`, { thread: which.issue, id: which.id });
}

/** Those that made it and those that were added while it waited. */
export function commentsOfTask(deps: Shared, task: { id: string; thread_id: string }): Promise<IssueComment[]> {
  return deps.store.all<IssueComment>(OF_TASK, { thread: task.thread_id, task: task.id });
}

/** Who writes: a person, of whom there may be no row, or an agent. */
export interface Author {
  readonly type: "member" | "agent";
  readonly id: string | null;
}

/** Its id. */
export async function addComment(
  deps: Shared,
  { issue, author, content }: { issue: string; author: Author; content: string },
): Promise<string> {
  const id = deps.random.uuid();
  const now = deps.clock.now();
  await deps.store.run(ADD, { id, thread: issue, type: author.type, author: author.id, content, now });
  await deps.store.run("UPDATE threads SET updated_at = :now WHERE id = :id", { id: issue, now });
  return id;
}

/** Nothing for a task of no issue. */
export async function tellOutput(deps: Shared, task: string, output: string): Promise<void> {
  await tell(deps, ADD_OUTPUT, task, output);
}

export async function tellFailure(deps: Shared, task: string, error: string): Promise<void> {
  await tell(deps, ADD_FAILURE, task, error);
}

async function tell(deps: Shared, sql: string, task: string, text: string): Promise<void> {
  const content = text.trim().slice(0, COMMENT_LENGTH);
  if (content === "") return;
  await deps.store.run(sql, { id: deps.random.uuid(), task, content, now: deps.clock.now() });
}

export function wireComment(issue: string, comment: IssueComment): Record<string, unknown> {
  return { ...comment, issue_id: issue, type: "comment", parent_id: null, created_at: userTime(comment.created_at) };
}
