/** Tokens in the store: made once, kept as a hash, looked up with every call, and revoked (wire protocol 0.3). */
import { createHash } from "node:crypto";
import type { Caller } from "./caller.ts";
import { inTransaction, type Shared } from "./deps.ts";
import { UserRefusal } from "./user_refusal.ts";
import { joinWorkspace, userNamed, workspaceNamed } from "./workspaces.ts";

export type TokenScope = "user" | "daemon" | "task";

/** So that a look at a token says what it is for, and a scanner of secrets finds it. */
const PREFIX: Readonly<Record<TokenScope, string>> = { user: "mul_", daemon: "mdt_", task: "mat_" };
/** 160 bits. */
const SECRET_BYTES = 20;
const TASK_TOKEN_MS = 24 * 3_600_000;
const DAY_MS = 86_400_000;
/** When a token was last used is worth knowing to a few minutes, not a write for every call. */
const USED_STEP_MS = 5 * 60_000;
/** A token is given this much again when it is renewed … */
const RENEWED_MS = 90 * DAY_MS;
/** … once less than this is left of it. */
const RENEW_BELOW_MS = 7 * DAY_MS;

export interface TokenRecord {
  readonly id: string;
  readonly scope: TokenScope;
  readonly name: string;
  readonly user_id: string | null;
  readonly workspace_id: string | null;
  readonly daemon_id: string | null;
  readonly task_id: string | null;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly used_at: number | null;
  readonly revoked_at: number | null;
}

const COLUMNS =
  "id, scope, name, user_id, workspace_id, daemon_id, task_id, created_at, expires_at, used_at, revoked_at";

const ADD = `
INSERT INTO tokens (id, hash, scope, name, user_id, workspace_id, daemon_id, task_id, created_at, expires_at)
VALUES (:id, :hash, :scope, :name, :user, :workspace, :daemon, :task, :now, :expires)`;

const FIND = `
SELECT ${COLUMNS} FROM tokens
WHERE hash = :hash AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :now)`;

const MEMBERSHIPS = "SELECT workspace_id FROM members WHERE user_id = :user";

const LIST = `
SELECT t.id, t.scope, t.name, t.daemon_id, t.created_at, t.expires_at, t.used_at, t.revoked_at, u.name AS user_name,
  w.name AS workspace_name
FROM tokens t LEFT JOIN users u ON u.id = t.user_id LEFT JOIN workspaces w ON w.id = t.workspace_id
WHERE t.scope <> 'task' ORDER BY t.created_at, t.id`;

/** Lower-case hex SHA-256 over all of it, its prefix too. Done when it returns: a transaction waits for nothing. */
export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** Who a token stands for; `undefined` for one that is unknown, revoked or expired. */
export async function callerOf(deps: Shared, token: string): Promise<Caller | undefined> {
  const now = deps.clock.now();
  const record = await deps.store.get<TokenRecord>(FIND, { hash: hashToken(token), now });
  if (!record) return undefined;
  if (record.used_at === null || record.used_at < now - USED_STEP_MS) {
    await deps.store.run("UPDATE tokens SET used_at = :now WHERE id = :id", { id: record.id, now });
  }
  return {
    scope: record.scope,
    tokenId: record.id,
    workspaces: await workspacesOf(deps, record),
    ...(record.user_id === null ? {} : { userId: record.user_id }),
    ...(record.daemon_id === null ? {} : { daemonId: record.daemon_id }),
    ...(record.task_id === null ? {} : { taskId: record.task_id }),
  };
}

/** A person's is worth what the person is a member of now, not when it was made. */
async function workspacesOf(deps: Shared, record: TokenRecord): Promise<ReadonlySet<string>> {
  if (record.workspace_id !== null) return new Set([record.workspace_id]);
  const rows = await deps.store.all<{ workspace_id: string }>(MEMBERSHIPS, { user: record.user_id });
  return new Set(rows.map(({ workspace_id }) => workspace_id));
}

export interface NewToken {
  readonly scope: "user" | "daemon";
  /** What people call it: a person, or a machine. */
  readonly name: string;
  /** By name; made when there is none. */
  readonly workspace: string;
  /** By name, made when there is none; a user's token is called after its user. */
  readonly user?: string;
  /** For the scope `daemon`: the only daemon that may use it. */
  readonly daemonId?: string;
  /** Days from now, 1 to 3,650; absent: for ever. */
  readonly days?: number;
}

export interface CreatedToken {
  readonly id: string;
  /** The only time that anybody sees it. */
  readonly token: string;
  readonly expiresAt: number | null;
  readonly workspaceId: string;
  /** What had to be made for it. */
  readonly made: readonly ("workspace" | "user")[];
}

