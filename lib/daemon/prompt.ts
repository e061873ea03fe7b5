/** The prompt of a team server's task: what is wanted first, by the kind of task, then what it is about, then what else is known. Pure. */
import type { ClaimedTask } from "../wire/payloads.ts";
import { issueParts } from "./prompt_issue.ts";
import { contextParts } from "./prompt_context.ts";
import type { IssueText } from "./issue_text.ts";
import { author, joined, line, list, type Part, quoted, section } from "./prompt_text.ts";

export type TaskKind = "chat" | "autopilot" | "quick_create" | "comment" | "direct";

/** By what a task holds, in this order (wire protocol 1.4): servers of before have no `kind`. */
const BY_FIELD: readonly (readonly [TaskKind, (task: ClaimedTask) => boolean])[] = [
  ["chat", ({ chat_session_id }) => chat_session_id !== ""],
  ["autopilot", ({ autopilot_run_id }) => autopilot_run_id !== ""],
  ["quick_create", ({ quick_create_prompt }) => quick_create_prompt !== ""],
  ["comment", (task) => task.trigger_comment_id !== "" || task.trigger_comment_content !== ""],
];

export function kindOf(task: ClaimedTask): TaskKind {
  return BY_FIELD.find(([, holds]) => holds(task))?.[0] ?? "direct";
}

const MAX_PAYLOAD = 16 * 1024;

interface Kind {
  /** What is wanted. Nothing of it is ever cut. */
  readonly wish: (task: ClaimedTask) => readonly Part[];
  /** What becomes of the agent's last message. */
  readonly ending: string;
}

const KINDS: Readonly<Record<TaskKind, Kind>> = {
  direct: {
    wish: (task) => [`The issue${titled(task)} was assigned to you. Do what it asks for.`],
    ending: "Your last message becomes your comment on the issue. Say in it what you did and what is left to do.",
  },
  comment: {
    wish: commentWish,
    ending: "Your last message becomes your comment on the issue: your answer to what was said.",
  },
  chat: {
    wish: chatWish,
    ending: "Your last message is sent as your answer, exactly as you write it.",
  },
  autopilot: {
    wish: autopilotWish,
    ending: "Nobody waits for this run. Your last message is kept as its result.",
  },
  quick_create: {
    wish: quickCreateWish,
    ending: "Say in your last message which issue you created, or why you did not.",
  },
};

/** `text`: of its issue, where it has one. */
export function promptOf(task: ClaimedTask, text?: IssueText): string {
  const { wish, ending } = KINDS[kindOf(task)];
  return joined([
    again(task),
    ...wish(task),
    handoff(task),
    ...(text ? issueParts(task, text) : []),
    ...contextParts(task),
    section("At the end", ending),
  ]);
}

function titled({ thread_name }: ClaimedTask): string {
  return thread_name.trim() === "" ? "" : ` "${line(thread_name)}"`;
}

function again({ attempt }: ClaimedTask): Part {
  if (attempt < 2) return undefined;
  return `(This is attempt ${attempt}: an earlier one ended before it was done. See first what it left behind.)`;
}

function handoff({ handoff_note }: ClaimedTask): Part {
  return section("Handed over to you with this note", quoted("note", handoff_note));
}

function commentWish(task: ClaimedTask): Part[] {
  const earlier = task.coalesced_comments.filter(({ id }) => id === "" || id !== task.trigger_comment_id);
  const thread = task.trigger_thread_id === "" ? "" : ` in the thread ${line(task.trigger_thread_id)}`;
  return [
    `${author(task.trigger_author_name, task.trigger_author_type)} wrote a comment for you on the issue${
      titled(task)
    }${thread}. Deal with it.`,
    quoted("comment", task.trigger_comment_content),
    section(
      "Written shortly before, and not dealt with yet either",
      ...earlier.map((one) =>
        joined([
          `${author(one.author_name, one.author_type)}${one.created_at ? `, ${line(one.created_at)}` : ""}:`,
          quoted("comment", one.content),
        ], "\n")
      ),
    ),
    newComments(task),
  ];
}

function newComments({ new_comment_count: count, new_comments_since: since }: ClaimedTask): Part {
  if (count <= 0) return undefined;
  return `There ${count === 1 ? "is 1 new comment" : `are ${count} new comments`} on the issue${
    since ? ` since ${line(since)}` : " since you were last here"
  }.`;
}

function chatWish(task: ClaimedTask): Part[] {
  const where = task.chat_type === "group" ? "in a group chat" : "in a chat";
  const who = task.initiator_name || task.requesting_user_name;
  return [
    `${author(who, task.initiator_type)} talks to you ${where}${titled(task)}. Answer this message:`,
    quoted("message", task.chat_message),
    section(
      "Attached to the message",
      list(
        task.chat_message_attachments.map(({ id, filename, content_type }) =>
          `${line(filename) || "a file"}${content_type ? `, ${line(content_type)}` : ""}, attachment id ${line(id)}`
        ),
      ),
    ),
  ];
}

function autopilotWish(task: ClaimedTask): Part[] {
  const { autopilot_title, autopilot_description, autopilot_source, autopilot_trigger_payload: payload } = task;
  const by = autopilot_source === "" ? "" : `, set off by ${line(autopilot_source)}`;
  return [
    `This is a run of the automation "${line(autopilot_title || task.thread_name)}"${by}. Do what it says:`,
    quoted("automation", autopilot_description || autopilot_title || task.thread_name),
    payload === undefined || payload === null
      ? undefined
      : section("What set it off", quoted("payload", jsonOf(payload), MAX_PAYLOAD)),
  ];
}

function quickCreateWish(task: ClaimedTask): Part[] {
  const settled = [
    ["priority", task.quick_create_priority],
    ["due_date", task.quick_create_due_date],
    ["parent_issue_id", task.parent_issue_id],
    ["project_id", task.project_id],
    // The server finds what a request became by these two.
    ["origin_type", "quick_create"],
    ["origin_id", task.id],
  ].filter(([, value]) => value !== "");
  const fields = Object.fromEntries<unknown>(settled as [string, string][]);
  const attachments = task.quick_create_attachment_ids;
  const parent = task.parent_issue_identifier;
  return [
    "Create one issue from the request below: a title that says what is wanted, and a description with everything the " +
    "request says. Do not do the work itself, and do not create it twice: if you do not know whether it was created, look.",
    quoted("request", task.quick_create_prompt),
    parent === "" ? undefined : `It is to be a part of the issue ${line(parent)}.`,
    "Where the program `multica` is installed, `multica issue create` does it. Otherwise POST to /api/issues of the " +
    "server, with the fields `title` and `description`, and these as they are:",
    quoted("fields", jsonOf(attachments.length > 0 ? { ...fields, attachment_ids: attachments } : fields)),
  ];
}

function jsonOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
