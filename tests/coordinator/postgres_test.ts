/** The tests of the coordinator once more, over PostgreSQL, and what only several processes over one database show. */
import { findPostgres, PostgresServer } from "../support/postgres_server.ts";
import { isLong } from "../support/length.ts";
import { PostgresPlaces, usePostgres } from "./stores.ts";

/** Those that are about SQLite's files, about no store at all, or about this. */
const WITHOUT_STORE = [
  "store_test.ts",
  "database_test.ts",
  "notices_test.ts",
  "migrations_test.ts",
  "postgres_test.ts",
];

/** What they see does not depend on the store, but for what a hostile text does to a statement. */
const LONG_OVER_POSTGRES = ["access_test.ts", "follow_test.ts", "fuzz_test.ts"];

const bin = await findPostgres();
if (bin === undefined) {
  Deno.test({
    name: "PostgreSQL: skipped, there is no initdb in PATH or /usr/lib/postgresql/*/bin (apt-get install postgresql)",
    ignore: true,
    fn() {},
  });
} else {
  const server = await PostgresServer.start(bin);
  const places = await PostgresPlaces.open(server);
  Deno.test.afterAll(async () => {
    await places[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
  usePostgres(places);
  const names = await Array.fromAsync(Deno.readDir(import.meta.dirname!), ({ name }) => name);
  for (const name of names.sort()) {
    const wanted = !WITHOUT_STORE.includes(name) && (isLong() || !LONG_OVER_POSTGRES.includes(name));
    if (name.endsWith("_test.ts") && wanted) await import(`./${name}`);
  }
  await import("./peers_tests.ts");
}
