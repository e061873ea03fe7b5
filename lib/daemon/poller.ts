/** The poller: asks for as many tasks as there are free slots, when a hint comes, a slot frees, or the interval is over. */
import { type Budget, claimBudget, roomFor, rotate } from "../core/claim_budget.ts";
import type { Runtime } from "../core/model.ts";
import type { Clock, Logger } from "../core/ports.ts";
import type { ClaimedTask } from "../wire/payloads.ts";
import type { ClaimGate } from "./claim_gate.ts";
import type { Connection } from "./connection.ts";
import type { Pool, Slot } from "./pool.ts";
import { createTroubleLog, type TroubleLog } from "./trouble_log.ts";

/** Between two looks without a hint: long as a safety net under the hints, short where none come (wire protocol 0.6). */
const POLL_MS = { hinted: 30_000, unhinted: 3_000 } as const;
/** After a claim that failed: soon enough for a short outage, seldom enough for a long one. */
const FAILED_POLL_MS = 5_000;

export interface PollerOptions {
  readonly connections: readonly Connection[];
  readonly pool: Pool;
  readonly clock: Clock;
  readonly log: Logger;
  readonly daemonId: string;
  /** Only tasks submitted through this instance (the in-process `run`). */
  readonly submittedTo?: string;
  readonly claimsOpen: () => boolean;
  readonly outboxDegraded: () => boolean;
  /** Whether the daemon has this task already: a late answer can bring one twice (wire protocol, trap 11). */
  readonly isActive: (taskId: string) => boolean;
  /** Tasks of an agent CLI that cannot be started right now stay in the queue; default yes. */
  readonly mayClaim?: (runtime: Runtime) => boolean;
  /** What else keeps the daemon from claiming; absent = nothing. */
  readonly gate?: Pick<ClaimGate, "ready" | "holds" | "tasksLeft">;
  /** How many tasks of an agent CLI there may be at once, where it has a limit of its own. */
  readonly limits?: () => Readonly<Record<string, number>> | undefined;
  /** Whether every server sends hints at this moment; default yes. */
  readonly hinted?: () => boolean;
  readonly run: (task: ClaimedTask, connection: Connection, slot: Slot) => void;
  /** Called each time the loop comes round. */
  readonly onTurn?: () => void;
}

export interface Poller {
  /** Something may have changed: look at once. */
  nudge(): void;
  /** Why nothing is being claimed at this moment, for the status; `undefined` while it may claim. */
  holding(): Extract<Budget, { kind: "hold" }>["why"] | undefined;
  readonly lastClaimAt: number;
  run(signal: AbortSignal): Promise<void>;
}

export function createPoller(options: PollerOptions): Poller {
  return new BatchPoller(options);
}

class BatchPoller implements Poller {
  readonly #options: PollerOptions;
  #wake: (() => void) | undefined;
  #nudged = false;
  /** Moves by one with each round that asked anybody: rounds without a free slot must not shift the order. */
  #turn = 0;
  /** The same per connection, over its runtimes. */
  readonly #turns = new Map<string, number>();
  readonly #troubles: ReadonlyMap<Connection, TroubleLog>;
  lastClaimAt = 0;

