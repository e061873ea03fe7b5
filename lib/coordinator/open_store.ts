/** Opens the store of a database. The driver of PostgreSQL is loaded only where one is used. */
import type { Clock, Logger } from "../core/ports.ts";
import type { Database } from "./database.ts";
import type { Store } from "./store.ts";
import { openSqlite } from "./store_sqlite.ts";

/** Throws `StoreError` when the database cannot be used. */
export async function openStore(
  database: Database,
  ports: { readonly clock: Clock; readonly log: Logger },
): Promise<Store> {
  if (database.kind === "sqlite") {
    return openSqlite(database.path, { synchronous: database.synchronous ?? "normal" });
  }
  const { openPostgres } = await import("./store_postgres.ts");
  return await openPostgres(database, ports);
}
