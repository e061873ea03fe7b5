/** Runtimes and their agents: register (an upsert that keeps ids), heartbeat, deregister. */
import { isFresh } from "../core/lease.ts";
import type { RegisterRequest } from "../wire/payloads.ts";
import { type Caller, mayUse } from "./caller.ts";
import { type Deps, inTransaction, type Shared } from "./deps.ts";
import { profileOf } from "./runtime_profiles.ts";
import { type RuntimeRecord, wireTime } from "./records.ts";
import { isOpen } from "./sql.ts";
import { cancelTask } from "./transitions.ts";

const COLUMNS =
  `:id, :workspace, :owner, :metadata, :daemon, :provider, :profile, :name, :version, :device, :position, :status, :now, :now, :now`;

/** One statement per kind of key: a built-in is known by its provider, a custom one by its profile. */
function upsert(conflict: string): string {
  return `
INSERT INTO runtimes
  (id, workspace_id, owner_id, metadata, daemon_id, provider, profile_id, name, version, device_name, position, status, last_seen_at, created_at, updated_at)
VALUES (${COLUMNS})
ON CONFLICT ${conflict} DO UPDATE SET
  owner_id = coalesce(excluded.owner_id, runtimes.owner_id), metadata = excluded.metadata,
  provider = excluded.provider, name = excluded.name, version = excluded.version, device_name = excluded.device_name,
  position = excluded.position, status = excluded.status, last_seen_at = excluded.last_seen_at,
  updated_at = excluded.updated_at
RETURNING *`;
}
const UPSERT_BUILTIN = upsert("(workspace_id, daemon_id, provider) WHERE profile_id IS NULL AND removed_at IS NULL");
const UPSERT_PROFILE = upsert(
  "(workspace_id, daemon_id, profile_id) WHERE profile_id IS NOT NULL AND removed_at IS NULL",
);

/**
 * A machine that changed its daemon id keeps its runtime, agent and tasks, unless it has registered anew already. Of
 * somebody else's machine it is not the earlier name, however that is called.
 */
const ADOPT_LEGACY = `
UPDATE runtimes SET daemon_id = :daemon
WHERE workspace_id = :workspace AND daemon_id = :legacy AND provider = :provider AND profile_id IS NULL
  AND removed_at IS NULL AND (owner_id IS NULL OR CAST(:owner AS TEXT) IS NULL OR owner_id = :owner)
  AND NOT EXISTS (
    SELECT 1 FROM runtimes
    WHERE workspace_id = :workspace AND daemon_id = :daemon AND provider = :provider AND profile_id IS NULL
      AND removed_at IS NULL)`;

const DAEMONS = `
SELECT DISTINCT daemon_id FROM runtimes WHERE workspace_id = :workspace AND profile_id IS NULL AND removed_at IS NULL`;

/** Those of the earlier ids that are known here, as they were spelled here: mostly none, and asked once. */
async function knownDaemons(deps: Deps, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const rows = await deps.store.all<{ daemon_id: string }>(DAEMONS, { workspace: deps.workspaceId });
  const known = Map.groupBy(rows.map(({ daemon_id }) => daemon_id), (id) => id.toLowerCase());
  return [...new Set(ids.map((id) => id.toLowerCase()))].flatMap((id) => known.get(id) ?? []);
}

const UPSERT_AGENT = `
INSERT INTO agents (id, runtime_id, name) VALUES (:id, :runtime, :name)
ON CONFLICT (runtime_id) WHERE own = 1 DO UPDATE SET name = excluded.name`;

/** A built-in is simply called after its CLI, a custom one as its profile. */
async function agentName(deps: Deps, runtime: RuntimeRecord): Promise<string> {
  const profile = runtime.profile_id && (await profileOf(deps, runtime.profile_id))?.name;
  return profile || (runtime.profile_id === null ? runtime.provider : runtime.name);
}