  constructor(options: PollerOptions) {
    this.#options = options;
    this.#troubles = new Map(options.connections.map((connection) => {
      const fields = { connection: connection.name };
      return [connection, createTroubleLog(options.log, { failed: "claim failed", fine: "claims work again", fields })];
    }));
  }

  nudge(): void {
    this.#nudged = true;
    this.#wake?.();
  }

  holding(): Extract<Budget, { kind: "hold" }>["why"] | undefined {
    // Slots that a claim on its way may fill are being claimed for, which is no holding back.
    const budget = this.#budget({ claiming: 0 });
    return budget.kind === "hold" ? budget.why : undefined;
  }

  async run(signal: AbortSignal): Promise<void> {
    using _free = this.#options.pool.onFree(() => this.nudge());
    while (!signal.aborted) {
      this.#nudged = false;
      this.#options.onTurn?.();
      const looking = this.#options.gate?.ready(signal);
      if (looking) await looking;
      const round = await this.#round(signal);
      if (round === "filled") continue;
      const { hinted = () => true } = this.#options;
      await this.#wait(round === "failed" ? FAILED_POLL_MS : POLL_MS[hinted() ? "hinted" : "unhinted"], signal);
    }
  }

  /** Whether every slot asked for was filled (so that there may be more), or a call failed. */
  async #round(signal: AbortSignal): Promise<"filled" | "done" | "failed"> {
    let asked = false;
    let failed = false;
    let filled = false;
    for (const connection of rotate(this.#options.connections, this.#turn)) {
      const turn = this.#turns.get(connection.name) ?? 0;
      for (const { runtimeIds, room } of this.#shares(connection, turn)) {
        const budget = this.#budget();
        // A limit of the day may have been reached while another call was on its way.
        const max = budget.kind === "claim" ? Math.min(budget.max, room()) : 0;
        if (max === 0) continue;
        this.#turns.set(connection.name, turn + 1);
        asked = true;
        const claimed = await this.#claim(connection, runtimeIds, max, signal);
        if (claimed === undefined) failed = true;
        // At most one task per agent comes with each answer, so any task at all is a reason to ask again.
        else if (claimed > 0) filled = true;
      }
    }
    if (asked) this.#turn++;
    return filled ? "filled" : failed ? "failed" : "done";
  }

  /**
   * The runtimes to ask for, in calls of their own where an agent CLI has a limit: one call for several would bring more
   * than there is room for.
   */
  #shares({ runtimes, consent }: Connection, turn: number): { runtimeIds: readonly string[]; room: () => number }[] {
    const { mayClaim = () => true, gate, pool } = this.#options;
    const limits = this.#options.limits?.() ?? {};
    const tasksLeft = (provider: string) => gate?.tasksLeft(provider) ?? Infinity;
    const room = (provider: string) =>
      Math.min(roomFor(limits, provider, pool.runningOf(provider)), tasksLeft(provider));
    // The owner may have changed his mind a moment ago, and the server not know of it yet.
    const watched = (workspace: string) => !consent || consent.watched(workspace) !== undefined;
    const claimable = [...runtimes.values()].filter(({ workspace, runtime }) =>
      watched(workspace) && mayClaim(runtime) && room(runtime.provider) > 0
    );
    const limited = (provider: string) => Object.hasOwn(limits, provider) || tasksLeft(provider) !== Infinity;
    const shares = Map.groupBy(claimable, ({ runtime: { provider } }) => limited(provider) ? provider : "");
    return rotate([...shares], turn).map(([provider, registered]) => ({
      runtimeIds: rotate(registered.map(({ id }) => id), turn),
      room: () => room(provider),
    }));
  }

  async #claim(
    connection: Connection,
    runtimeIds: readonly string[],
    maxTasks: number,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const { pool, clock, log, daemonId, submittedTo, isActive, run } = this.#options;
    // The slot comes before the claim: what is claimed always has a place to run.
    using reservation = pool.reserve(maxTasks);
    const result = await connection.client.claim({ daemonId, runtimeIds, maxTasks, submittedTo }, { signal });
    if (result.kind !== "ok") {
      if (!signal.aborted) this.#troubles.get(connection)?.failed(result.detail);
      return undefined;
    }
    this.#troubles.get(connection)?.fine();
    if (result.value.length > 0) this.lastClaimAt = clock.now();
    let taken = 0;
    for (const task of result.value) {
      if (isActive(task.id)) {
        log.warn("a task came twice, the second delivery is ignored", { task: task.id });
        continue;
      }
      const slot = reservation.take(connection.runtimes.get(task.runtime_id)?.runtime.provider);
      if (!slot) {
        log.warn("server sent more tasks than were asked for, it will offer this one again", { task: task.id });
        continue;
      }
      taken++;
      run(task, connection, slot);
    }
    return taken;
  }

  #budget({ claiming = this.#options.pool.claiming } = {}): Budget {
    const { pool, claimsOpen, outboxDegraded, gate } = this.#options;
    return claimBudget({
      slots: pool.size,
      running: pool.running,
      claiming,
      claimsOpen: claimsOpen(),
      outboxDegraded: outboxDegraded(),
      held: gate?.holds(),
    });
  }

  #wait(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#nudged || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", done);
        this.#wake = undefined;
        resolve();
      };
      const timer = this.#options.clock.after(ms, done);
      signal.addEventListener("abort", done, { once: true });
      this.#wake = done;
    });
  }
}
