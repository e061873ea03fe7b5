/** What goes over the control socket: hello, status and the user API of the embedded coordinator (tasks and agents). */
import * as z from "zod";
import { TASK_STATES } from "../core/task_state.ts";
import { DirectoryPayload } from "./payloads.ts";

/** Raised by 1 on any change that an older or newer CLI would misread. */
export const CONTROL_PROTOCOL = 1;

export const Hello = z.object({
  protocol: z.number().int(),
  instance: z.string(),
  pid: z.number().int(),
  version: z.string(),
  /** `daemon`, or `run` for an in-process `drover run`. */
  mode: z.enum(["daemon", "run"]),
  phase: z.enum(["starting", "running", "reload-pending", "draining", "stopped"]),
  home: z.string(),
});
export type Hello = z.infer<typeof Hello>;

/** `POST /v1/stop`; `DELETE /v1/stop` takes a drain back. */
export const StopRequest = z.object({ mode: z.enum(["drain", "now"]) });

/** `POST /v1/tasks` */
export const CreateTask = z.object({
  /** Name of an agent; absent = the first one by the table's order. */
  agent: z.string().optional(),
  prompt: z.string(),
  directory: DirectoryPayload,
  permission: z.enum(["full", "read-only"]),
  model: z.string().optional(),
  /** Continue the session and directory of this task: the new one joins its thread. */
  resume: z.string().optional(),
  /** 0 none · 1 low · 2 medium · 3 high · 4 urgent. */
  priority: z.number().int().min(0).max(4).optional(),
  /** Wall-clock limit in ms; absent = the daemon's default. */
  time_limit_ms: z.number().int().positive().optional(),
  /** Which client asked: `run` tasks are the ones an in-process `run` may claim. */
  submitted_by: z.enum(["run", "api"]).optional(),
});
export type CreateTask = z.infer<typeof CreateTask>;

export const TaskUsage = z.object({
  provider: z.string(),
  model: z.string(),
  input_tokens: z.number(),
  output_tokens: z.number(),
  cache_read_tokens: z.number(),
  cache_write_tokens: z.number(),
  cost_usd_ticks: z.number(),
});

/** A task as users see it: in lists, in `show`, and as the last event of `follow`. Times are RFC 3339 or null. */
export const TaskView = z.object({
  id: z.string(),
  thread_id: z.string(),
  agent: z.string(),
  provider: z.string(),
  status: z.enum(TASK_STATES),
  prompt: z.string(),
  directory: DirectoryPayload,
  permission: z.enum(["full", "read-only"]),
  priority: z.number(),
  attempt: z.number(),
  max_attempts: z.number(),
  /** The earlier attempt this one repeats. */
  retry_of: z.string().nullable(),
  /** The later attempt that repeats this one, once there is one. */
  retried_by: z.string().nullable(),
  created_at: z.string(),
  dispatched_at: z.string().nullable(),
  started_at: z.string().nullable(),
  completed_at: z.string().nullable(),
  output: z.string().nullable(),
  error: z.string().nullable(),
  failure_reason: z.string().nullable(),
  session_id: z.string().nullable(),
  work_dir: z.string().nullable(),
  branch_name: z.string().nullable(),
  progress: z.string().nullable(),
  usage: z.array(TaskUsage),
});
export type TaskView = z.infer<typeof TaskView>;

/** `GET /v1/tasks?status=…&limit=…` newest first. */
export const TaskList = z.object({ tasks: z.array(TaskView) });

export const MessageView = z.object({
  seq: z.number().int(),
  type: z.string(),
  tool: z.string().nullable(),
  content: z.string().nullable(),
  input: z.record(z.string(), z.unknown()).nullable(),
  output: z.string().nullable(),
  call_id: z.string().nullable(),
  created_at: z.string(),
});
export type MessageView = z.infer<typeof MessageView>;

/** `GET /v1/tasks/{id}/messages?since=N` */
export const MessageList = z.object({ messages: z.array(MessageView) });

/**
 * `GET /v1/tasks/{id}/follow`: server-sent events. `event: task` carries a TaskView at the start and on every change
 * of state, `event: message` a MessageView (its `id:` is the seq; `Last-Event-ID` or `?since=` resumes after it),
 * `event: end` the final TaskView, after which the server closes. A retried attempt ends with its `retried_by` set.
 */
export const FOLLOW_EVENTS = ["task", "message", "end"] as const;

/** `GET /v1/agents` */
export const AgentView = z.object({
  name: z.string(),
  provider: z.string(),
  version: z.string(),
  status: z.enum(["online", "offline"]),
  runtime_id: z.string(),
  max_concurrent_tasks: z.number(),
  running: z.number(),
  queued: z.number(),
});
export type AgentView = z.infer<typeof AgentView>;
export const AgentList = z.object({
  agents: z.array(AgentView),
});

/** Every error of the control socket: `code` is stable, `message` and `hint` are for people. */
export const ControlError = z.object({
  error: z.object({ code: z.string(), message: z.string(), hint: z.string().optional() }),
});
export type ControlError = z.infer<typeof ControlError>;

/**
 * Codes of the user API and their HTTP status: invalid_request 400 · agent_unknown 404 · no_agent 409 ·
 * task_unknown 404 · task_ambiguous 409 · thread_busy 409 · task_ended 409 · store_failed 500.
 */
export const USER_ERRORS = {
  invalid_request: 400,
  agent_unknown: 404,
  no_agent: 409,
  task_unknown: 404,
  task_ambiguous: 409,
  thread_busy: 409,
  task_ended: 409,
  store_failed: 500,
} as const;
