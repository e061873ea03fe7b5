/** What goes over the control socket: hello, status and the user API of the embedded coordinator (tasks and agents). */
import * as z from "zod/mini";
import { PERMISSIONS } from "../core/model.ts";
import { TASK_STATES } from "../core/task_state.ts";
import { DirectoryPayload, SkillPayload } from "./payloads.ts";

export { CONTROL_PROTOCOL, type Hello } from "./hello.ts";

// Lazy throughout, as in payloads.ts.

/** `GET /v1/launch`: how the daemon was started, so that its successor can be started alike. The environment holds secrets. */
export const LaunchView = z.lazy(() => z.object({ args: z.array(z.string()), env: z.record(z.string(), z.string()) }));
export type LaunchView = z.infer<typeof LaunchView>;

/** `POST /v1/stop`; `DELETE /v1/stop` takes a drain back. */
export const StopRequest = z.lazy(() => z.object({ mode: z.enum(["drain", "now"]) }));

/** `POST /v1/tasks` */
export const CreateTask = z.lazy(() =>
  z.object({
    /** Name of an agent; absent = the first one by the table's order. */
    agent: z.optional(z.string()),
    prompt: z.string(),
    directory: DirectoryPayload,
    permission: z.enum(PERMISSIONS),
    model: z.optional(z.string()),
    /** How hard the model is to think, in the CLI's own words. */
    effort: z.optional(z.string()),
    /** The CLI's own sandbox is wanted. */
    sandbox: z.optional(z.boolean()),
    /** For the agent besides the prompt; `mcp_config` is an object with `mcpServers`. */
    instructions: z.optional(z.string()),
    skills: z.optional(z.array(SkillPayload)),
    mcp_config: z.optional(z.record(z.string(), z.unknown())),
    /** Continue the session and directory of this task: the new one joins its thread. */
    resume: z.optional(z.string()),
    /** 0 none · 1 low · 2 medium · 3 high · 4 urgent. */
    priority: z.optional(z.int().check(z.gte(0), z.lte(4))),
    /** Wall-clock limit in ms; absent = the daemon's default. */
    time_limit_ms: z.optional(z.int().check(z.positive())),
    /** Which client asked: `run` tasks are the ones an in-process `run` may claim. */
    submitted_by: z.optional(z.enum(["run", "api"])),
  })
);
export type CreateTask = z.infer<typeof CreateTask>;

export const TaskUsage = z.lazy(() =>
  z.object({
    provider: z.string(),
    model: z.string(),
    input_tokens: z.number(),
    output_tokens: z.number(),
    cache_read_tokens: z.number(),
    cache_write_tokens: z.number(),
    cost_usd_ticks: z.number(),
  })
);

/** A task as users see it: in lists, in `show`, and as the last event of `follow`. Times are RFC 3339 or null. */
export const TaskView = z.lazy(() =>
  z.object({
    id: z.string(),
    thread_id: z.string(),
    agent: z.string(),
    provider: z.string(),
    status: z.enum(TASK_STATES),
    prompt: z.string(),
    directory: DirectoryPayload,
    permission: z.enum(PERMISSIONS),
    /** Absent in what an older daemon says; so is the next. */
    effort: z.optional(z.nullable(z.string())),
    sandbox: z.optional(z.boolean()),
    priority: z.number(),
    attempt: z.number(),
    max_attempts: z.number(),
    /** The earlier attempt this one repeats. */
    retry_of: z.nullable(z.string()),
    /** The later attempt that repeats this one, once there is one. */
    retried_by: z.nullable(z.string()),
    created_at: z.string(),
    dispatched_at: z.nullable(z.string()),
    started_at: z.nullable(z.string()),
    completed_at: z.nullable(z.string()),
    output: z.nullable(z.string()),
    error: z.nullable(z.string()),
    failure_reason: z.nullable(z.string()),
    session_id: z.nullable(z.string()),
    work_dir: z.nullable(z.string()),
    branch_name: z.nullable(z.string()),
    progress: z.nullable(z.string()),
    usage: z.array(TaskUsage),
  })
);
export type TaskView = z.infer<typeof TaskView>;

/** `GET /v1/tasks?status=…&limit=…` newest first. */
export const TaskList = z.lazy(() => z.object({ tasks: z.array(TaskView) }));

export const MessageView = z.lazy(() =>
  z.object({
    seq: z.int(),
    type: z.string(),
    tool: z.nullable(z.string()),
    content: z.nullable(z.string()),
    input: z.nullable(z.record(z.string(), z.unknown())),
    output: z.nullable(z.string()),
    call_id: z.nullable(z.string()),
    created_at: z.string(),
  })
);
export type MessageView = z.infer<typeof MessageView>;

/** `GET /v1/tasks/{id}/messages?since=N` */
export const MessageList = z.lazy(() => z.object({ messages: z.array(MessageView) }));

/**
 * `GET /v1/tasks/{id}/follow`: server-sent events. `event: task` carries a TaskView at the start and on every change
 * of state, `event: message` a MessageView (its `id:` is the seq; `Last-Event-ID` or `?since=` resumes after it),
 * `event: end` the final TaskView, after which the server closes. A retried attempt ends with its `retried_by` set.
 */
export const FOLLOW_EVENTS = ["task", "message", "end"] as const;

/** `GET /v1/agents` */
export const AgentView = z.lazy(() =>
  z.object({
    name: z.string(),
    provider: z.string(),
    version: z.string(),
    /** What its daemon calls the machine it is on. Absent in what an older daemon says. */
    machine: z.optional(z.string()),
    status: z.enum(["online", "offline"]),
    runtime_id: z.string(),
    max_concurrent_tasks: z.number(),
    running: z.number(),
    queued: z.number(),
    /** Why it gets no tasks for now; times in ms since 1970. Absent in what an older daemon says. */
    paused: z.optional(z.nullable(z.object({
      /** Of core/runtime_pause.ts; a newer daemon may know others. */
      kind: z.string(),
      since: z.number(),
      /** Null: until somebody has done what helps. */
      until: z.nullable(z.number()),
      why: z.string(),
      /** What to type; empty where time alone helps. */
      how: z.string(),
    }))),
  })
);
export type AgentView = z.infer<typeof AgentView>;
export const AgentList = z.lazy(() =>
  z.object({
    agents: z.array(AgentView),
  })
);

/** Every error of the control socket: `code` is stable, `message` and `hint` are for people. */
export const ControlError = z.lazy(() =>
  z.object({
    error: z.object({ code: z.string(), message: z.string(), hint: z.optional(z.string()) }),
  })
);
export type ControlError = z.infer<typeof ControlError>;

/**
 * Codes of the user API and their HTTP status: invalid_request 400 · agent_unknown 404 · no_agent 409 ·
 * task_unknown 404 · task_ambiguous 409 · thread_busy 409 · task_ended 409 · profile_unknown 404 · profile_exists 409 ·
 * profile_busy 409 · store_failed 500; over TCP also login_refused 401.
 */
export const USER_ERRORS = {
  invalid_request: 400,
  login_refused: 401,
  agent_unknown: 404,
  no_agent: 409,
  task_unknown: 404,
  task_ambiguous: 409,
  thread_busy: 409,
  task_ended: 409,
  profile_unknown: 404,
  profile_exists: 409,
  profile_busy: 409,
  store_failed: 500,
} as const;
