/** The WebSocket of a connection, for as long as the daemon runs: opened, opened again, and told to everybody whom it helps. */
import { BeatFreshness } from "../core/beat_freshness.ts";
import { type Backoff, backoffDelay } from "../core/pace.ts";
import type { Clock, Logger, Random } from "../core/ports.ts";
import type { Dial } from "../core/socket_port.ts";
import { type Channel, type Hint, openChannel } from "../wire/channel.ts";
import type { ClaimRoutes } from "./claim_routes.ts";
import type { Connection } from "./connection.ts";
import { createTroubleLog } from "./trouble_log.ts";

const BACKOFF: Backoff = { firstMs: 1_000, maxMs: 30_000 };
/** One that lived for so long did not fail: the next attempt waits no longer for it. */
const GOOD_LIFE_MS = 10_000;
/** How often it is looked whether the runtimes are still those it was opened with. */
const SCOPE_MS = 1_000;

export interface ChannelLoopOptions {
  readonly connection: Pick<Connection, "name" | "runtimes">;
  readonly dial: Dial;
  readonly baseUrl: string;
  readonly headers: () => Readonly<Record<string, string>>;
  readonly routes: Pick<ClaimRoutes, "connected" | "disconnected">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly onHint: (hint: Hint) => void;
  /** What happened meanwhile was told to nobody: it is time to look at everything. */
  readonly onConnected: () => void;
}

export interface ChannelLoop {
  /** Hints come by themselves. */
  readonly open: boolean;
  /** A beat of the runtime arrived over it a moment ago. */
  isFresh(runtime: string): boolean;
  /** Until the signal aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

export function createChannelLoop(options: ChannelLoopOptions): ChannelLoop {
  return new ReopenedChannel(options);
}

class ReopenedChannel implements ChannelLoop {
  readonly #options: ChannelLoopOptions;
  readonly #fresh = new BeatFreshness();
  open = false;

  constructor(options: ChannelLoopOptions) {
    this.#options = options;
  }

  isFresh(runtime: string): boolean {
    return this.#fresh.isFresh(runtime, this.#options.clock.monotonic());
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log, connection } = this.#options;
    const trouble = createTroubleLog(log, {
      failed: "no WebSocket, work is looked for by polling",
      fine: "WebSocket is open again",
      fields: { connection: connection.name },
    });
    for (let failures = 0; !signal.aborted;) {
      let openedAt = Infinity;
      const onOpen = () => {
        openedAt = clock.monotonic();
        trouble.fine();
      };
      const end = await this.#one(signal, onOpen).catch((error) => ({
        why: error instanceof Error ? error.message : String(error),
        ours: false,
      }));
      if (signal.aborted) return;
      if (!end.ours) trouble.failed(end.why);
      failures = end.ours || clock.monotonic() - openedAt >= GOOD_LIFE_MS ? 0 : failures + 1;
      const pause = end.ours ? 0 : backoffDelay(Math.max(failures, 1), BACKOFF, random.fraction());
      await clock.sleep(pause, { signal }).catch(() => {});
    }
  }

  /** `ours`: we ended it, as other runtimes are served by now. */
  async #one(signal: AbortSignal, onOpen: () => void): Promise<{ why: string; ours: boolean }> {
    const { routes, connection, onConnected } = this.#options;
    const channel = await openChannel({
      ...this.#options,
      runtimes: [...connection.runtimes.keys()],
      onHint: (hint) => this.#hear(hint),
    }, signal);
    onOpen();
    this.open = true;
    routes.connected(channel);
    onConnected();
    const ours = this.#watchScope(channel, signal);
    const why = await channel.closed;
    this.open = false;
    this.#fresh.forget();
    routes.disconnected();
    return { why, ours: await ours };
  }

  #hear(hint: Hint): void {
    const { clock, onHint } = this.#options;
    if (hint.kind === "ack" && !hint.answer.runtime_gone) {
      this.#fresh.acked(hint.answer.runtime_id, clock.monotonic());
    }
    onHint(hint);
  }

  /** What the server tells is fixed when the connection opens. */
  async #watchScope(channel: Channel, signal: AbortSignal): Promise<boolean> {
    const { clock, connection } = this.#options;
    let over = false;
    const stop = new AbortController();
    const abort = () => stop.abort();
    void channel.closed.then(() => {
      over = true;
      abort();
    });
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    while (!over) {
      await clock.sleep(SCOPE_MS, { signal: stop.signal }).catch(() => {});
      if (over || signal.aborted) break;
      if (channel.runtimes.join() === [...connection.runtimes.keys()].toSorted().join()) continue;
      signal.removeEventListener("abort", abort);
      channel.close("other runtimes are served");
      return true;
    }
    signal.removeEventListener("abort", abort);
    if (!over) channel.close("the daemon ends");
    return false;
  }
}
