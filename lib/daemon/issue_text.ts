/** The text of a task's issue, which a claim leaves out: asked for with the task's token, for the prompt. */
import type { Clock } from "../core/ports.ts";
import type { WireClient } from "../wire/client.ts";
import type { Issue, IssueComment } from "../wire/issue.ts";
import type { ClaimedTask } from "../wire/payloads.ts";
import { type CallResult, isTransient } from "../wire/retry.ts";
import { fetchComments, fetchIssue } from "../wire/task_calls.ts";

const RETRY_MS = 1_000;

/** The agent can ask for what could not be read, so it is told why and the task goes on. */
export interface IssueText {
  readonly issue: Issue | { readonly unread: string };
  readonly comments: readonly IssueComment[] | { readonly unread: string };
}

/** Never rejects. At most 17 s. */
export async function readIssueText(
  task: Pick<ClaimedTask, "issue_id" | "workspace_id" | "auth_token">,
  options: { client: Pick<WireClient, "call">; clock: Clock; signal: AbortSignal },
): Promise<IssueText> {
  const { client, signal } = options;
  const of = { issue: task.issue_id, workspace: task.workspace_id, token: task.auth_token };
  const [issue, comments] = await Promise.all([
    twice(() => fetchIssue(client, of, { signal }), options),
    twice(() => fetchComments(client, of, { signal }), options),
  ]);
  return {
    issue: issue.kind === "ok" ? issue.value : { unread: issue.detail },
    comments: comments.kind === "ok" ? comments.value : { unread: comments.detail },
  };
}

async function twice<T>(
  ask: () => Promise<CallResult<T>>,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<CallResult<T>> {
  const first = await ask();
  if (first.kind === "ok" || !isTransient(first)) return first;
  await clock.sleep(RETRY_MS, { signal }).catch(() => {});
  return await ask();
}
