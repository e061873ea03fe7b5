/** What a daemon is given with a task: its agent, its token, where it was before, and what is wanted (wire protocol 1.4). */
import { chooseResume, type PastRun, type ResumePointer } from "../core/resume.ts";
import { commentsOfTask, type IssueComment } from "./comments.ts";
import type { Shared } from "./deps.ts";
import { type RuntimeRecord, type TaskRecord, userTime, wireTask } from "./records.ts";
import { isEnded } from "./sql.ts";
import { createTaskToken } from "./tokens.ts";

/** A runtime and one of its agents. */
export interface Claimer extends RuntimeRecord {
  readonly agent_id: string;
  readonly agent_name: string;
  readonly instructions: string;
  readonly agent_model: string;
  readonly max_concurrent_tasks: number;
}

/** With what a claim reads of its thread; `issue_number` is null for one that is no issue. */
export type Claimed = TaskRecord & { readonly title: string; readonly issue_number: number | null };
export const OF_THREAD = `
(SELECT title FROM threads WHERE threads.id = thread_id) AS title,
(SELECT number FROM threads WHERE threads.id = thread_id) AS issue_number`;

export interface Recipient {
  /** The process that asks is the coordinator's own: it takes every task by its prompt. */
  readonly own: boolean;
  /** Wire protocol 0.4. */
  readonly capabilities: ReadonlySet<string>;
}

const PAST_RUNS = `
SELECT runtime_id AS "runtimeId", session_id AS "sessionId", work_dir AS "workDir", failure_reason AS "failureReason",
  retired_session_id AS "retiredSessionId"
FROM tasks WHERE thread_id = :thread AND agent_id = :agent AND ${isEnded()}
ORDER BY completed_at DESC, created_at DESC, attempt DESC`;

export async function claimPayload(
  deps: Shared,
  claimer: Claimer,
  task: Claimed,
  recipient: Recipient,
): Promise<Record<string, unknown>> {
  const resume = await resumePointer(deps, task);
  const byIssue = task.issue_number !== null && !recipient.own;
  return {
    ...wireTask(task),
    thread_name: task.title,
    leader_role_resolved: true,
    auth_token: await createTaskToken(deps, task, claimer.owner_id),
    agent: {
      id: claimer.agent_id,
      name: claimer.agent_name,
      instructions: claimer.instructions,
      skills: [],
      custom_env: {},
      custom_args: [],
      model: task.model ?? claimer.agent_model,
      thinking_level: task.effort ?? "",
      ...JSON.parse(task.brings ?? "{}"),
    },
    ...(byIssue ? await issueFields(deps, task, recipient) : promptFields(task)),
    ...(resume.sessionId === undefined ? {} : { prior_session_id: resume.sessionId }),
    ...(resume.workDir === undefined ? {} : { prior_work_dir: resume.workDir }),
  };
}

/** drover's own. */
function promptFields(task: Claimed): Record<string, unknown> {
  return {
    prompt: task.prompt,
    directory: {
      mode: task.directory_mode,
      ...(task.directory_path === null ? {} : { path: task.directory_path }),
    },
    permission: task.permission,
    ...(task.sandbox === 1 ? { sandbox: true } : {}),
    ...(task.time_limit_ms === null ? {} : { time_limit_ms: task.time_limit_ms }),
  };
}

/** The text of the issue is read with the task's token, as with every server: here stands only what is new about it. */
async function issueFields(deps: Shared, task: Claimed, { capabilities }: Recipient): Promise<Record<string, unknown>> {
  if (task.kind !== "comment") return {};
  const comments = await commentsOfTask(deps, task);
  const trigger = comments.at(-1);
  if (!trigger) return {};
  const earlier = comments.slice(0, -1);
  const separate = capabilities.has("coalesced-comments-v1");
  return {
    trigger_comment_id: trigger.id,
    trigger_comment_content: separate ? trigger.content : folded(comments),
    trigger_author_type: trigger.author_type,
    trigger_author_name: trigger.author_name,
    ...(separate && earlier.length > 0
      ? {
        coalesced_comment_ids: earlier.map(({ id }) => id),
        coalesced_comments: earlier.map(({ id, author_type, author_name, content, created_at }) => ({
          ...{ id, author_type, author_name, content },
          created_at: userTime(created_at),
        })),
      }
      : {}),
  };
}

/** For daemons that know of one comment only. */
function folded(comments: readonly IssueComment[]): string {
  const [only, ...others] = comments;
  if (only && others.length === 0) return only.content;
  return comments.map(({ author_name, content }) => `${author_name}: ${content}`).join("\n\n");
}

/** Without a session to continue, an attempt still goes on in the directory that it inherited. */
async function resumePointer(deps: Shared, task: TaskRecord): Promise<ResumePointer> {
  if (task.force_fresh_session === 1) return {};
  const past = await deps.store.all<PastRun>(PAST_RUNS, { thread: task.thread_id, agent: task.agent_id });
  const pointer = chooseResume(past, task.runtime_id);
  return pointer.workDir !== undefined || task.work_dir === null ? pointer : { ...pointer, workDir: task.work_dir };
}