/** A profile that was switched off or removed while its daemon registered: the daemon fetches them anew and asks again. */
export class ProfileGone extends Error {
  override readonly name = "ProfileGone";
  constructor(readonly status: 400 | 409, message: string) {
    super(message);
  }
}

export interface Registration {
  readonly request: RegisterRequest;
  /** Those of its earlier ids that may count. */
  readonly legacyIds: readonly string[];
  /** Of the daemon (wire protocol 0.4). */
  readonly capabilities: readonly string[];
  /** The user whose token it came with; null where there is none. */
  readonly owner: string | null;
}

/** A profile's own, whatever the daemon calls it. Throws `ProfileGone`. */
async function providerOf(deps: Deps, entry: { type: string; profile_id?: string }): Promise<string> {
  if (!entry.profile_id) return entry.type.trim().toLowerCase() || "unknown";
  const profile = await profileOf(deps, entry.profile_id);
  if (!profile) throw new ProfileGone(400, `unknown runtime profile: ${entry.profile_id}`);
  if (!profile.enabled) throw new ProfileGone(409, `runtime profile is disabled: ${entry.profile_id}`);
  return profile.provider;
}

/** The runtimes of the call, each once, with the ids they had before. Their order becomes the order of the agents. */
export function registerRuntimes(deps: Deps, registration: Registration): Promise<RuntimeRecord[]> {
  const { request, legacyIds, capabilities, owner } = registration;
  return inTransaction(deps, async (deps) => {
    const { store, random, workspaceId: workspace } = deps;
    const now = deps.clock.now();
    const registered = new Map<string, RuntimeRecord>();
    const earlier = await knownDaemons(deps, legacyIds);
    const put = async (
      entry: { name: string; version: string; provider: string; profile: string | null },
      place: { position: number; status: RuntimeRecord["status"]; offline_reason?: Record<string, string> },
    ): Promise<RuntimeRecord> => {
      const { name, version, provider, profile } = entry;
      const { position, status, offline_reason } = place;
      const { cli_version, launched_by } = request;
      const row = await store.get<RuntimeRecord>(profile === null ? UPSERT_BUILTIN : UPSERT_PROFILE, {
        ...{ id: random.uuid(), workspace, owner, provider, profile, version, position, status, now },
        metadata: JSON.stringify({ version, cli_version, launched_by, capabilities, offline_reason }),
        daemon: request.daemon_id,
        name: name || `${provider} (${request.device_name})`,
        device: request.device_name,
      });
      if (!row) throw new Error(`Registering the runtime ${provider} returned no row`);
      return row;
    };
    for (const [position, entry] of request.runtimes.entries()) {
      const profile = entry.profile_id || null;
      const provider = await providerOf(deps, entry);
      if (profile === null) {
        for (const legacy of earlier) {
          await store.run(ADOPT_LEGACY, { daemon: request.daemon_id, legacy, provider, workspace, owner });
        }
      }
      const status = entry.status === "offline" ? "offline" : "online";
      const runtime = await put({ ...entry, provider, profile }, { position, status });
      await store.run(UPSERT_AGENT, {
        id: random.uuid(),
        runtime: runtime.id,
        name: await agentName(deps, runtime),
      });
      registered.set(runtime.id, runtime);
    }
    // No agent of theirs is made: they are there so that people see why nothing can be done on them.
    for (const { profile_id, command_name, reason } of request.failed_profiles) {
      const profile = await profileOf(deps, profile_id);
      if (!profile) continue;
      const name = `${profile.name} (${request.device_name})`;
      await put({ name, version: "", provider: profile.provider, profile: profile_id }, {
        ...{ position: request.runtimes.length, status: "offline" },
        offline_reason: { command: command_name, detail: reason },
      });
    }
    return [...registered.values()];
  });
}

const BEAT = `
UPDATE runtimes SET status = 'online', last_seen_at = :now WHERE id = :id AND removed_at IS NULL
RETURNING (SELECT count(*) FROM requests WHERE runtime_id = runtimes.id AND status = 'pending') AS asked`;

