/** What a prompt says of the task's issue: its text and its discussion, as much of both as an agent can use. Pure. */
import type { Issue, IssueComment } from "../wire/issue.ts";
import type { ClaimedTask } from "../wire/payloads.ts";
import type { IssueText } from "./issue_text.ts";
import { author, joined, line, list, type Part, quoted, section } from "./prompt_text.ts";

/** With what else is said these fit into what one argument of a command can hold: some agents take their prompt there. */
const LIMIT = { description: 40 * 1024, comments: 24 * 1024, comment: 8 * 1024, count: 50 } as const;

export function issueParts(task: ClaimedTask, { issue, comments }: IssueText): Part[] {
  if ("unread" in issue) {
    const remedy = "Read it there yourself before you begin. If that does not work either, say so and do nothing else.";
    return [section("The issue", unread(task, "The text of the issue", issue.unread), remedy)];
  }
  return [
    section("The issue", list(facts(task, issue)), quoted("description", issue.description, LIMIT.description)),
    "unread" in comments
      ? section("Its comments", unread(task, "The comments of the issue", comments.unread))
      : section("Its comments", ...discussion(task, comments)),
  ];
}

function unread({ issue_id }: ClaimedTask, what: string, why: string): string {
  return `${what} could not be read from the server (${line(why)}). The issue's id is ${line(issue_id)}.`;
}

function facts(task: ClaimedTask, issue: Issue): string[] {
  const rows = [
    ["id", task.issue_id],
    ["key", issue.identifier],
    ["title", issue.title || task.thread_name],
    ["status", issue.status],
    ["priority", issue.priority === "none" ? "" : issue.priority],
    ["due", issue.due_date],
    ["part of issue", task.parent_issue_identifier || issue.parent_issue_id],
  ] as const;
  return rows.filter(([, value]) => value !== "").map(([name, value]) => `${name}: ${line(value)}`);
}

/** The newest of them, in the order in which they were written; what is in the prompt already is not said twice. */
function discussion(task: ClaimedTask, comments: readonly IssueComment[]): Part[] {
  const said = new Set([task.trigger_comment_id, ...task.coalesced_comments.map(({ id }) => id)]);
  const others = comments.filter(({ id }) => id === "" || !said.has(id));
  const kept: string[] = [];
  let room = LIMIT.comments;
  for (const comment of others.toReversed()) {
    const text = told(task, comment);
    room -= new TextEncoder().encode(text).length;
    if (kept.length > 0 && (room < 0 || kept.length >= LIMIT.count)) break;
    kept.unshift(text);
  }
  const left = others.length - kept.length;
  return [left > 0 ? `(${left} older ${left === 1 ? "comment is" : "comments are"} left out.)` : undefined, ...kept];
}

function told(task: ClaimedTask, { author_id, author_name, author_type, content, created_at }: IssueComment): string {
  const who = author_id !== "" && author_id === task.agent_id ? "you" : author(author_name, author_type);
  const when = created_at ? `, ${line(created_at)}` : "";
  return joined([`${who}${when}:`, quoted("comment", content, LIMIT.comment)], "\n");
}
