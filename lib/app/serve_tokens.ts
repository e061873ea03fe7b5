/** Making, listing and revoking the tokens of a team server: in its database, whether or not it runs. */
import { openTokenBook, type TokenBook } from "../coordinator/token_book.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Host } from "../core/ports.ts";
import { FIRST_WORKSPACE, openPlace, overStore, type ServerPlace } from "./serve_place.ts";

export type { ListedToken, TokenView } from "../coordinator/token_book.ts";

/** A server that works holds the database for milliseconds at a time; a long sweep may take some of these. */
const PATIENCE_MS = 10_000;
const AGAIN_MS = 100;
/** SQLite's own words, the only thing that tells. */
const BUSY = /database is locked|database is busy/i;

/**
 * Does `work` with the tokens of a place. It is done again while somebody else holds the database, so it is one
 * transaction. Throws `store_unusable`, `home_unusable`, and what the tokens refuse as `usage`.
 */
export async function withTokens<T>(host: Host, place: ServerPlace, work: (book: TokenBook) => Promise<T>): Promise<T> {
  const { clock, random } = host;
  await openPlace(host, place);
  const once = () =>
    overStore(async () => {
      await using book = await openTokenBook({
        database: place.database,
        clock,
        random,
        log: host.logs.getLogger("tokens"),
        workspace: FIRST_WORKSPACE,
      });
      return await work(book);
    });
  const deadline = clock.monotonic() + PATIENCE_MS;
  for (;;) {
    try {
      return await once();
    } catch (error) {
      if (!BUSY.test((error as Error).message) || clock.monotonic() >= deadline) throw error;
    }
    await clock.sleep(AGAIN_MS);
  }
}

/** For looking and revoking: what is not there is not made. Throws `store_unusable`. */
export async function requireServer({ files }: Host, { database, databaseName, options }: ServerPlace): Promise<void> {
  if (database.kind !== "sqlite" || await files.stat(database.path)) return;
  throw new DroverError("store_unusable", `Cannot find a server's database: there is no ${databaseName}`, {
    hint: `name the server's directory with --data, or make its first token: drover token create NAME${options}`,
  });
}
