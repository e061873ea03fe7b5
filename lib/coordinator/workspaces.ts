/** Workspaces, users, and who is a member of which. */
import type { Shared } from "./deps.ts";
import { Refusal } from "./refusal.ts";

export interface WorkspaceRow {
  readonly id: string;
  readonly name: string;
}

const ALL = "SELECT id, name FROM workspaces ORDER BY created_at, id";
const DEFAULT_KEY = "workspace_id";

/** Those among `ids`, the oldest first. */
export async function listWorkspaces(deps: Shared, ids: ReadonlySet<string>): Promise<WorkspaceRow[]> {
  return (await deps.store.all<WorkspaceRow>(ALL)).filter(({ id }) => ids.has(id));
}

/** By name or id, however an id is spelled. */
export async function findWorkspace(deps: Shared, nameOrId: string): Promise<WorkspaceRow | undefined> {
  const sql = "SELECT id, name FROM workspaces WHERE id = :id OR name = :name ORDER BY id = :id DESC LIMIT 1";
  return await deps.store.get<WorkspaceRow>(sql, { id: nameOrId.toLowerCase(), name: nameOrId });
}

/** Made when there is none of the name. */
export async function workspaceNamed(deps: Shared, name: string): Promise<WorkspaceRow & { readonly isNew: boolean }> {
  const known = await findWorkspace(deps, name);
  if (known) return { ...known, isNew: false };
  const id = deps.random.uuid();
  await deps.store.run("INSERT INTO workspaces (id, name, created_at) VALUES (:id, :name, :now)", {
    id,
    name,
    now: deps.clock.now(),
  });
  return { id, name, isNew: true };
}

export async function userNamed(deps: Shared, name: string): Promise<{ readonly id: string; readonly isNew: boolean }> {
  const known = await deps.store.get<{ id: string }>("SELECT id FROM users WHERE name = :name", { name });
  if (known) return { ...known, isNew: false };
  const id = deps.random.uuid();
  await deps.store.run("INSERT INTO users (id, name, created_at) VALUES (:id, :name, :now)", {
    id,
    name,
    now: deps.clock.now(),
  });
  return { id, isNew: true };
}

/** Whose token it is, as the wire has it; we keep no addresses. Throws `Refusal` where it is nobody's. */
export async function wireUser(
  deps: Shared,
  id: string | undefined,
): Promise<{ id: string; name: string; email: string }> {
  const sql = "SELECT id, name FROM users WHERE id = :id";
  const user = id === undefined ? undefined : await deps.store.get<{ id: string; name: string }>(sql, { id });
  if (!user) throw new Refusal(404, "user not found");
  return { id: user.id, name: user.name, email: "" };
}

export async function joinWorkspace(deps: Shared, member: { workspaceId: string; userId: string }): Promise<void> {
  const sql = "INSERT INTO members (workspace_id, user_id) VALUES (:workspace, :user) ON CONFLICT DO NOTHING";
  const joined = await deps.store.run(sql, { workspace: member.workspaceId, user: member.userId });
  if (joined === 0) return;
  deps.store.afterCommit(() => deps.wakeups.publish({ kind: "workspaces-changed", userId: member.userId }));
}

/** The workspace of a database that has only one; it keeps its id for as long as the database lives: daemons store it. */
export async function defaultWorkspace(deps: Shared, name: string): Promise<string> {
  return await deps.store.transaction(async (store) => {
    const read = async () => {
      const sql = "SELECT value FROM meta WHERE key = :key";
      return (await store.get<{ value: string }>(sql, { key: DEFAULT_KEY }))?.value;
    };
    const known = await read();
    if (known !== undefined) return known;
    const add = "INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO NOTHING";
    const id = deps.random.uuid();
    if (await store.run(add, { key: DEFAULT_KEY, value: id }) === 0) return await read() ?? id;
    await store.run("INSERT INTO workspaces (id, name, created_at) VALUES (:id, :name, :now)", {
      id,
      name,
      now: deps.clock.now(),
    });
    return id;
  });
}
