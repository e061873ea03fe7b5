/** Runtime profiles in the store: what people add and change, what daemons fetch, and who hears of a change. */
import { profileProblem } from "../core/runtime_profile.ts";
import type { CreateProfile, ProfileView } from "../wire/profiles.ts";
import { type Deps, inTransaction } from "./deps.ts";
import { userTime } from "./records.ts";
import { isOpen } from "./sql.ts";
import { UserRefusal } from "./user_refusal.ts";

interface ProfileRecord {
  readonly id: string;
  readonly display_name: string;
  readonly provider: string;
  readonly command_name: string;
  readonly description: string | null;
  /** JSON. */
  readonly fixed_args: string;
  /** JSON. */
  readonly env: string;
  readonly visibility: "workspace" | "private";
  readonly enabled: number;
  readonly created_at: number;
  readonly updated_at: number;
}

const ALL = "SELECT * FROM runtime_profiles WHERE workspace_id = :workspace ORDER BY created_at, rowid";

const ADD = `
INSERT INTO runtime_profiles
  (id, workspace_id, display_name, provider, command_name, description, fixed_args, env, visibility, enabled, created_at,
   updated_at)
VALUES (:id, :workspace, :name, :provider, :command, :description, :args, :env, :visibility, 1, :now, :now)
ON CONFLICT (workspace_id, display_name) DO NOTHING`;

const BUILT_IN = `
SELECT 1 FROM agents a JOIN runtimes r ON r.id = a.runtime_id WHERE a.name = :name AND r.profile_id IS NULL AND r.workspace_id = :workspace`;

/** Its runtimes have no place to run any more; those with a history stay for it. */
const TAKE_RUNTIMES = `
UPDATE runtimes SET status = 'offline', removed_at = :now, updated_at = :now
WHERE profile_id = :id AND removed_at IS NULL`;

const OPEN_TASKS = `
SELECT count(*) AS count FROM tasks WHERE ${isOpen()} AND runtime_id IN (SELECT id FROM runtimes WHERE profile_id = :id)`;

export async function listProfiles(deps: Deps): Promise<ProfileView[]> {
  return (await deps.store.all<ProfileRecord>(ALL, { workspace: deps.workspaceId })).map(toView);
}

/** As daemons get them (wire protocol 4.1), with the environment that only we have. */
export async function wireProfiles(deps: Deps): Promise<Record<string, unknown>[]> {
  const records = await deps.store.all<ProfileRecord>(ALL, { workspace: deps.workspaceId });
  return records.filter(({ enabled }) => enabled === 1).map((record) => ({
    id: record.id,
    workspace_id: deps.workspaceId,
    display_name: record.display_name,
    protocol_family: record.provider,
    command_name: record.command_name,
    description: record.description,
    fixed_args: JSON.parse(record.fixed_args),
    env: JSON.parse(record.env),
    visibility: record.visibility,
    created_by: null,
    enabled: true,
    created_at: userTime(record.created_at),
    updated_at: userTime(record.updated_at),
  }));
}

/** What registering a runtime of it has to know; `undefined` for one that is gone. */
export async function profileOf(
  deps: Deps,
  id: string,
): Promise<{ name: string; provider: string; enabled: boolean } | undefined> {
  const sql = `SELECT display_name AS name, provider, enabled FROM runtime_profiles
    WHERE id = :id AND workspace_id = :workspace`;
  const row = await deps.store.get<{ name: string; provider: string; enabled: number }>(sql, {
    id,
    workspace: deps.workspaceId,
  });
  return row && { ...row, enabled: row.enabled === 1 };
}

export async function addProfile(deps: Deps, request: CreateProfile): Promise<ProfileView> {
  const name = request.display_name.trim();
  const { command_name: command, fixed_args: fixedArgs, env } = request;
  const problem = profileProblem({ displayName: name, command, fixedArgs, env });
  if (problem) throw new UserRefusal("invalid_request", `Adding a runtime failed: ${problem}`);
  return await inTransaction(deps, async (deps) => {
    const builtIn = await deps.store.get(BUILT_IN, { name, workspace: deps.workspaceId });
    const id = deps.random.uuid();
    const added = builtIn ? 0 : await deps.store.run(ADD, {
      id,
      workspace: deps.workspaceId,
      name,
      provider: request.protocol_family,
      command,
      description: request.description ?? null,
      args: JSON.stringify(fixedArgs),
      env: JSON.stringify(env),
      visibility: request.visibility,
      now: deps.clock.now(),
    });
    if (added === 0) {
      throw new UserRefusal(
        "profile_exists",
        `Adding a runtime failed: there is an agent "${name}" already`,
        "Choose another name, or remove that one first: drover runtime list",
      );
    }
    tell(deps);
    return toView(await recordOf(deps, id));
  });
}

export function setProfileEnabled(deps: Deps, nameOrId: string, enabled: boolean): Promise<ProfileView> {
  return inTransaction(deps, async (deps) => {
    const { id } = await recordOf(deps, nameOrId);
    await deps.store.run("UPDATE runtime_profiles SET enabled = :enabled, updated_at = :now WHERE id = :id", {
      id,
      enabled: enabled ? 1 : 0,
      now: deps.clock.now(),
    });
    tell(deps);
    return toView(await recordOf(deps, id));
  });
}

/** Throws `profile_busy` while tasks of it are open: they could never end. */
export function removeProfile(deps: Deps, nameOrId: string): Promise<ProfileView> {
  return inTransaction(deps, async (deps) => {
    const { store } = deps;
    const record = await recordOf(deps, nameOrId);
    const open = (await store.get<{ count: number }>(OPEN_TASKS, { id: record.id }))?.count ?? 0;
    if (open > 0) {
      throw new UserRefusal(
        "profile_busy",
        `Removing the runtime "${record.display_name}" failed: ${open} of its tasks ${
          open === 1 ? "is" : "are"
        } not over`,
        "Wait for them, or cancel them: drover tasks list --status queued,running",
      );
    }
    await store.run(TAKE_RUNTIMES, { id: record.id, now: deps.clock.now() });
    await store.run("DELETE FROM runtime_profiles WHERE id = :id", { id: record.id });
    tell(deps);
    return toView(record);
  });
}

async function recordOf(deps: Deps, nameOrId: string): Promise<ProfileRecord> {
  const sql = "SELECT * FROM runtime_profiles WHERE workspace_id = :workspace AND (id = :it OR display_name = :it)";
  const record = await deps.store.get<ProfileRecord>(sql, { it: nameOrId, workspace: deps.workspaceId });
  if (record) return record;
  const names = (await listProfiles(deps)).map(({ display_name }) => display_name);
  throw new UserRefusal(
    "profile_unknown",
    `Finding the runtime "${nameOrId}" failed: ${
      names.length > 0 ? `there are ${names.join(", ")}` : "no runtime was added here"
    }`,
    "See them with: drover runtime list",
  );
}

function tell(deps: Deps): void {
  deps.store.afterCommit(() => deps.wakeups.publish({ kind: "profiles-changed", workspaceId: deps.workspaceId }));
}

/** Values of variables may be secrets: only their names are shown. */
function toView(record: ProfileRecord): ProfileView {
  return {
    id: record.id,
    display_name: record.display_name,
    protocol_family: record.provider,
    command_name: record.command_name,
    description: record.description,
    fixed_args: JSON.parse(record.fixed_args),
    env: Object.keys(JSON.parse(record.env)),
    visibility: record.visibility,
    enabled: record.enabled === 1,
    created_at: userTime(record.created_at),
    updated_at: userTime(record.updated_at),
  };
}
