/** What people and agents send about issues, comments and agents, as a server reads it. */
import * as z from "zod/mini";

// Lazy throughout, as in payloads.ts.

export const ISSUE_STATUSES = ["backlog", "todo", "in_progress", "in_review", "done", "blocked", "cancelled"] as const;
/** By their number in a task. */
export const PRIORITIES = ["none", "low", "medium", "high", "urgent"] as const;

const title = z.string().check(z.trim(), z.minLength(1), z.maxLength(500));
/** With the title it becomes a prompt, which some agents take as one argument of a command. */
const description = z.string().check(z.maxLength(256 * 1024));
/** By name, or by the names of Multica's own clients, by id. */
const assignee = () => ({
  agent: z.optional(z.string()),
  agent_id: z.optional(z.nullable(z.string())),
  assignee_type: z.optional(z.nullable(z.string())),
  assignee_id: z.optional(z.nullable(z.string())),
});

export const CreateIssue = z.lazy(() =>
  z.object({
    title,
    description: z._default(z.nullable(description), null),
    status: z._default(z.enum(ISSUE_STATUSES), "todo"),
    priority: z._default(z.enum(PRIORITIES), "none"),
    ...assignee(),
  })
);
export type CreateIssue = z.infer<typeof CreateIssue>;

/** What is absent stays as it is. */
export const ChangeIssue = z.lazy(() =>
  z.object({
    title: z.optional(title),
    description: z.optional(z.nullable(description)),
    status: z.optional(z.enum(ISSUE_STATUSES)),
    priority: z.optional(z.enum(PRIORITIES)),
    ...assignee(),
  })
);
export type ChangeIssue = z.infer<typeof ChangeIssue>;

export const CreateComment = z.lazy(() =>
  z.object({ content: z.string().check(z.trim(), z.minLength(1), z.maxLength(64 * 1024)) })
);

const name = z.string().check(z.trim(), z.regex(/^[^\p{Cc}]{1,100}$/u));
const settings = () => ({
  instructions: z.optional(z.string().check(z.maxLength(256 * 1024))),
  model: z.optional(z.string().check(z.maxLength(200))),
  max_concurrent_tasks: z.optional(z.int().check(z.gte(1), z.lte(50))),
});

export const CreateAgent = z.lazy(() => z.object({ name, runtime_id: z.string(), ...settings() }));
export type CreateAgent = z.infer<typeof CreateAgent>;

export const ChangeAgent = z.lazy(() =>
  z.object({ name: z.optional(name), runtime_id: z.optional(z.string()), ...settings() })
);
export type ChangeAgent = z.infer<typeof ChangeAgent>;

/** `POST …/skill-bundles/resolve` (wire protocol 1.16) */
export const ResolveRequest = z.lazy(() => z.object({ skills: z.catch(z.nullish(z.array(z.unknown())), null) }));
