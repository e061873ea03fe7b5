/** The heartbeat: one beat per runtime and interval, which keeps it online and tells when the server has forgotten it. */
import { LEASE } from "../core/lease.ts";
import type { Clock, Logger, Random } from "../core/ports.ts";
import type { BeatAnswer } from "../wire/frames.ts";
import type { CallFailure, CallResult } from "../wire/retry.ts";
import type { Connection } from "./connection.ts";
import { createTroubleLog } from "./trouble_log.ts";

export interface HeartbeatOptions {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Called when the server no longer knows runtimes. */
  readonly onGone: (ids: readonly string[]) => void;
  /** The server may ask for something with its answer, and does so once. */
  readonly onAnswer?: (runtimeId: string, answer: BeatAnswer) => void;
  /** A beat of it over the WebSocket arrived a moment ago. */
  readonly isFresh?: (runtimeId: string) => boolean;
  /** Called each time the loop comes round. */
  readonly onTurn?: () => void;
}

export interface Heartbeat {
  /** One beat of a runtime, or of each, now, whatever the WebSocket says; the loop beats at its own time all the same. Never rejects. */
  beat(signal: AbortSignal, ids?: readonly string[]): Promise<void>;
  /** Runs until the signal aborts. The first beat comes at a random point of the interval, so that many daemons spread. */
  run(signal: AbortSignal): Promise<void>;
}

export function createHeartbeat(options: HeartbeatOptions): Heartbeat {
  const { connection, clock, random } = options;
  const fields = { connection: connection.name };
  const trouble = createTroubleLog(options.log, {
    failed: "heartbeat failed",
    fine: "heartbeats arrive again",
    fields,
  });
  const beatOnce = async (id: string, signal: AbortSignal): Promise<CallResult<BeatAnswer>> => {
    const answer = await connection.client.heartbeat(id, { signal });
    // An old server says so of any trouble that it has: it is believed when it says so twice.
    const doubtful = answer.kind !== "ok" && answer.gone === "runtime" && connection.client.old;
    return doubtful && !signal.aborted ? await connection.client.heartbeat(id, { signal }) : answer;
  };
  const beat = async (signal: AbortSignal, ids: readonly string[] = [...connection.runtimes.keys()]) => {
    const gone: string[] = [];
    let failed: CallFailure | undefined;
    await Promise.all(ids.map(async (id) => {
      const answer = await beatOnce(id, signal);
      if (answer.kind === "ok") options.onAnswer?.(id, answer.value);
      else if (answer.gone === "runtime") gone.push(id);
      else failed ??= answer;
    }));
    if (signal.aborted) return;
    if (failed) trouble.failed(failed.detail);
    else if (ids.length > 0) trouble.fine();
    if (gone.length > 0) options.onGone(gone);
  };
  const run = async (signal: AbortSignal) => {
    let wait = LEASE.heartbeatMs * random.fraction();
    for (;;) {
      options.onTurn?.();
      try {
        await clock.sleep(wait, { signal });
      } catch {
        return;
      }
      await beat(signal, [...connection.runtimes.keys()].filter((id) => !options.isFresh?.(id)));
      if (signal.aborted) return;
      wait = LEASE.heartbeatMs;
    }
  };
  return { beat, run };
}
