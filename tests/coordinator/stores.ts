/** The kinds of database that the tests of the coordinator run over: a place for each test, and what a disk may refuse there. */
import postgres from "postgres";
import { DatabaseSync } from "node:sqlite";
import { join } from "@std/path";
import type { Database } from "../../lib/coordinator/database.ts";
import type { PostgresServer } from "../support/postgres_server.ts";

// deno-lint-ignore no-explicit-any
type Row = Record<string, any>;

/** An empty database, and another connection to it as another program would have it. */
export interface Place extends AsyncDisposable {
  readonly database: Database;
  /** Runs statements; the rows of the last one. */
  sql(text: string): Promise<Row[]>;
  /** Refuses, as a full disk would, `BEFORE INSERT ON tasks` where the condition holds. */
  refuseWrites(write: string, condition: string): Promise<void>;
  acceptWrites(): Promise<void>;
  /** What is here is of no use for the next test. */
  ruin(): Promise<void>;
}

const REASON = "database or disk is full";

/** Where places come from: memory and files, unless a test file chooses a server before it imports its tests. */
let chosen: PostgresPlaces | undefined;

export function usePostgres(places: PostgresPlaces): void {
  chosen = places;
}

export function storeKind(): Database["kind"] {
  return chosen ? "postgres" : "sqlite";
}

/** A place that a second connection can reach as well. */
export function newPlace(): Promise<Place> {
  return chosen ? chosen.create() : Promise.resolve(new SqlitePlace());
}

/** A place that only its coordinator uses: as cheap as there is. */
export function newDatabase(): Promise<Pick<Place, "database" | typeof Symbol.asyncDispose>> {
  if (chosen) return chosen.create({ connections: 1 });
  const database = { kind: "sqlite", path: ":memory:" } as const;
  return Promise.resolve({ database, [Symbol.asyncDispose]: () => Promise.resolve() });
}

export class SqlitePlace implements Place {
  readonly directory = Deno.makeTempDirSync({ prefix: "drover-store-" });
  readonly path = join(this.directory, "coordinator.db");
  readonly database = { kind: "sqlite", path: this.path } as const;

  sql(text: string): Promise<Row[]> {
    const db = new DatabaseSync(this.path);
    try {
      if (/^SELECT/i.test(text)) return Promise.resolve(db.prepare(text).all() as Row[]);
      db.exec(text);
      return Promise.resolve([]);
    } finally {
      db.close();
    }
  }

  async refuseWrites(write: string, condition: string): Promise<void> {
    await this.sql(`CREATE TRIGGER refuse ${write} WHEN ${condition} BEGIN SELECT RAISE(ABORT, '${REASON}'); END`);
  }

  async acceptWrites(): Promise<void> {
    await this.sql("DROP TRIGGER refuse");
  }

  ruin(): Promise<void> {
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** Emptying is many times faster than making: one round for all tables, in any order. */
const EMPTY = `
DO $$
DECLARE name TEXT;
BEGIN
  SET LOCAL session_replication_role = replica;
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename <> 'drover_schema' LOOP
    EXECUTE format('DELETE FROM %I', name);
  END LOOP;
END $$`;

/** Schemas of a server; one that a test has left is emptied for the next. */
export class PostgresPlaces implements AsyncDisposable {
  readonly #server: PostgresServer;
  readonly #admin: postgres.Sql;
  readonly #free: string[] = [];
  #count = 0;

  private constructor(server: PostgresServer, admin: postgres.Sql) {
    this.#server = server;
    this.#admin = admin;
  }

  static async open(server: PostgresServer): Promise<PostgresPlaces> {
    const admin = postgres(server.options());
    await admin`SELECT 1`;
    return new PostgresPlaces(server, admin);
  }

  /** Few connections: making them is most of the time of a short test. */
  async create({ connections = 2 } = {}): Promise<Place> {
    const admin = this.#admin;
    const free = this.#free.pop();
    const schema = free ?? `place_${++this.#count}`;
    if (free === undefined) await admin.unsafe(`CREATE SCHEMA ${schema}`);
    const sql = async (text: string) =>
      await admin.unsafe(`SET search_path = ${schema}; ${text}`) as unknown as Row[][];
    return {
      database: { kind: "postgres", url: this.#server.url({ search_path: schema }), connections },
      sql: async (text) => (await sql(text)).at(-1) ?? [],
      async refuseWrites(write, condition) {
        const body = `BEGIN RAISE EXCEPTION '${REASON}'; END`;
        await sql(`CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ ${body} $$;
          CREATE TRIGGER refuse ${write} FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION refuse()`);
      },
      acceptWrites: async () => void await sql("DROP FUNCTION refuse CASCADE"),
      ruin: async () => void await sql(`DROP SCHEMA ${schema} CASCADE; CREATE SCHEMA ${schema}`),
      [Symbol.asyncDispose]: async () => {
        await sql(`DROP FUNCTION IF EXISTS refuse CASCADE; ${EMPTY}`);
        this.#free.push(schema);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#admin.end();
  }
}
