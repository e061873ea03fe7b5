/** Notices between the coordinators over one PostgreSQL database, by LISTEN and NOTIFY. */
import type postgres from "postgres";
import type { Logger } from "../core/ports.ts";
import type { Peers } from "./store.ts";

/** Of the name of a channel, by PostgreSQL's own limit. */
const CHANNEL_BYTES = 63;

/** All of a batch in one call: whoever notifies at the end of a transaction holds up everybody else's for that moment. */
const NOTIFY = `
SELECT count(pg_notify($1, notice)) FROM (SELECT json_array_elements_text(CAST(CAST($2 AS TEXT) AS JSON)) AS notice) AS notices`;

export class PostgresPeers implements Peers {
  readonly #sql: postgres.Sql;
  readonly #log: Logger;
  readonly #channel: string;
  /** Stands before each notice of this process, which hears its own as well. */
  readonly #self: string;
  readonly #waiting = new Set<string>();
  #sending: Promise<void> | undefined;
  #heard: ((notice: string) => void) | undefined;

  private constructor(sql: postgres.Sql, log: Logger, place: { readonly channel: string; readonly self: string }) {
    this.#sql = sql;
    this.#log = log;
    this.#channel = place.channel;
    this.#self = place.self;
  }

  /** Hears from the moment on in which it resolves. A connection that is lost is made again, and listens again. */
  static async open(sql: postgres.Sql, log: Logger): Promise<PostgresPeers> {
    const [place] = await sql<{ schema: string; self: string }[]>`
      SELECT current_schema() AS schema, CAST(gen_random_uuid() AS TEXT) AS self`;
    const channel = `drover_${place?.schema}`.slice(0, CHANNEL_BYTES);
    const peers = new PostgresPeers(sql, log, { channel, self: `${place?.self} ` });
    await sql.listen(channel, (text) => peers.#hear(text));
    return peers;
  }

  send(notice: string): void {
    // What is told twice counts from the second time on: the latest progress line wins.
    this.#waiting.delete(notice);
    this.#waiting.add(notice);
    this.#sending ??= this.#sendAll().finally(() => this.#sending = undefined);
  }

  listen(heard: (notice: string) => void): void {
    this.#heard = heard;
  }

  /** When what was to be sent has been. */
  async close(): Promise<void> {
    this.#heard = undefined;
    await this.#sending;
  }

  #hear(text: string): void {
    if (!text.startsWith(this.#self)) this.#heard?.(text.slice(this.#self.length));
  }

  /** Begins in the next turn, with all that the present one had to say. */
  async #sendAll(): Promise<void> {
    await Promise.resolve();
    while (this.#waiting.size > 0) {
      const batch = [...this.#waiting].map((notice) => this.#self + notice);
      this.#waiting.clear();
      try {
        await this.#sql.unsafe(NOTIFY, [this.#channel, JSON.stringify(batch)], { prepare: true });
      } catch (error) {
        this.#log.warn("other coordinators could not be told; they see it when they look next", {
          notices: batch.length,
          error: (error as Error).message,
        });
      }
    }
  }
}
