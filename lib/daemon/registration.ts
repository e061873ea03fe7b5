/** Registration: tells a server which runtimes this machine has, per workspace, and keeps the ids it gave them. */
import type { Runtime } from "../core/model.ts";
import type { Clock, Logger, Random } from "../core/ports.ts";
import { backoffDelay } from "../core/pace.ts";
import { workspaceChange } from "../core/workspace_sync.ts";
import type { RegisterRequest } from "../wire/payloads.ts";
import type { CallFailure } from "../wire/retry.ts";
import type { Connection } from "./connection.ts";
import type { ProfileRuntimes } from "./profile_runtimes.ts";
import { createTroubleLog, type TroubleLog } from "./trouble_log.ts";
import { WorkspaceEntry } from "./workspace_entry.ts";

export interface RegistrationOptions {
  readonly connection: Connection;
  /** Custom runtimes of this server's workspaces; absent where it can have none. */
  readonly profiles?: ProfileRuntimes;
  readonly daemonId: string;
  /** Ids that this home had with the server before; what they have there becomes ours. */
  readonly legacyDaemonIds?: readonly string[];
  readonly deviceName: string;
  readonly version: string;
  /** Whether a task of ours is in hand for a runtime; default no. */
  readonly busy?: (runtimeId: string) => boolean;
  /** The server knows other runtimes of this machine now, or the same ones anew. */
  readonly onRegistered?: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

type Waiting = { readonly signal: AbortSignal };

const BACKOFF = { firstMs: 1_000, maxMs: 60_000 } as const;

/**
 * Each workspace is registered by itself, so that one in trouble holds up no other.
 *
 * An id is used only after the orphans of an earlier process were recovered for it, once: what were not recovered then
 * would stay in flight for ever, as we keep beating, and to recover what was claimed since would fail what runs.
 */
export interface Registration {
  /**
   * Registers these with every workspace, and takes back what is none of them any more; tries again until it has worked
   * or the signal aborts.
   */
  offer(runtimes: readonly Runtime[], options: Waiting): Promise<void>;
  /** The server forgot runtimes (wire protocol 3.6): registers their workspaces anew; without ids, all of them. */
  heal(options: Waiting & { readonly ids?: readonly string[] }): Promise<void>;
  /** The server's runtime profiles may be others: registers anew if they are, without recovering orphans. */
  checkProfiles(options: Waiting & { readonly workspace?: string }): Promise<void>;
  /** Looks which workspaces there are: new ones are registered, lost ones forgotten. Whether the server answered. */
  sync(options: Waiting): Promise<boolean>;
  deregister(options: Waiting): Promise<void>;
}

export function createRegistration(options: RegistrationOptions): Registration {
  return new WorkspaceRegistrations(options);
}

/** In the place of a workspace's id, for the list of them. */
const LIST = "";

class WorkspaceRegistrations implements Registration {
  readonly #options: RegistrationOptions;
  readonly #trouble: TroubleLog;
  readonly #entries = new Map<string, WorkspaceEntry>();
  readonly #failing = new Map<string, CallFailure>();
  #runtimes: readonly Runtime[] = [];
  #offering: Promise<void> | undefined;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#trouble = createTroubleLog(options.log, {
      failed: "registration failed, trying again",
      fine: "registration works again",
      fields: { connection: options.connection.name },
    });
  }

  offer(runtimes: readonly Runtime[], { signal }: Waiting): Promise<void> {
    this.#runtimes = runtimes;
    // The offer that is under way may wait for one in trouble; the others need not.
    if (this.#offering) { for (const entry of this.#all()) void entry.register("offer", signal).catch(() => {}); }
    return this.#offering ??= this.#untilOffered(signal).finally(() => this.#offering = undefined);
  }

  async heal({ signal, ids }: Waiting & { readonly ids?: readonly string[] }): Promise<void> {
    // Nothing was registered yet, or nobody knows where: all is registered anew.
    if (this.#entries.size === 0) return await this.offer(this.#runtimes, { signal });
    const { runtimes } = this.#options.connection;
    const gone = ids ?? [...runtimes.keys()];
    const byWorkspace = Map.groupBy(gone, (id) => runtimes.get(id)?.workspace ?? "");
    await Promise.all(
      [...byWorkspace].map(([workspace, ids]) => this.#entries.get(workspace)?.heal(ids, signal)),
    );
  }

  async checkProfiles({ signal, workspace }: Waiting & { readonly workspace?: string }): Promise<void> {
    const entries = [...this.#entries.values()].filter(({ id }) => workspace === undefined || id === workspace);
    await Promise.all(entries.map((entry) => entry.checkProfiles(signal)));
  }

  async sync({ signal }: Waiting): Promise<boolean> {
    const change = await this.#look(signal);
    if (!change) return false;
    // Beside the sync: it may take as long as the server is in trouble.
    for (const id of change.due) void this.#entries.get(id)?.ensure(signal).catch(() => {});
    for (const id of change.kept) void this.#entries.get(id)?.checkProfiles(signal).catch(() => {});
    return true;
  }

  async deregister({ signal }: Waiting): Promise<void> {
    const { connection, log } = this.#options;
    const ids = [...new Set([...connection.runtimes.keys(), ...this.#all().flatMap((one) => one.ids)])];
    if (ids.length === 0) return;
    const result = await connection.client.deregister(ids, { signal });
    if (result.kind !== "ok") log.warn("deregistering failed", { connection: connection.name, why: result.detail });
    connection.runtimes.clear();
    for (const entry of this.#all()) entry.forget();
    this.#entries.clear();
  }

  #all(): WorkspaceEntry[] {
    return [...this.#entries.values()];
  }

  async #untilOffered(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    for (let failures = 0;;) {
      if (!await this.#look(signal)) {
        await clock.sleep(backoffDelay(++failures, BACKOFF, random.fraction()), { signal });
        continue;
      }
      failures = 0;
      await Promise.all(this.#all().map((entry) => entry.register("offer", signal)));
      if (this.#all().every((entry) => entry.knows(this.#runtimes))) return;
    }
  }

  /** Which workspaces there are now; nothing when the server does not say. */
  async #look(signal: AbortSignal): Promise<ReturnType<typeof workspaceChange> | undefined> {
    const { connection } = this.#options;
    const answer = await connection.client.workspaces({ signal });
    signal.throwIfAborted();
    if (answer.kind !== "ok") {
      this.#report(LIST, answer);
      return undefined;
    }
    connection.consent?.found(answer.value);
    const there = answer.value.map(({ id }) => id);
    const change = workspaceChange({
      tracked: [...this.#entries.keys()],
      registered: new Set([...connection.runtimes.values()].map(({ workspace }) => workspace)),
      wanted: there.filter((id) => !connection.consent || connection.consent.watched(id)),
    });
    for (const id of change.lost) await this.#drop(id, { tell: there.includes(id) }, signal);
    for (const id of change.due) if (!this.#entries.has(id)) this.#entries.set(id, this.#entry(id));
    this.#report(LIST, undefined);
    return change;
  }

  /** Of a membership that ended the server knows; that the owner of this machine changed his mind it must be told. */
  async #drop(id: string, { tell }: { tell: boolean }, signal: AbortSignal): Promise<void> {
    const { connection, log } = this.#options;
    const entry = this.#entries.get(id);
    // Another look has found the same a moment before.
    if (!entry) return;
    const { ids } = entry;
    entry.forget();
    this.#entries.delete(id);
    this.#failing.delete(id);
    this.#options.onRegistered?.();
    log.info("workspace is not served any more", { connection: connection.name, workspace: id, available: tell });
    if (tell && ids.length > 0) await connection.client.deregister(ids, { signal });
  }

  #entry(id: string): WorkspaceEntry {
    return new WorkspaceEntry(id, {
      ...this.#options,
      busy: this.#options.busy ?? (() => false),
      runtimes: () => this.#runtimes,
      request: (...asked) => this.#request(...asked),
      report: (failure) => {
        this.#report(id, failure);
        if (!failure) this.#options.onRegistered?.();
      },
    });
  }

  #report(key: string, failure: CallFailure | undefined): void {
    const { connection } = this.#options;
    if (failure) {
      this.#failing.set(key, failure);
      connection.state = failure.code === "status" && failure.status < 500 ? "refused" : "connecting";
      connection.why = failure.detail;
      return this.#trouble.failed(failure.detail);
    }
    this.#failing.delete(key);
    // The one that has just been told of is registered a moment later.
    const waits = this.#all().some((entry) => entry.id !== key && !entry.registered);
    if (this.#failing.size > 0 || waits || (key === LIST && this.#all().some((one) => !one.registered))) return;
    connection.state = "connected";
    connection.why = "";
    this.#trouble.fine();
  }

  #request(
    workspace: string,
    runtimes: readonly Runtime[],
    failed: RegisterRequest["failed_profiles"],
  ): RegisterRequest {
    const { daemonId, legacyDaemonIds = [], deviceName, version } = this.#options;
    return {
      workspace_id: workspace,
      daemon_id: daemonId,
      device_name: deviceName,
      cli_version: version,
      launched_by: "",
      legacy_daemon_ids: legacyDaemonIds.toSorted(),
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
