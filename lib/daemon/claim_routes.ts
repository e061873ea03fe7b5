/** One claim by whichever way is open and safe: over the WebSocket, in one HTTP call, or in one per runtime. */
import { afterRpc, type ClaimLink, type LinkEvent, nextRoute, NO_LINK, stepLink } from "../core/claim_rpc.ts";
import type { Clock, Logger } from "../core/ports.ts";
import type { Channel } from "../wire/channel.ts";
import type { WireClient } from "../wire/client.ts";
import { type ClaimedTask, ClaimResponse } from "../wire/payloads.ts";
import type { CallFailure, CallResult } from "../wire/retry.ts";

type Asked = Parameters<WireClient["claim"]>[0];
type Claimed = CallResult<readonly ClaimedTask[]>;

export interface ClaimRoutes {
  readonly claim: WireClient["claim"];
  connected(channel: Channel): void;
  disconnected(): void;
}

export interface ClaimRoutesOptions {
  readonly client: Pick<WireClient, "name" | "claim" | "claimOne">;
  readonly clock: Clock;
  readonly log: Logger;
  /** Claims are possible again. */
  readonly onReady: () => void;
}

export function createClaimRoutes(options: ClaimRoutesOptions): ClaimRoutes {
  return new LinkedRoutes(options);
}

class LinkedRoutes implements ClaimRoutes {
  readonly #options: ClaimRoutesOptions;
  #channel: Channel | undefined;
  #link: ClaimLink = NO_LINK;
  #wake: Disposable | undefined;

  constructor(options: ClaimRoutesOptions) {
    this.#options = options;
  }

  connected(channel: Channel): void {
    this.#channel = channel;
    this.#step({ kind: "connected" });
  }

  disconnected(): void {
    this.#channel = undefined;
    this.#step({ kind: "disconnected" });
  }

  readonly claim = async (asked: Asked, waiting: { signal?: AbortSignal } = {}): Promise<Claimed> => {
    if (this.#channel?.rpc && !this.#link.rpc) this.#step({ kind: "rpc-offered" });
    const route = nextRoute(this.#link, this.#options.clock.monotonic());
    if (route.kind === "hold") {
      this.#wakeIn(route.ms, waiting.signal);
      return { kind: "ok", value: [] };
    }
    if (route.kind === "single") return await this.#single(asked, waiting);
    // Only our own coordinator knows tasks that are submitted to an instance, and it has no socket.
    if (route.kind === "rpc" && asked.submittedTo === undefined) return await this.#overSocket(asked, waiting);
    return await this.#batch(asked, waiting);
  };

  async #overSocket(asked: Asked, waiting: { signal?: AbortSignal }): Promise<Claimed> {
    const { clock, log, client } = this.#options;
    const { signal = new AbortController().signal } = waiting;
    const body = { daemon_id: asked.daemonId, runtime_ids: asked.runtimeIds, max_tasks: asked.maxTasks };
    const outcome = await this.#channel!.claim(body, signal);
    this.#step({ kind: "rpc-ended", outcome });
    const next = afterRpc(outcome);
    if (next === "http") return await this.#batch(asked, waiting);
    if (next === "use" && outcome.kind === "answered") {
      try {
        return { kind: "ok", value: ClaimResponse.parse(outcome.body).tasks };
      } catch {
        // Tasks may have been given away in what we cannot read.
        this.#step({ kind: "rpc-ended", outcome: { kind: "uncertain", why: "unreadable" } });
      }
    }
    if (signal.aborted) return { kind: "ok", value: [] };
    log.warn("nobody knows what became of a claim, it is asked again a little later", { connection: client.name });
    const held = nextRoute(this.#link, clock.monotonic());
    if (held.kind === "hold") this.#wakeIn(held.ms, waiting.signal);
    return { kind: "ok", value: [] };
  }

  async #batch(asked: Asked, waiting: { signal?: AbortSignal }): Promise<Claimed> {
    const answer = await this.#options.client.claim(asked, waiting);
    this.#step({ kind: "http-claimed" });
    if (answer.kind === "ok" || answer.status !== 404 || asked.submittedTo !== undefined) return answer;
    const single = await this.#single(asked, waiting);
    // Not believed unless the other one is there: a proxy in trouble says the same of both.
    if (single.kind === "ok") this.#step({ kind: "batch-missing" });
    return single.kind === "ok" ? single : answer;
  }

  /** A server that refuses one runtime has settled that one's task; the others are asked all the same. */
  async #single({ runtimeIds, maxTasks }: Asked, waiting: { signal?: AbortSignal }): Promise<Claimed> {
    const tasks: ClaimedTask[] = [];
    let failure: CallFailure | undefined;
    for (const id of runtimeIds) {
      for (let more = true; more && tasks.length < maxTasks;) {
        const answer = await this.#options.client.claimOne(id, waiting);
        if (answer.kind === "ok") {
          if (answer.value) tasks.push(answer.value);
          more = answer.value !== null;
          continue;
        }
        if (!SETTLED.has(answer.status) && answer.gone !== "runtime") failure ??= answer;
        more = false;
      }
    }
    this.#step({ kind: "http-claimed" });
    return failure && tasks.length === 0 ? failure : { kind: "ok", value: tasks };
  }

  #wakeIn(ms: number, signal: AbortSignal | undefined): void {
    this.#wake?.[Symbol.dispose]();
    if (signal?.aborted) return;
    const wake = this.#wake = this.#options.clock.after(ms, this.#options.onReady);
    signal?.addEventListener("abort", () => wake[Symbol.dispose](), { once: true });
  }

  #step(event: LinkEvent): void {
    this.#link = stepLink(this.#link, event, this.#options.clock.monotonic());
  }
}

/** Outside its window, no task of its own, or one for a worktree: the server has ended that task (wire protocol 1.4). */
const SETTLED: ReadonlySet<number> = new Set([402, 409, 422]);
