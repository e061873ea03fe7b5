/** Registration: tells a server which runtimes this machine has, per workspace, and keeps the ids it gave them. */
import { type Runtime, runtimeKey } from "../core/model.ts";
import type { Clock, Logger, Random } from "../core/ports.ts";
import { backoffDelay } from "../core/pace.ts";
import type { RegisterRequest } from "../wire/payloads.ts";
import { type CallFailure, isMendable, isTransient } from "../wire/retry.ts";
import type { Connection } from "./connection.ts";
import type { ProfileRuntimes } from "./profile_runtimes.ts";
import { createTroubleLog, type TroubleLog } from "./trouble_log.ts";

export interface RegistrationOptions {
  readonly connection: Connection;
  /** Custom runtimes of this server's workspaces; absent where it can have none. */
  readonly profiles?: ProfileRuntimes;
  readonly daemonId: string;
  readonly deviceName: string;
  readonly version: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const BACKOFF = { firstMs: 1_000, maxMs: 60_000 } as const;

/**
 * Several calls while one is under way join it, and it goes on until the server knows all that is offered by then.
 *
 * An id is used only after the orphans of an earlier process were recovered for it, once: what were not recovered then
 * would stay in flight for ever, as we keep beating, and to recover what was claimed since would fail what runs.
 */
export interface Registration {
  /**
   * Registers these with every workspace, and takes back what is none of them any more; tries again until it has worked
   * or the signal aborts.
   */
  offer(runtimes: readonly Runtime[], options: { signal: AbortSignal }): Promise<void>;
  /** The server forgot a runtime (wire protocol 3.6): registers anew. */
  heal(options: { signal: AbortSignal }): Promise<void>;
  /** The server's runtime profiles may be others: registers anew if they are, without recovering orphans. */
  checkProfiles(options: { signal: AbortSignal }): Promise<void>;
  deregister(options: { signal: AbortSignal }): Promise<void>;
}

export function createRegistration(options: RegistrationOptions): Registration {
  return new WorkspaceRegistration(options);
}

class WorkspaceRegistration implements Registration {
  readonly #options: RegistrationOptions;
  readonly #trouble: TroubleLog;
  #runtimes: readonly Runtime[] = [];
  #underWay: Promise<void> | undefined;
  /** Ids that the server has given and that are not in use yet. */
  #coming: readonly string[] = [];
  /** Their orphans were recovered: a runtime that was taken back and returns has none. */
  readonly #recovered = new Set<string>();
  #delivered = false;
  /** The next registration follows a change of profiles: what it brings has no past, and tasks may be running. */
  #drift = false;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#trouble = createTroubleLog(options.log, {
      failed: "registration failed, trying again",
      fine: "registration works again",
      fields: { connection: options.connection.name },
    });
  }

  offer(runtimes: readonly Runtime[], { signal }: { signal: AbortSignal }): Promise<void> {
    this.#runtimes = runtimes;
    return this.#register(signal);
  }

  async checkProfiles({ signal }: { signal: AbortSignal }): Promise<void> {
    const { profiles, connection } = this.#options;
    if (!profiles) return;
    const workspaces = await connection.client.workspaces({ signal });
    signal.throwIfAborted();
    if (workspaces.kind !== "ok") return;
    const changed = await Promise.all(workspaces.value.map(({ id }) => profiles.changed(id, { signal })));
    if (!changed.includes(true)) return;
    this.#options.log.info("runtime profiles have changed, registering again", { connection: connection.name });
    // Joined to one under way it might have fetched them before the change.
    await this.#underWay?.catch(() => {});
    this.#drift = true;
    await this.#register(signal);
  }

  heal({ signal }: { signal: AbortSignal }): Promise<void> {
    if (!this.#underWay) {
      this.#options.log.warn("server forgot a runtime, registering again", {
        connection: this.#options.connection.name,
      });
    }
    return this.#register(signal);
  }

  #register(signal: AbortSignal): Promise<void> {
    return this.#underWay ??= this.#untilDone(signal).finally(() => this.#underWay = undefined);
  }

  async #untilDone(signal: AbortSignal): Promise<void> {
    const { connection, clock, random } = this.#options;
    for (let failures = 0;;) {
      const runtimes = this.#runtimes;
      const failure = await this.#once(runtimes, signal);
      if (!failure && runtimes === this.#runtimes) return;
      failures = failure ? failures + 1 : 0;
      if (!failure) continue;
      connection.state = failure.code === "status" && failure.status < 500 ? "refused" : "connecting";
      connection.why = failure.detail;
      this.#trouble.failed(failure.detail);
      await clock.sleep(backoffDelay(failures, BACKOFF, random.fraction()), { signal });
    }
  }

  async #recover(ids: readonly string[], signal: AbortSignal): Promise<void> {
    const { connection, clock, random, log } = this.#options;
    let orphaned = 0;
    for (const id of ids) {
      const trouble = createTroubleLog(log, {
        failed: "recovering orphans failed",
        fine: "orphans were recovered at last",
        fields: { connection: connection.name, runtime: id },
      });
      for (let failures = 1;; failures++) {
        const result = await connection.client.recoverOrphans(id, { signal });
        if (result.kind === "ok") {
          orphaned += result.value.orphaned;
          this.#recovered.add(id);
          trouble.fine();
          break;
        }
        trouble.failed(result.detail);
        // A runtime that is gone by now has no orphans; the heartbeat sees to the rest.
        if (result.gone !== undefined || !(isTransient(result) || isMendable(result))) break;
        await clock.sleep(backoffDelay(failures, BACKOFF, random.fraction()), { signal });
      }
    }
    if (orphaned > 0) log.warn("tasks of an earlier process were recovered", { orphaned });
  }

  async deregister({ signal }: { signal: AbortSignal }): Promise<void> {
    const { connection, log } = this.#options;
    const ids = [...new Set([...connection.runtimes.keys(), ...this.#coming])];
    if (ids.length === 0) return;
    const result = await connection.client.deregister(ids, { signal });
    if (result.kind !== "ok") log.warn("deregistering failed", { connection: connection.name, why: result.detail });
    connection.runtimes.clear();
    this.#coming = [];
  }

  async #once(runtimes: readonly Runtime[], signal: AbortSignal): Promise<CallFailure | undefined> {
    const { connection, log } = this.#options;
    const workspaces = await connection.client.workspaces({ signal });
    signal.throwIfAborted();
    if (workspaces.kind !== "ok") return workspaces;
    const next: typeof connection.runtimes = new Map();
    const offeredKeys = new Set<string>();
    for (const workspace of workspaces.value) {
      const custom = await this.#options.profiles?.of(workspace.id, { signal });
      const offered = [...runtimes, ...custom?.runtimes ?? []];
      for (const runtime of offered) offeredKeys.add(runtimeKey(runtime));
      const failed = custom?.failed ?? [];
      if (offered.length + failed.length === 0) continue;
      const answer = await connection.client.register(this.#request(workspace.id, offered, failed), { signal });
      signal.throwIfAborted();
      if (answer.kind !== "ok") return answer;
      connection.serverCapabilities = answer.value.server_capabilities;
      for (const row of answer.value.runtimes) {
        const runtime = offered.find((one) =>
          row.profile_id ? one.profile?.id === row.profile_id : !one.profile && one.provider === row.provider
        );
        if (runtime) next.set(row.id, { id: row.id, workspace: workspace.id, name: row.name, runtime });
      }
      this.#coming = [...next.keys()];
    }
    const fresh = [...next.keys()].filter((id) => !connection.runtimes.has(id) && !this.#recovered.has(id));
    if (this.#drift) { for (const id of fresh) this.#recovered.add(id); }
    await this.#settlePast(this.#drift ? [] : fresh, signal);
    this.#drift = false;
    const failure = await this.#takeBack(offeredKeys, signal);
    if (failure) return failure;
    // The answers are the authoritative set: it replaces what was known in one step.
    connection.runtimes.clear();
    for (const [id, registered] of next) connection.runtimes.set(id, registered);
    this.#coming = [];
    connection.state = "connected";
    connection.why = "";
    this.#trouble.fine();
    log.info("registered", {
      connection: connection.name,
      runtimes: [...next.values()].map(({ runtime }) => `${runtime.provider} ${runtime.version}`.trim()),
    });
    return undefined;
  }

  /** A runtime that is not offered any more would get tasks until the server misses its heartbeat. */
  async #takeBack(offered: ReadonlySet<string>, signal: AbortSignal): Promise<CallFailure | undefined> {
    const { connection, log } = this.#options;
    const gone = [...connection.runtimes.values()].filter(({ runtime }) => !offered.has(runtimeKey(runtime)));
    if (gone.length === 0) return undefined;
    const answer = await connection.client.deregister(gone.map(({ id }) => id), { signal });
    signal.throwIfAborted();
    if (answer.kind !== "ok" && isTransient(answer)) return answer;
    const fields = { connection: connection.name, runtimes: gone.map(({ runtime }) => runtime.provider) };
    if (answer.kind === "ok") log.info("deregistered", fields);
    else log.warn("deregistering failed", { ...fields, why: answer.detail });
    return undefined;
  }

  /** What the last process had to say comes first: recovering orphans would fail tasks whose outcome is known. */
  async #settlePast(newIds: readonly string[], signal: AbortSignal): Promise<void> {
    if (!this.#delivered) await this.#options.connection.delivery.deliverAll({ signal });
    this.#delivered = true;
    await this.#recover(newIds, signal);
    signal.throwIfAborted();
  }

  #request(
    workspace: string,
    runtimes: readonly Runtime[],
    failed: RegisterRequest["failed_profiles"],
  ): RegisterRequest {
    const { daemonId, deviceName, version } = this.#options;
    return {
      workspace_id: workspace,
      daemon_id: daemonId,
      device_name: deviceName,
      cli_version: version,
      launched_by: "",
      legacy_daemon_ids: [],
      runtimes: runtimes.map((runtime) => ({
        type: runtime.provider,
        name: `${runtime.profile?.name ?? runtime.provider} (${deviceName})`,
        version: runtime.version,
        status: "online",
        ...(runtime.profile ? { profile_id: runtime.profile.id } : {}),
      })),
      failed_profiles: [...failed],
    };
  }
}
