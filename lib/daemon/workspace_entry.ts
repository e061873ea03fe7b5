/** One workspace of a server as this machine is registered with it: told, applied and cleaned up strictly in turn. */
import { HEAL, mayHeal } from "../core/beat_freshness.ts";
import { type Runtime, runtimeKey } from "../core/model.ts";
import { backoffDelay } from "../core/pace.ts";
import type { Clock, Logger, Random } from "../core/ports.ts";
import type { RegisterRequest, RegisterResponse } from "../wire/payloads.ts";
import { type CallFailure, isTransient } from "../wire/retry.ts";
import type { Connection, RegisteredRuntime } from "./connection.ts";
import { recoverOrphans } from "./orphans.ts";
import type { ProfileRuntimes } from "./profile_runtimes.ts";

/**
 * Why it is registered. `offer`: for the first time, or with other agents; what is new to us may have a past. `gone`: the
 * server forgot a runtime. `drift`: other profiles, which have none and may leave tasks running.
 */
export type Cause = "offer" | "gone" | "drift";

export interface EntryOptions {
  readonly connection: Connection;
  readonly profiles?: ProfileRuntimes;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** What this machine offers at this moment. */
  readonly runtimes: () => readonly Runtime[];
  readonly request: (
    workspace: string,
    runtimes: readonly Runtime[],
    failed: RegisterRequest["failed_profiles"],
  ) => RegisterRequest;
  /** A task of ours is in hand for it: recovering its orphans would fail that one. */
  readonly busy: (runtimeId: string) => boolean;
  /** How it went; nothing when it went well. */
  readonly report: (failure: CallFailure | undefined) => void;
}

/** Of all that waits: tried again, or left until somebody asks again. */
const BACKOFF = { firstMs: 1_000, maxMs: 60_000 } as const;

type Rows = ReadonlyMap<string, RegisteredRuntime>;

export class WorkspaceEntry {
  readonly id: string;
  readonly #options: EntryOptions;
  readonly #due = new Set<Cause>();
  /** Of the round that is under way. */
  #causes: ReadonlySet<Cause> = new Set();
  readonly #gone = new Set<string>();
  /** Their orphans were recovered: a runtime that was taken back and returns has none. */
  readonly #recovered = new Set<string>();
  #underWay: Promise<void> | undefined;
  #known: readonly Runtime[] | undefined;
  /** Ids that the server has given and that are not in use yet. */
  #coming: readonly string[] = [];
  #healed: { readonly at: number; readonly worked: boolean } | undefined;
  #pastSettled = false;
  #closed = false;

  constructor(id: string, options: EntryOptions) {
    this.id = id;
    this.#options = options;
  }

  /** The server knows exactly these of us. */
  knows(runtimes: readonly Runtime[]): boolean {
    return this.#known === runtimes;
  }

  get registered(): boolean {
    return this.#known !== undefined;
  }

