/** The claim: a task as a server of the Multica daemon protocol hands it out, with all that its agent is to know. */
import * as z from "zod/mini";
import { PERMISSIONS } from "../core/model.ts";

/**
 * What this claim can take (wire protocol 0.4). Comments one by one tell who wrote what; a skill by its hash is fetched
 * once and not with every claim, which has five seconds for up to 32 tasks; without the last one the server cancels
 * tasks that want a worktree.
 */
export const CAPABILITIES: readonly string[] = ["coalesced-comments-v1", "skill-bundles-v1", "local-worktree-v1"];

/** Absent, null and wrong-typed optional fields all count as absent: both sides of the protocol rely on that to evolve. */
const text = z.catch(z.string(), "");
const flag = z.catch(z.boolean(), false);
const count = z.catch(z.int(), 0);
const texts = many(z.string());

/** An element that cannot be read must not cost the others. */
function many<T extends z.ZodMiniType>(item: T) {
  const read = z.transform((list: unknown[]) =>
    list.flatMap((one) => {
      const result = item.safeParse(one);
      return result.success ? [result.data as z.infer<T>] : [];
    })
  );
  return z.catch(z.pipe(z.array(z.unknown()), read), []);
}

export const DirectoryPayload = z.lazy(() =>
  z.object({
    mode: z.enum(["in-place", "worktree", "scratch"]),
    path: z.optional(z.string()),
  })
);

export const SkillPayload = z.lazy(() =>
  z.object({
    name: text,
    description: text,
    content: text,
    files: z.catch(z.array(z.object({ path: text, content: text })), []),
  })
);
export type Skill = z.infer<typeof SkillPayload>;

/** A skill that has to be fetched by its hash. */
export const SkillRef = z.lazy(() =>
  z.object({ id: text, source: text, hash: text, name: text, size_bytes: z.catch(z.number(), 0) })
);
export type SkillRef = z.infer<typeof SkillRef>;

const Agent = z.lazy(() =>
  z.object({
    id: text,
    name: text,
    instructions: text,
    model: text,
    thinking_level: text,
    service_tier: z.optional(text),
    custom_env: z.catch(z.nullish(z.record(z.string(), z.string())), null),
    custom_args: z.catch(z.nullish(z.array(z.string())), null),
    skills: z.catch(z.nullish(z.array(SkillPayload)), null),
    skill_refs: z.optional(many(SkillRef)),
    /** An object with `mcpServers`; absent leaves the CLI its own. */
    mcp_config: z.catch(z.nullish(z.record(z.string(), z.unknown())), null),
  })
);

const Comment = z.lazy(() =>
  z.object({ id: text, thread_id: text, author_type: text, author_name: text, content: text, created_at: text })
);
export type ClaimedComment = z.infer<typeof Comment>;

const LocalDirectory = z.object({ local_path: text, daemon_id: text, execution_mode: text });

const Resource = z.lazy(() =>
  z.object({
    id: text,
    resource_type: text,
    label: text,
    resource_ref: z.catch(z.looseObject(LocalDirectory.shape), { local_path: "", daemon_id: "", execution_mode: "" }),
  })
);
export type ProjectResource = z.infer<typeof Resource>;

/** A repository that a task may check out. */
export const RepoPayload = z.lazy(() => z.object({ url: text, description: text, ref: text }));
export type RepoPayload = z.infer<typeof RepoPayload>;

/** What a person or a rule of the team wants of the agent; which of it is there depends on the kind of task. */
const wish = () => ({
  kind: text,
  trigger_comment_id: text,
  trigger_comment_content: text,
  trigger_thread_id: text,
  trigger_author_type: text,
  trigger_author_name: text,
  coalesced_comments: many(Comment),
  new_comment_count: count,
  new_comments_since: text,
  chat_session_id: text,
  chat_message: text,
  chat_message_attachments: many(z.object({ id: text, filename: text, content_type: text })),
  chat_type: text,
  autopilot_run_id: text,
  autopilot_id: text,
  autopilot_title: text,
  autopilot_description: text,
  autopilot_source: text,
  autopilot_trigger_payload: z.optional(z.unknown()),
  quick_create_prompt: text,
  quick_create_priority: text,
  quick_create_due_date: text,
  quick_create_attachment_ids: texts,
  parent_issue_id: text,
  parent_issue_identifier: text,
  /** The server wants shortcuts for its surface and no work: nothing is run for it. */
  regenerate_quick_actions_for: z.optional(z.unknown()),
});

/** What the agent should know besides. */
const context = () => ({
  handoff_note: text,
  is_leader_task: flag,
  squad_name: text,
  active_sibling_runs: many(z.record(z.string(), z.unknown())),
  workspace_context: text,
  issue_statuses: many(z.object({ key: text, name: text, category: text, description: text })),
  issue_statuses_omitted: count,
  requesting_user_name: text,
  requesting_user_profile_description: text,
  initiator_type: text,
  initiator_name: text,
  connected_apps: many(z.object({ provider: text, toolkit_name: text })),
  repos: many(RepoPayload),
  project_id: text,
  project_title: text,
  project_description: text,
  project_resources: many(Resource),
});

export const ClaimedTask = z.lazy(() =>
  z.object({
    id: z.string().check(z.minLength(1)),
    agent_id: text,
    runtime_id: text,
    workspace_id: text,
    issue_id: text,
    thread_name: text,
    auth_token: text,
    attempt: count,
    agent: z.catch(z.nullish(Agent), null),
    prior_session_id: text,
    prior_work_dir: text,
    /** There was a session, and it cannot be offered: the agent should know that it forgot something. */
    prior_session_resume_unavailable: flag,
    ...wish(),
    ...context(),
    /** drover's own fields: the prompt itself, where to work, what is allowed, how long. */
    prompt: text,
    directory: z.catch(z.nullish(DirectoryPayload), null),
    permission: z.catch(z.enum(PERMISSIONS), "full"),
    /** The agent CLI's own sandbox is wanted. */
    sandbox: flag,
    time_limit_ms: count,
  })
);
export type ClaimedTask = z.infer<typeof ClaimedTask>;
