/** Agents: the one that every runtime has of its own, and those that people make of a runtime with a name and instructions. */
import type { ChangeAgent, CreateAgent } from "../wire/issue_calls.ts";
import type { Routes } from "./access.ts";
import { ChangeAgent as ChangeAgentBody, CreateAgent as CreateAgentBody } from "../wire/issue_calls.ts";
import { holdAgent } from "./agent_choice.ts";
import { type Deps, inTransaction } from "./deps.ts";
import { Refusal, RUNTIME_GONE } from "./refusal.ts";
import { readBody } from "./request_body.ts";
import { isOnline } from "./runtimes.ts";
import { isActive } from "./sql.ts";
import { canonicalUuid } from "./uuid.ts";

interface AgentRow {
  readonly id: string;
  readonly name: string;
  readonly runtime_id: string;
  readonly max_concurrent_tasks: number;
  /** 1 for a runtime's own. */
  readonly own: number;
  readonly instructions: string;
  readonly model: string;
  readonly provider: string;
  readonly status: "online" | "offline";
  readonly last_seen_at: number;
  readonly removed_at: number | null;
}

/** A runtime's own goes with it; one that somebody made stays and waits for another runtime. */
const ALL = `
SELECT a.*, r.provider, r.status, r.last_seen_at, r.removed_at FROM agents a JOIN runtimes r ON r.id = a.runtime_id
WHERE r.workspace_id = :workspace AND (a.own = 0 OR r.removed_at IS NULL)`;
const ORDER = "ORDER BY r.position, r.created_at, a.name, a.id";

const ADD = `
INSERT INTO agents (id, runtime_id, name, max_concurrent_tasks, own, instructions, model)
VALUES (:id, :runtime, :name, :cap, 0, :instructions, :model)`;

const CHANGE = `
UPDATE agents SET name = :name, runtime_id = :runtime, max_concurrent_tasks = :cap, instructions = :instructions,
  model = :model
WHERE id = :id`;

const BUSY = `SELECT 1 FROM tasks INDEXED BY tasks_active WHERE agent_id = :agent AND ${isActive()} LIMIT 1`;
/** What waits for an agent waits where the agent is. */
const MOVE_WAITING = `
UPDATE tasks SET runtime_id = :runtime WHERE agent_id = :agent AND (status = 'queued' OR status = 'deferred')`;

const USUAL_CAP = 6;

export function addAgentRoutes(routes: Routes): void {
  routes.inChosenWorkspace("GET", "/api/agents", async (c, { deps }) => {
    const now = deps.clock.now();
    const agents = await deps.store.all<AgentRow>(`${ALL} ${ORDER}`, { workspace: deps.workspaceId });
    return c.json(agents.map((agent) => wireAgent(deps, agent, now)));
  });
  routes.inChosenWorkspace("POST", "/api/agents", async (c, { deps }) => {
    return c.json(await createAgent(deps, await readBody(c.req.raw, CreateAgentBody)), 201);
  });
  routes.inAgent("GET", "/api/agents/:aid", async (c, { deps, agent }) => c.json(await viewAgent(deps, agent)));
  for (const method of ["PATCH", "PUT"] as const) {
    routes.inAgent(method, "/api/agents/:aid", async (c, { deps, agent }) => {
      return c.json(await changeAgent(deps, agent, await readBody(c.req.raw, ChangeAgentBody)));
    });
  }
}

function createAgent(deps: Deps, wanted: CreateAgent): Promise<Record<string, unknown>> {
  return inTransaction(deps, async (deps) => {
    const id = deps.random.uuid();
    await refuseTakenName(deps, { id, name: wanted.name });
    await deps.store.run(ADD, {
      id,
      runtime: await runtimeHere(deps, wanted.runtime_id),
      name: wanted.name,
      cap: wanted.max_concurrent_tasks ?? USUAL_CAP,
      instructions: wanted.instructions ?? "",
      model: wanted.model ?? "",
    });
    return await viewAgent(deps, id);
  });
}

function changeAgent(deps: Deps, id: string, changes: ChangeAgent): Promise<Record<string, unknown>> {
  return inTransaction(deps, async (deps) => {
    // As a claim does it, so that none is between our look and our change.
    await holdAgent(deps, id);
    const agent = await agentRow(deps, id);
    const name = changes.name ?? agent.name;
    const asked = changes.runtime_id === undefined ? undefined : canonicalUuid(changes.runtime_id);
    const moves = changes.runtime_id !== undefined && asked !== agent.runtime_id;
    const runtime = moves ? await runtimeHere(deps, changes.runtime_id ?? "") : agent.runtime_id;
    if (agent.own === 1 && (moves || name !== agent.name)) {
      throw new Refusal(400, "this agent belongs to its runtime and is called after it; make another agent instead");
    }
    if (name !== agent.name) await refuseTakenName(deps, { id, name });
    if (moves) {
      if (await deps.store.get(BUSY, { agent: id })) throw new Refusal(409, "the agent has tasks that are running");
      await deps.store.run(MOVE_WAITING, { agent: id, runtime });
      deps.store.afterCommit(() => deps.wakeups.publish({ kind: "task-available", runtimeId: runtime }));
    }
    await deps.store.run(CHANGE, {
      id,
      name,
      runtime,
      cap: changes.max_concurrent_tasks ?? agent.max_concurrent_tasks,
      instructions: changes.instructions ?? agent.instructions,
      model: changes.model ?? agent.model,
    });
    return await viewAgent(deps, id);
  });
}

/** Those of runtimes are called after their CLIs, as often as there are machines; a name that somebody gives is given once. */
async function refuseTakenName(deps: Deps, { id, name }: { id: string; name: string }): Promise<void> {
  // One after the other, or two that ask at the same time would both be the first.
  await deps.store.get("SELECT id FROM workspaces WHERE id = :id FOR NO KEY UPDATE", { id: deps.workspaceId });
  const taken = await deps.store.get(`${ALL} AND a.name = :name AND a.id <> :id LIMIT 1`, {
    workspace: deps.workspaceId,
    ...{ id, name },
  });
  if (taken) throw new Refusal(409, `there is an agent "${name}" already`);
}

async function runtimeHere(deps: Deps, text: string): Promise<string> {
  const runtime = canonicalUuid(text);
  const sql = "SELECT id FROM runtimes WHERE id = :runtime AND workspace_id = :workspace AND removed_at IS NULL";
  const row = runtime && await deps.store.get(sql, { runtime, workspace: deps.workspaceId });
  if (!runtime || !row) throw new Refusal(404, RUNTIME_GONE);
  return runtime;
}

async function agentRow(deps: Deps, id: string): Promise<AgentRow> {
  const row = await deps.store.get<AgentRow>(`${ALL} AND a.id = :id`, { id, workspace: deps.workspaceId });
  if (!row) throw new Refusal(404, "agent not found");
  return row;
}

async function viewAgent(deps: Deps, id: string): Promise<Record<string, unknown>> {
  return wireAgent(deps, await agentRow(deps, id), deps.clock.now());
}

function wireAgent(deps: Deps, agent: AgentRow, now: number): Record<string, unknown> {
  return {
    id: agent.id,
    workspace_id: deps.workspaceId,
    runtime_id: agent.runtime_id,
    name: agent.name,
    provider: agent.provider,
    instructions: agent.instructions,
    model: agent.model,
    max_concurrent_tasks: agent.max_concurrent_tasks,
    status: agent.removed_at === null && isOnline(agent, now) ? "online" : "offline",
    own: agent.own === 1,
  };
}