  get ids(): string[] {
    const { runtimes } = this.#options.connection;
    const used = [...runtimes.values()].filter(({ workspace }) => workspace === this.id).map(({ id }) => id);
    return [...new Set([...used, ...this.#coming])];
  }

  /** Several calls while one is under way join it, and it goes on until the server knows all that is offered by then. */
  register(cause: Cause, signal: AbortSignal): Promise<void> {
    this.#due.add(cause);
    return this.#underWay ??= this.#untilDone(signal).finally(() => this.#underWay = undefined);
  }

  /** Registered for the first time, unless that is under way. */
  async ensure(signal: AbortSignal): Promise<void> {
    await (this.#underWay ?? this.register("offer", signal));
  }

  /** The server forgot these. Once for many, and not again at once after it failed: each beat says so again. */
  async heal(gone: readonly string[], signal: AbortSignal): Promise<void> {
    const { clock, log, connection } = this.#options;
    for (const id of gone) this.#gone.add(id);
    if (this.#underWay && this.#causes.has("gone")) return await this.#underWay;
    if (!this.#underWay && !mayHeal(this.#healed, clock.monotonic())) return;
    if (!this.#underWay) log.warn("server forgot a runtime, registering again", { connection: connection.name });
    await this.register("gone", signal);
  }

  async checkProfiles(signal: AbortSignal): Promise<void> {
    const { profiles, log, connection } = this.#options;
    if (!profiles || !await profiles.changed(this.id, { signal })) return;
    log.info("runtime profiles have changed, registering again", { connection: connection.name });
    // Joined to one under way it might have fetched them before the change.
    await this.#underWay?.catch(() => {});
    await this.register("drift", signal);
  }

  /** The workspace is not ours any more. */
  forget(): void {
    this.#closed = true;
    for (const id of this.ids) this.#options.connection.runtimes.delete(id);
  }

  async #untilDone(signal: AbortSignal): Promise<void> {
    const { clock, random, runtimes, report } = this.#options;
    for (let failures = 0; !this.#closed;) {
      const causes = this.#causes = new Set(this.#due);
      this.#due.clear();
      const offered = runtimes();
      const failure = await this.#once(offered, causes, signal);
      if (this.#closed) return;
      if (causes.has("gone")) this.#healed = { at: clock.monotonic(), worked: !failure };
      if (failure && this.#mayWait(causes, failure)) {
        const { connection, log } = this.#options;
        log.warn("changed runtime profiles were refused, the ones of before stay", {
          connection: connection.name,
          why: failure.detail,
        });
        if (this.#due.size === 0) return;
        continue;
      }
      report(failure);
      if (!failure) {
        this.#sayRegistered();
        this.#known = offered;
        failures = 0;
        if (this.#due.size === 0 && offered === runtimes()) return;
        continue;
      }
      for (const cause of causes) this.#due.add(cause);
      const onlyHeals = !causes.has("offer") && causes.has("gone");
      const pause = onlyHeals ? { firstMs: HEAL.afterFailureMs, maxMs: HEAL.afterFailureMs } : BACKOFF;
      await clock.sleep(backoffDelay(++failures, pause, random.fraction()), { signal });
    }
  }

  #sayRegistered(): void {
    const { connection, log } = this.#options;
    const runtimes = [...connection.runtimes.values()].filter(({ workspace }) => workspace === this.id);
    log.info("registered", {
      connection: connection.name,
      workspace: this.id,
      runtimes: runtimes.map(({ runtime }) => `${runtime.provider} ${runtime.version}`.trim()),
    });
  }

  /** A refused refresh leaves all as it was, until the next hint; what the server has to know is tried on and on. */
  #mayWait(causes: ReadonlySet<Cause>, failure: CallFailure): boolean {
    return causes.size === 1 && causes.has("drift") && !isTransient(failure);
  }

  async #once(
    runtimes: readonly Runtime[],
    causes: ReadonlySet<Cause>,
    signal: AbortSignal,
  ): Promise<CallFailure | undefined> {
    const { connection, profiles } = this.#options;
    const custom = await profiles?.of(this.id, { signal });
    const offered = [...runtimes, ...custom?.runtimes ?? []].filter(connection.offers ?? (() => true))
      .toSorted((a, b) => runtimeKey(a) < runtimeKey(b) ? -1 : 1);
    const next = await this.#tell(offered, custom?.failed ?? [], signal);
    if ("kind" in next) return next;
    if (this.#closed) return undefined;
    this.#coming = [...next.keys()];
    await this.#settlePast(signal);
    const orphaned = this.#pastOf(next, causes);
    for (const id of next.keys()) this.#recovered.add(id);
    await recoverOrphans(orphaned, { ...this.#options, client: connection.client }, signal);
    signal.throwIfAborted();
    const failure = await this.#takeBack(next, signal);
    if (failure) return failure;
    if (this.#closed) return undefined;
    for (const id of this.ids) connection.runtimes.delete(id);
    for (const [id, registered] of next) connection.runtimes.set(id, registered);
    this.#coming = [];
    this.#gone.clear();
    custom?.keep();
    return undefined;
  }

  /** What the last process had to say comes first: recovering orphans would fail tasks whose outcome is known. */
  async #settlePast(signal: AbortSignal): Promise<void> {
    if (this.#pastSettled) return;
    await this.#options.connection.delivery.deliverAll({ workspace: this.id, signal });
    this.#pastSettled = true;
  }

  /** The answer is the authoritative set. With nothing to tell nothing is told: that would be an error. */
  async #tell(
    offered: readonly Runtime[],
    failed: RegisterRequest["failed_profiles"],
    signal: AbortSignal,
  ): Promise<Rows | CallFailure> {
    const { connection, request } = this.#options;
    if (offered.length + failed.length === 0) return new Map();
    const answer = await connection.client.register(request(this.id, offered, failed), { signal });
    signal.throwIfAborted();
    if (answer.kind !== "ok") return answer;
    connection.serverCapabilities = answer.value.server_capabilities;
    if (answer.value.runtimes.length === 0 && failed.length === 0) {
      return { kind: "failed", code: "decode", status: 200, detail: "The answer to the registration names no runtime" };
    }
    return this.#rowsOf(answer.value, offered);
  }

  #rowsOf({ runtimes }: RegisterResponse, offered: readonly Runtime[]): Rows {
    const rows = new Map<string, RegisteredRuntime>();
    for (const { id, name, profile_id, provider } of runtimes) {
      const runtime = offered.find((one) =>
        profile_id ? one.profile?.id === profile_id : !one.profile && one.provider === provider
      );
      if (runtime) rows.set(id, { id, workspace: this.id, name, runtime });
    }
    return rows;
  }

  /** Whose tasks are of an earlier process, or of a row that is no more. */
  #pastOf(next: Rows, causes: ReadonlySet<Cause>): string[] {
    const ids = [...next.keys()];
    // An id that came back was not gone: an old server says so of any trouble that it has.
    const trulyGone = [...this.#gone].some((id) => !next.has(id));
    if (causes.has("gone") && trulyGone) return ids.filter((id) => !this.#options.busy(id));
    if (causes.has("drift") && this.registered) return [];
    const { runtimes } = this.#options.connection;
    // In a workspace that comes back a task of ours may run since before it went.
    return ids.filter((id) => !runtimes.has(id) && !this.#recovered.has(id) && !this.#options.busy(id));
  }

  /** What is not in the answer any more would get tasks until the server misses its heartbeat. */
  async #takeBack(next: Rows, signal: AbortSignal): Promise<CallFailure | undefined> {
    const { connection, log } = this.#options;
    const dropped = [...connection.runtimes.values()].filter(({ id, workspace }) =>
      workspace === this.id && !next.has(id) && !this.#gone.has(id)
    );
    if (dropped.length === 0) return undefined;
    const answer = await connection.client.deregister(dropped.map(({ id }) => id), { signal });
    signal.throwIfAborted();
    if (answer.kind !== "ok" && isTransient(answer)) return answer;
    const fields = { connection: connection.name, runtimes: dropped.map(({ runtime }) => runtime.provider) };
    if (answer.kind === "ok") log.info("deregistered", fields);
    else log.warn("deregistering failed", { ...fields, why: answer.detail });
    return undefined;
  }
}
