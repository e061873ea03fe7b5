/** An issue and its comments as the user API of a server tells them; only what an agent can use is read. */
import * as z from "zod/mini";

const text = z.catch(z.string(), "");

const Issue = z.lazy(() =>
  z.object({
    id: z.string(),
    identifier: text,
    title: text,
    description: text,
    status: text,
    priority: text,
    due_date: text,
    parent_issue_id: text,
  })
);
export type Issue = z.infer<typeof Issue>;

const Comment = z.lazy(() =>
  z.object({ id: text, author_type: text, author_id: text, author_name: text, content: text, created_at: text })
);
export type IssueComment = z.infer<typeof Comment>;

const Enclosed = z.lazy(() => z.object({ comments: z.array(z.unknown()) }));

/** Throws when it is no issue. */
export function readIssue(value: unknown): Issue {
  return Issue.parse(value);
}

/** In the order in which they were written. Throws when it is no list. */
export function readComments(value: unknown): IssueComment[] {
  const list = Array.isArray(value) ? value : Enclosed.parse(value).comments;
  const read = list.flatMap((one) => Comment.safeParse(one).data ?? []);
  return read.filter(({ content }) => content.trim() !== "").toSorted((a, b) => writtenAt(a) - writtenAt(b));
}

function writtenAt({ created_at }: IssueComment): number {
  return Date.parse(created_at) || 0;
}
