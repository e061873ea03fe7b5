/** To which agent work goes: the one that is meant, and of several machines that have it the one with the least to do. */
import { LEASE } from "../core/lease.ts";
import type { Deps, Shared } from "./deps.ts";
import { isActive } from "./sql.ts";

export interface AgentChoice {
  readonly agentId: string;
  readonly runtimeId: string;
  readonly name: string;
}

const FROM = `
FROM agents a JOIN runtimes r ON r.id = a.runtime_id WHERE r.workspace_id = :workspace AND r.removed_at IS NULL`;

const CHOICE = `SELECT a.id AS "agentId", r.id AS "runtimeId", a.name AS name`;
const ONLINE = `CASE WHEN r.status = 'online' AND r.last_seen_at >= :fresh THEN 0 ELSE 1 END`;
/** Of one agent: its tasks that are not over. */
const LOAD = `
(SELECT count(*) FROM tasks t INDEXED BY tasks_active WHERE t.agent_id = a.id AND ${isActive("t")}) +
(SELECT count(*) FROM tasks t INDEXED BY tasks_queue WHERE t.runtime_id = r.id AND t.agent_id = a.id AND t.status = 'queued')`;
/** The order in which their daemon registered them. */
const ORDER = "r.position, r.created_at, a.name, a.id";

const BY_ID = `${CHOICE} ${FROM} AND a.id = :id`;
const FIRST = `${CHOICE}, ${ONLINE} AS away ${FROM} ORDER BY away, ${ORDER} LIMIT 1`;
const NAMED =
  `${CHOICE}, ${ONLINE} AS away, ${LOAD} AS load ${FROM} AND a.name = :name ORDER BY away, load, ${ORDER} LIMIT 1`;
const NAMES = `SELECT DISTINCT a.name AS name ${FROM} ORDER BY name LIMIT 50`;

export function agentById(deps: Deps, id: string): Promise<AgentChoice | undefined> {
  return deps.store.get<AgentChoice>(BY_ID, { id, workspace: deps.workspaceId });
}

/** Until the end of the transaction nobody moves it, takes its runtime away or claims for it. */
export async function holdAgent({ store }: Shared, id: string): Promise<void> {
  await store.get("SELECT id FROM agents WHERE id = :id FOR NO KEY UPDATE", { id });
}

/** Without a name the first that is online, or simply the first. `undefined` where there is none, or none of the name. */
export async function chooseAgent(deps: Deps, wanted?: string): Promise<AgentChoice | undefined> {
  const place = { workspace: deps.workspaceId, fresh: deps.clock.now() - LEASE.staleRuntimeMs };
  const name = wanted ?? (await deps.store.get<AgentChoice>(FIRST, place))?.name;
  if (name === undefined) return undefined;
  return await deps.store.get<AgentChoice>(NAMED, { ...place, name });
}

/** For people; at most 50. */
export async function agentNames(deps: Deps): Promise<string[]> {
  const rows = await deps.store.all<{ name: string }>(NAMES, { workspace: deps.workspaceId });
  return rows.map(({ name }) => name);
}
