/** The calls in the name of one task: the issue it is about, by the task's own token, and the skills it needs. */
import type { SkillRef } from "./claim.ts";
import type { WireClient } from "./client.ts";
import { type Issue, type IssueComment, readComments, readIssue } from "./issue.ts";
import type { CallResult } from "./retry.ts";
import { readBundles, type SkillBundle } from "./skill_bundles.ts";

type Caller = Pick<WireClient, "call">;
type Waiting = { readonly signal?: AbortSignal };

const MIB = 1024 * 1024;

/** An agent waits for these two. */
const ISSUE_DEADLINE_MS = 8_000;
const MAX_ISSUE_BYTES = 2 * MIB;
const MAX_COMMENTS_BYTES = 8 * MIB;

/** Whose issue: a server that gave the task no token (that of April 2026) is asked by the daemon itself. */
export interface IssueOf {
  readonly issue: string;
  readonly workspace: string;
  /** Empty where there is none. */
  readonly token: string;
}

export function fetchIssue(client: Caller, of: IssueOf, waiting: Waiting = {}): Promise<CallResult<Issue>> {
  return client.call({ ...issueCall(of, ""), maxBytes: MAX_ISSUE_BYTES, decode: readIssue }, waiting);
}

/** In the order in which they were written. */
export function fetchComments(
  client: Caller,
  of: IssueOf,
  waiting: Waiting = {},
): Promise<CallResult<readonly IssueComment[]>> {
  return client.call({ ...issueCall(of, "/comments"), maxBytes: MAX_COMMENTS_BYTES, decode: readComments }, waiting);
}

function issueCall({ issue, workspace, token }: IssueOf, rest: string) {
  return {
    method: "GET",
    path: `/api/issues/${encodeURIComponent(issue)}${rest}`,
    deadlineMs: ISSUE_DEADLINE_MS,
    // Pinned by the server for a task's token; a person's may belong to several.
    headers: { "x-workspace-id": workspace },
    ...(token ? { token } : {}),
  } as const;
}

/** Wire protocol 1.16: half a minute, and more for a large one at 50 KiB/s. */
const BUNDLE_DEADLINE = { leastMs: 30_000, mostMs: 300_000, bytesPerMs: 50 * 1024 / 1000 } as const;
const MAX_BUNDLE_BYTES = 64 * MIB;

/** One reference in a call, so that one skill that fails does not cost the others their time. */
export function resolveSkill(
  client: Caller,
  task: { readonly id: string; readonly runtime_id: string },
  { id, source, hash, size_bytes }: SkillRef,
  waiting: Waiting = {},
): Promise<CallResult<SkillBundle>> {
  const { leastMs, mostMs, bytesPerMs } = BUNDLE_DEADLINE;
  const [runtime, taskId] = [task.runtime_id, task.id].map(encodeURIComponent);
  return client.call({
    method: "POST",
    path: `/api/daemon/runtimes/${runtime}/tasks/${taskId}/skill-bundles/resolve`,
    body: { skills: [{ id, source, hash }] },
    deadlineMs: Math.min(mostMs, leastMs + Math.max(0, Math.ceil(size_bytes / bytesPerMs))),
    maxBytes: MAX_BUNDLE_BYTES,
    decode: (value) => {
      const bundle = readBundles(value).find((one) => one.id === id && one.source === source);
      if (!bundle) throw new Error(`The answer holds no skill ${id}`);
      return bundle;
    },
  }, waiting);
}
