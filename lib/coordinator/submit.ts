/** Accepting a task from a user: which agent, which thread, and the one pending place they have together. */
import type { CreateTask } from "../wire/control.ts";
import { agentById, type AgentChoice, agentNames, chooseAgent, holdAgent } from "./agent_choice.ts";
import { type Deps, inTransaction } from "./deps.ts";
import type { TaskRecord } from "./records.ts";
import { isPending } from "./sql.ts";
import { UserRefusal } from "./user_refusal.ts";

export const PROMPT_LIMIT_BYTES = 4 * 1024 * 1024;
/** A thread is called after the first line of its first prompt. */
const TITLE_LENGTH = 80;

const ADD_THREAD = `
INSERT INTO threads (id, workspace_id, title, description, created_at, updated_at)
VALUES (:id, :workspace, :title, :description, :now, :now)`;

const ADD_TASK = `
INSERT INTO tasks
  (id, workspace_id, thread_id, agent_id, runtime_id, status, priority, prompt, directory_mode, directory_path, permission,
   model, effort, sandbox, brings, time_limit_ms, submitted_to, created_at)
VALUES (:id, :workspace, :thread, :agent, :runtime, 'queued', :priority, :prompt, :mode, :path, :permission, :model,
   :effort, :sandbox, :brings, :timeLimit, :instance, :now)
ON CONFLICT DO NOTHING`;

const PENDING_IN_THREAD = `
SELECT id FROM tasks WHERE thread_id = :thread AND agent_id = :agent AND ${isPending()}`;

/** Queues the task; its id. `resumed` is the task that `request.resume` named. Throws `UserRefusal`. */
export async function submitTask(
  deps: Deps,
  request: CreateTask,
  context: { readonly instance: string | null; readonly resumed: TaskRecord | undefined },
): Promise<string> {
  checkRequest(request);
  return await inTransaction(deps, async (deps) => {
    const { store } = deps;
    if (context.resumed) await refuseIssue(deps, context.resumed);
    const now = deps.clock.now();
    const target = await targetOf(deps, request.agent, context.resumed);
    const workspace = deps.workspaceId;
    const thread = context.resumed?.thread_id ?? deps.random.uuid();
    if (!context.resumed) {
      const { prompt } = request;
      await store.run(ADD_THREAD, { id: thread, workspace, title: titleOf(prompt), description: prompt, now });
    }
    const id = deps.random.uuid();
    const added = await store.run(ADD_TASK, {
      id,
      workspace,
      thread,
      agent: target.agentId,
      runtime: target.runtimeId,
      priority: request.priority ?? 0,
      prompt: request.prompt,
      mode: request.directory.mode,
      path: request.directory.path ?? null,
      permission: request.permission,
      model: request.model || null,
      effort: request.effort || null,
      sandbox: request.sandbox ? 1 : 0,
      brings: bringsOf(request),
      timeLimit: request.time_limit_ms ?? null,
      instance: request.submitted_by === "run" ? context.instance : null,
      now,
    });
    if (added === 0) throw await threadBusy(deps, { thread, agent: target.agentId });
    const wakeup = { kind: "task-available", runtimeId: target.runtimeId, taskId: id } as const;
    store.afterCommit(() => deps.wakeups.publish(wakeup));
    return id;
  });
}

/** Null for a task that brings nothing, which are nearly all. */
function bringsOf({ instructions, skills, mcp_config }: CreateTask): string | null {
  const brings = JSON.stringify({ instructions, skills, mcp_config });
  return brings === "{}" ? null : brings;
}

function checkRequest(request: CreateTask): void {
  const { prompt, directory } = request;
  if (prompt.trim() === "") throw new UserRefusal("invalid_request", "Submitting a task failed: the prompt is empty");
  const bytes = new TextEncoder().encode(prompt).length;
  if (bytes > PROMPT_LIMIT_BYTES) {
    throw new UserRefusal(
      "invalid_request",
      `Submitting a task failed: the prompt has ${bytes} bytes and may have ${PROMPT_LIMIT_BYTES}`,
      "Put the text into a file in the task's directory and name the file in the prompt",
    );
  }
  const absolute = directory.path?.startsWith("/") ?? false;
  if (directory.mode !== "scratch" && !absolute) {
    throw new UserRefusal(
      "invalid_request",
      `Submitting a task failed: the directory mode ${directory.mode} needs an absolute path, not ` +
        `"${directory.path ?? ""}"`,
    );
  }
}

/** Who claims a task of an issue is given the issue and its comments: the prompt and the permission would be lost. */
async function refuseIssue(deps: Deps, { thread_id: thread }: TaskRecord): Promise<void> {
  const sql = "SELECT number FROM threads WHERE id = :thread";
  const issue = await deps.store.get<{ number: number | null }>(sql, { thread });
  if (issue?.number == null) return;
  throw new UserRefusal(
    "invalid_request",
    `Submitting a task failed: the task to go on from belongs to an issue (${thread}), whose agent is told by comments`,
    `Comment on the issue instead: POST /api/issues/${thread}/comments {"content": "…"}`,
  );
}

/**
 * The one that was named; else the one that worked before, wherever it is now, or another of its name where its runtime
 * is gone; else the first. It is held. Throws `UserRefusal`.
 */
async function targetOf(deps: Deps, named: string | undefined, resumed: TaskRecord | undefined): Promise<AgentChoice> {
  const before = named === undefined ? resumed : undefined;
  const same = before && await agentById(deps, before.agent_id);
  const name = before && !same ? await nameOf(deps, before.agent_id) : named;
  const chosen = same ?? await chooseAgent(deps, name);
  if (chosen) await holdAgent(deps, chosen.agentId);
  // Again, as it may have been moved just before.
  const agent = chosen && await agentById(deps, chosen.agentId);
  if (agent) return agent;
  const names = await agentNames(deps);
  if (names.length === 0) {
    throw new UserRefusal(
      "no_agent",
      "Submitting a task failed: there is no agent here",
      "Install an agent CLI, or see which ones were skipped and why with: drover agents --all",
    );
  }
  throw new UserRefusal(
    "agent_unknown",
    `Submitting a task failed: there is no agent "${name}"; there are: ${names.join(", ")}`,
  );
}

async function nameOf({ store }: Deps, agent: string): Promise<string | undefined> {
  return (await store.get<{ name: string }>("SELECT name FROM agents WHERE id = :agent", { agent }))?.name;
}

function titleOf(prompt: string): string {
  const line = prompt.trim().split("\n", 1)[0] ?? "";
  return line.length > TITLE_LENGTH ? `${line.slice(0, TITLE_LENGTH - 1)}…` : line;
}

async function threadBusy(deps: Deps, place: { thread: string; agent: string }): Promise<UserRefusal> {
  const pending = await deps.store.get<{ id: string }>(PENDING_IN_THREAD, place);
  return new UserRefusal(
    "thread_busy",
    `Submitting a task failed: task ${pending?.id} of the same thread is waiting for its turn`,
    "Wait until it has started, or cancel it",
  );
}