/** `undefined` when there is no such runtime. A beat brings an offline runtime back. `asked`: requests that wait for it. */
export function heartbeat(deps: Shared, runtimeId: string): Promise<{ readonly asked: number } | undefined> {
  return deps.store.get<{ asked: number }>(BEAT, { id: runtimeId, now: deps.clock.now() });
}

/** For people: those that are there, in the order of `agents`. */
export async function listRuntimes(deps: Deps): Promise<Record<string, unknown>[]> {
  const sql = `SELECT * FROM runtimes WHERE workspace_id = :workspace AND removed_at IS NULL
    ORDER BY position, created_at, id`;
  const now = deps.clock.now();
  const runtimes = await deps.store.all<RuntimeRecord>(sql, { workspace: deps.workspaceId });
  return runtimes.map((one) => ({ ...wireRuntime(one), ...(isOnline(one, now) ? {} : { status: "offline" }) }));
}

/** What its row says may be as old as a sweep. */
export function isOnline(runtime: Pick<RuntimeRecord, "status" | "last_seen_at">, now: number): boolean {
  return runtime.status === "online" && isFresh(runtime.last_seen_at, now);
}

/**
 * Takes it out of the workspace, with what was to be done on it; its daemon sees that it is gone and may come back under a
 * new id. The row stays for the tasks that it did.
 */
export function removeRuntime(deps: Deps, runtimeId: string): Promise<void> {
  return inTransaction(deps, async (deps) => {
    const { store } = deps;
    await store.run("UPDATE runtimes SET status = 'offline', removed_at = :now, updated_at = :now WHERE id = :id", {
      id: runtimeId,
      now: deps.clock.now(),
    });
    // As a claim does it: what is being queued for them is there by now, or will not find this runtime any more.
    await store.all("SELECT id FROM agents WHERE runtime_id = :id ORDER BY own DESC, id FOR NO KEY UPDATE", {
      id: runtimeId,
    });
    const open = `SELECT id FROM tasks WHERE runtime_id = :id AND ${isOpen()}`;
    for (const { id } of await store.all<{ id: string }>(open, { id: runtimeId })) await cancelTask(deps, id);
    await store.run("DELETE FROM requests WHERE runtime_id = :id", { id: runtimeId });
    // The next beat tells its daemon, and this makes it beat.
    store.afterCommit(() => deps.wakeups.publish({ kind: "pending-work", runtimeId }));
  });
}

/** Marks them offline. Unknown ones and those of others are skipped, tasks are left alone. */
export async function deregisterRuntimes(
  deps: Shared,
  { ids, caller }: { ids: readonly string[]; caller: Caller },
): Promise<void> {
  await inTransaction(deps, async (deps) => {
    for (const id of ids) {
      const sql = "SELECT workspace_id, daemon_id FROM runtimes WHERE id = :id";
      const row = await deps.store.get<{ workspace_id: string; daemon_id: string }>(sql, { id });
      if (!row || !mayUse(caller, row)) continue;
      await deps.store.run("UPDATE runtimes SET status = 'offline', updated_at = :now WHERE id = :id", {
        id,
        now: deps.clock.now(),
      });
    }
  });
}

/** The runtime object of the daemon protocol. */
export function wireRuntime(runtime: RuntimeRecord): Record<string, unknown> {
  return {
    id: runtime.id,
    workspace_id: runtime.workspace_id,
    daemon_id: runtime.daemon_id,
    name: runtime.name,
    custom_name: null,
    runtime_mode: "local",
    provider: runtime.provider,
    status: runtime.status,
    device_info: [runtime.device_name, runtime.version].filter(Boolean).join(" · "),
    metadata: JSON.parse(runtime.metadata),
    owner_id: runtime.owner_id,
    visibility: "private",
    profile_id: runtime.profile_id,
    last_seen_at: wireTime(runtime.last_seen_at),
    created_at: wireTime(runtime.created_at),
    updated_at: wireTime(runtime.updated_at),
  };
}
