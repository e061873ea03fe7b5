/** Runtimes and their agents: register (an upsert that keeps ids), heartbeat, deregister. */
import type { RegisterRequest } from "../wire/payloads.ts";
import { type Deps, inTransaction } from "./deps.ts";
import { enabledProfileName } from "./runtime_profiles.ts";
import { type RuntimeRecord, wireTime } from "./records.ts";

const COLUMNS = `:id, :daemon, :provider, :profile, :name, :version, :device, :position, :status, :now, :now, :now`;

/** One statement per kind of key: a built-in is known by its provider, a custom one by its profile. */
function upsert(conflict: string): string {
  return `
INSERT INTO runtimes
  (id, daemon_id, provider, profile_id, name, version, device_name, position, status, last_seen_at, created_at, updated_at)
VALUES (${COLUMNS})
ON CONFLICT ${conflict} DO UPDATE SET
  provider = excluded.provider, name = excluded.name, version = excluded.version, device_name = excluded.device_name,
  position = excluded.position, removed_at = NULL, status = excluded.status, last_seen_at = excluded.last_seen_at,
  updated_at = excluded.updated_at
RETURNING *`;
}
const UPSERT_BUILTIN = upsert("(daemon_id, provider) WHERE profile_id IS NULL");
const UPSERT_PROFILE = upsert("(daemon_id, profile_id) WHERE profile_id IS NOT NULL");

/** A machine that changed its daemon id keeps its runtime, agent and tasks, unless it has registered anew already. */
const ADOPT_LEGACY = `
UPDATE runtimes SET daemon_id = :daemon
WHERE lower(daemon_id) = lower(:legacy) AND provider = :provider AND profile_id IS NULL
  AND NOT EXISTS (
    SELECT 1 FROM runtimes WHERE daemon_id = :daemon AND provider = :provider AND profile_id IS NULL)`;

const UPSERT_AGENT = `
INSERT INTO agents (id, runtime_id, name) VALUES (:id, :runtime, :name)
ON CONFLICT (runtime_id) DO UPDATE SET name = excluded.name`;

/** A built-in is simply called after its CLI, a custom one as its profile. */
async function agentName(deps: Deps, runtime: RuntimeRecord): Promise<string> {
  const profile = runtime.profile_id && await enabledProfileName(deps, runtime.profile_id);
  return profile || (runtime.profile_id === null ? runtime.provider : runtime.name);
}

/** A profile that was switched off while its daemon registered: the daemon fetches them anew and asks again. */
export class ProfileGone extends Error {
  override readonly name = "ProfileGone";
}

/** The runtimes of the call, each once, with the ids they had before. Their order becomes the order of the agents. */
export function registerRuntimes(deps: Deps, request: RegisterRequest): Promise<RuntimeRecord[]> {
  return inTransaction(deps, async (deps) => {
    const { store, random } = deps;
    const now = deps.clock.now();
    const registered = new Map<string, RuntimeRecord>();
    for (const [position, entry] of request.runtimes.entries()) {
      const provider = entry.type.trim().toLowerCase() || "unknown";
      const profile = entry.profile_id || null;
      if (profile !== null && await enabledProfileName(deps, profile) === undefined) {
        throw new ProfileGone(`Registering a runtime failed: there is no enabled profile ${profile}`);
      }
      if (profile === null) {
        for (const legacy of request.legacy_daemon_ids) {
          await store.run(ADOPT_LEGACY, { daemon: request.daemon_id, legacy, provider });
        }
      }
      const runtime = await store.get<RuntimeRecord>(profile === null ? UPSERT_BUILTIN : UPSERT_PROFILE, {
        id: random.uuid(),
        daemon: request.daemon_id,
        provider,
        profile,
        name: entry.name || `${provider} (${request.device_name})`,
        version: entry.version,
        device: request.device_name,
        position,
        status: entry.status === "offline" ? "offline" : "online",
        now,
      });
      if (!runtime) throw new Error(`Registering the runtime ${provider} returned no row`);
      await store.run(UPSERT_AGENT, {
        id: random.uuid(),
        runtime: runtime.id,
        name: await agentName(deps, runtime),
      });
      registered.set(runtime.id, runtime);
    }
    for (const { profile_id } of request.failed_profiles) {
      await store.run(
        "UPDATE runtimes SET status = 'offline', updated_at = :now WHERE daemon_id = :daemon AND profile_id = :profile",
        { daemon: request.daemon_id, profile: profile_id, now },
      );
    }
    return [...registered.values()];
  });
}

/** False when there is no such runtime. A beat brings an offline runtime back. */
export async function heartbeat(deps: Deps, runtimeId: string): Promise<boolean> {
  const changed = await deps.store.run(
    "UPDATE runtimes SET status = 'online', last_seen_at = :now WHERE id = :id AND removed_at IS NULL",
    {
      id: runtimeId,
      now: deps.clock.now(),
    },
  );
  return changed > 0;
}

/** Marks them offline. Unknown ids are skipped, tasks are left alone. */
export async function deregisterRuntimes(deps: Deps, runtimeIds: readonly string[]): Promise<void> {
  await inTransaction(deps, async (deps) => {
    for (const id of runtimeIds) {
      await deps.store.run("UPDATE runtimes SET status = 'offline', updated_at = :now WHERE id = :id", {
        id,
        now: deps.clock.now(),
      });
    }
  });
}

export async function runtimeExists(deps: Deps, runtimeId: string): Promise<boolean> {
  const sql = "SELECT 1 FROM runtimes WHERE id = :id AND removed_at IS NULL";
  return await deps.store.get(sql, { id: runtimeId }) !== undefined;
}

/** The runtime object of the daemon protocol. */
export function wireRuntime(runtime: RuntimeRecord, deps: Deps): Record<string, unknown> {
  return {
    id: runtime.id,
    workspace_id: deps.workspaceId,
    daemon_id: runtime.daemon_id,
    name: runtime.name,
    custom_name: null,
    runtime_mode: "local",
    provider: runtime.provider,
    status: runtime.status,
    device_info: [runtime.device_name, runtime.version].filter(Boolean).join(" · "),
    metadata: { version: runtime.version },
    visibility: "private",
    profile_id: runtime.profile_id,
    last_seen_at: wireTime(runtime.last_seen_at),
    created_at: wireTime(runtime.created_at),
    updated_at: wireTime(runtime.updated_at),
  };
}
