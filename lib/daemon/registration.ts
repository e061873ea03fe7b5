/** Registration: tells a server which runtimes this machine has, per workspace, and keeps the ids it gave them. */
import type { Runtime } from "../core/model.ts";
import type { Clock, Logger, Random } from "../core/ports.ts";
import { backoffDelay } from "../core/pace.ts";
import type { RegisterRequest } from "../wire/payloads.ts";
import { type CallFailure, isMendable, isTransient } from "../wire/retry.ts";
import type { Connection } from "./connection.ts";

export interface RegistrationOptions {
  readonly connection: Connection;
  readonly daemonId: string;
  readonly deviceName: string;
  readonly version: string;
  readonly runtimes: readonly Runtime[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const BACKOFF = { firstMs: 1_000, maxMs: 60_000 } as const;

export interface Registration {
  /** Registers every workspace; tries again until it has worked or the signal aborts. */
  register(options: { signal: AbortSignal }): Promise<void>;
  /**
   * The server forgot a runtime: registers its workspace anew and recovers the orphans of the ids that are new (wire
   * protocol 3.6); doing so for an id that was only confirmed would fail the tasks that run on it. Several calls while
   * one is under way join it.
   */
  heal(options: { signal: AbortSignal }): Promise<void>;
  /**
   * Fails what an earlier process of this daemon left in flight; once per process, before the first claim. Tries again
   * while the server is in trouble: what is not recovered now would stay in flight for ever, as we keep beating.
   */
  recoverOrphans(options: { signal: AbortSignal }): Promise<number>;
  deregister(options: { signal: AbortSignal }): Promise<void>;
}

export function createRegistration(options: RegistrationOptions): Registration {
  return new WorkspaceRegistration(options);
}

class WorkspaceRegistration implements Registration {
  readonly #options: RegistrationOptions;
  #healing: Promise<void> | undefined;

  constructor(options: RegistrationOptions) {
    this.#options = options;
  }

  async register({ signal }: { signal: AbortSignal }): Promise<void> {
    const { connection, clock, random, log } = this.#options;
    for (let failures = 1;; failures++) {
      const failure = await this.#once(signal);
      if (!failure) return;
      connection.state = failure.code === "status" && failure.status < 500 ? "refused" : "connecting";
      connection.why = failure.detail;
      log.warn("registration failed, trying again", { connection: connection.name, failures, why: failure.detail });
      await clock.sleep(backoffDelay(failures, BACKOFF, random.fraction()), { signal });
    }
  }

  heal({ signal }: { signal: AbortSignal }): Promise<void> {
    return this.#healing ??= (async () => {
      this.#options.log.warn("server forgot a runtime, registering again", {
        connection: this.#options.connection.name,
      });
      const known = new Set(this.#options.connection.runtimes.keys());
      await this.register({ signal });
      await this.#recover([...this.#options.connection.runtimes.keys()].filter((id) => !known.has(id)), signal, {
        again: false,
      });
    })().finally(() => this.#healing = undefined);
  }

  recoverOrphans({ signal }: { signal: AbortSignal }): Promise<number> {
    return this.#recover([...this.#options.connection.runtimes.keys()], signal, { again: true });
  }

  /** With `again` only before the first claim: a repetition fails whatever was claimed meanwhile. */
  async #recover(ids: readonly string[], signal: AbortSignal, { again }: { again: boolean }): Promise<number> {
    const { connection, clock, random, log } = this.#options;
    let orphaned = 0;
    for (const id of ids) {
      for (let failures = 1;; failures++) {
        const result = await connection.client.recoverOrphans(id, { signal });
        if (result.kind === "ok") orphaned += result.value.orphaned;
        else log.warn("recovering orphans failed", { runtime: id, failures, why: result.detail });
        if (result.kind === "ok" || !again || !(isTransient(result) || isMendable(result))) break;
        // A runtime that is gone by now has no orphans; the heartbeat sees to the rest.
        if (result.gone !== undefined) break;
        await clock.sleep(backoffDelay(failures, BACKOFF, random.fraction()), { signal });
      }
    }
    if (orphaned > 0) log.warn("tasks of an earlier process were recovered", { orphaned });
    return orphaned;
  }

  async deregister({ signal }: { signal: AbortSignal }): Promise<void> {
    const { connection, log } = this.#options;
    const ids = [...connection.runtimes.keys()];
    if (ids.length === 0) return;
    const result = await connection.client.deregister(ids, { signal });
    if (result.kind !== "ok") log.warn("deregistering failed", { connection: connection.name, why: result.detail });
    connection.runtimes.clear();
  }

  async #once(signal: AbortSignal): Promise<CallFailure | undefined> {
    const { connection, runtimes, log } = this.#options;
    const workspaces = await connection.client.workspaces({ signal });
    signal.throwIfAborted();
    if (workspaces.kind !== "ok") return workspaces;
    const next: typeof connection.runtimes = new Map();
    for (const workspace of runtimes.length > 0 ? workspaces.value : []) {
      const answer = await connection.client.register(this.#request(workspace.id), { signal });
      signal.throwIfAborted();
      if (answer.kind !== "ok") return answer;
      connection.serverCapabilities = answer.value.server_capabilities;
      for (const row of answer.value.runtimes) {
        const runtime = runtimes.find((candidate) => candidate.provider === row.provider);
        if (runtime) next.set(row.id, { id: row.id, workspace: workspace.id, name: row.name, runtime });
      }
    }
    // The answers are the authoritative set: it replaces what was known in one step.
    connection.runtimes.clear();
    for (const [id, registered] of next) connection.runtimes.set(id, registered);
    connection.state = "connected";
    connection.why = "";
    log.info("registered", {
      connection: connection.name,
      runtimes: [...next.values()].map(({ runtime }) => `${runtime.provider} ${runtime.version}`.trim()),
    });
    return undefined;
  }

  #request(workspace: string): RegisterRequest {
    const { daemonId, deviceName, version, runtimes } = this.#options;
    return {
      workspace_id: workspace,
      daemon_id: daemonId,
      device_name: deviceName,
      cli_version: version,
      launched_by: "",
      legacy_daemon_ids: [],
      runtimes: runtimes.map((runtime) => ({
        type: runtime.provider,
        name: `${runtime.provider} (${deviceName})`,
        version: runtime.version,
        status: "online",
      })),
      failed_profiles: [],
    };
  }
}