/** Makes the token, and the workspace and the user where they are new. */
export function createToken(deps: Shared, wanted: NewToken): Promise<CreatedToken> {
  return inTransaction(deps, async (deps) => {
    const made: ("workspace" | "user")[] = [];
    const workspace = await workspaceNamed(deps, wanted.workspace);
    if (workspace.isNew) made.push("workspace");
    let userId: string | null = null;
    if (wanted.scope === "user") {
      const user = await userNamed(deps, wanted.user ?? wanted.name);
      if (user.isNew) made.push("user");
      await joinWorkspace(deps, { workspaceId: workspace.id, userId: user.id });
      userId = user.id;
    }
    const expiresAt = wanted.days === undefined ? null : deps.clock.now() + wanted.days * DAY_MS;
    const { id, token } = await addToken(deps, {
      scope: wanted.scope,
      name: wanted.name,
      userId,
      workspaceId: wanted.scope === "daemon" ? workspace.id : null,
      daemonId: wanted.daemonId ?? null,
      taskId: null,
      expiresAt,
    });
    return { id, token, expiresAt, workspaceId: workspace.id, made };
  });
}

/** For the agent of a task that is being claimed: good for a day, and gone with the task. */
export async function createTaskToken(
  deps: Shared,
  task: { readonly id: string; readonly workspace_id: string },
  owner: string | null,
): Promise<string> {
  const { token } = await addToken(deps, {
    scope: "task",
    name: task.id,
    userId: owner,
    workspaceId: task.workspace_id,
    daemonId: null,
    taskId: task.id,
    expiresAt: deps.clock.now() + TASK_TOKEN_MS,
  });
  return token;
}

async function addToken(
  deps: Shared,
  row: {
    scope: TokenScope;
    name: string;
    userId: string | null;
    workspaceId: string | null;
    daemonId: string | null;
    taskId: string | null;
    expiresAt: number | null;
  },
): Promise<{ id: string; token: string }> {
  const id = deps.random.uuid();
  const token = `${PREFIX[row.scope]}${deps.random.hex(SECRET_BYTES)}`;
  await deps.store.run(ADD, {
    id,
    hash: hashToken(token),
    scope: row.scope,
    name: row.name,
    user: row.userId,
    workspace: row.workspaceId,
    daemon: row.daemonId,
    task: row.taskId,
    now: deps.clock.now(),
    expires: row.expiresAt,
  });
  return { id, token };
}

export interface TokenView {
  readonly id: string;
  readonly scope: TokenScope;
  readonly name: string;
  readonly daemon_id: string | null;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly used_at: number | null;
  readonly revoked_at: number | null;
  readonly user_name: string | null;
  readonly workspace_name: string | null;
}

/** Those of people and daemons, the oldest first; never a secret. */
export function listTokens(deps: Shared): Promise<TokenView[]> {
  return deps.store.all<TokenView>(LIST);
}

/** By id, the first 4 or more characters of it, or its name when only one live token has it. Throws `UserRefusal`. */
export function revokeToken(deps: Shared, idOrName: string): Promise<TokenView> {
  return inTransaction(deps, async (deps) => {
    const live = (await listTokens(deps)).filter((token) => token.revoked_at === null);
    const wanted = idOrName.trim();
    const found = live.filter(({ id, name }) => name === wanted || (wanted.length >= 4 && id.startsWith(wanted)));
    const [token, ...others] = found;
    if (!token || others.length > 0) {
      throw new UserRefusal(
        "invalid_request",
        `Revoking a token failed: ${
          token ? `"${wanted}" means ${found.length} tokens` : `there is no token "${wanted}"`
        }`,
        "See their ids with: drover token list",
      );
    }
    await deps.store.run("UPDATE tokens SET revoked_at = :now WHERE id = :id", { id: token.id, now: deps.clock.now() });
    return { ...token, revoked_at: deps.clock.now() };
  });
}

/** Whether anybody may come in at all. */
export async function hasLiveToken(deps: Shared): Promise<boolean> {
  const sql =
    "SELECT 1 FROM tokens WHERE scope <> 'task' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :now) LIMIT 1";
  return await deps.store.get(sql, { now: deps.clock.now() }) !== undefined;
}

/** More time for a token that is about to end (wire protocol 1.21); `expiresAt` is null for one that never ends. */
export async function renewToken(
  deps: Shared,
  tokenId: string,
): Promise<{ expiresAt: number | null; renewed: boolean }> {
  const row = await deps.store.get<{ expires_at: number | null }>("SELECT expires_at FROM tokens WHERE id = :id", {
    id: tokenId,
  });
  const expiresAt = row?.expires_at ?? null;
  const now = deps.clock.now();
  if (expiresAt === null || expiresAt - now >= RENEW_BELOW_MS) return { expiresAt, renewed: false };
  await deps.store.run("UPDATE tokens SET expires_at = :expires WHERE id = :id", {
    id: tokenId,
    expires: now + RENEWED_MS,
  });
  return { expiresAt: now + RENEWED_MS, renewed: true };
}

/** The agent of a task that is over has nothing more to say. */
export async function dropTaskTokens(deps: Shared, taskId: string): Promise<void> {
  await deps.store.run("DELETE FROM tokens WHERE task_id = :task", { task: taskId });
}

/** Those of tasks that have expired; the others stay, so that people see what there was. */
export function purgeTaskTokens(deps: Shared): Promise<number> {
  return deps.store.run("DELETE FROM tokens WHERE scope = 'task' AND expires_at <= :now", { now: deps.clock.now() });
}
