/** PostgreSQL: a pool of connections, transactions that are tried again after a conflict, and notices between processes. */
import postgres from "postgres";
import type { Logger } from "../core/ports.ts";
import { type Database, databaseName } from "./database.ts";
import { type NumberedStatement, postgresText } from "./dialect.ts";
import { READABLE_BY, READABLE_KEY } from "./migrations.ts";
import { POSTGRES_MIGRATIONS } from "./migrations_postgres.ts";
import { PostgresPeers } from "./peers_postgres.ts";
import { type Peers, type SqlParams, type Store, StoreError } from "./store.ts";

export type PostgresDatabase = Extract<Database, { kind: "postgres" }>;

const CONNECTIONS = 10;
const CONNECT_TIMEOUT_S = 10;
/**
 * Enough for what is under way; a database that does not answer must not hold up the end of the process. The driver also
 * waits for connections that were cut and have nothing under way any more.
 */
const CLOSE_TIMEOUT_S = { busy: 5, idle: 0.5 };
/** A process that stands still inside a transaction must not hold its locks against all others. */
const IDLE_TRANSACTION_MS = 30_000;
const ATTEMPTS = 5;
/** Of different lengths, or two that stand in each other's way would do so again. The server waits: its clock and its dice need no port. */
const PAUSE = "SELECT pg_sleep(0.05 * random())";
/** What went wrong only because of the others: a conflict in order or in a unique index, a deadlock. */
const CONFLICTS: ReadonlySet<unknown> = new Set(["40001", "40P01", "23505"]);
/** Two processes that start at once migrate one after the other. Any number that is always the same. */
const MIGRATION_LOCK = 0x64726f76;

/** Throws `StoreError`. */
export async function openPostgres(database: PostgresDatabase, ports: { readonly log: Logger }): Promise<Store> {
  const sql = connect(database, ports.log);
  try {
    await migrate(sql, database);
    const peers = await PostgresPeers.open(sql, ports.log);
    return new PostgresStore(sql, peers);
  } catch (error) {
    await sql.end({ timeout: 0 });
    throw error instanceof StoreError ? error : openingFailed(database, error);
  }
}

function connect({ url, connections = CONNECTIONS }: PostgresDatabase, log: Logger): postgres.Sql {
  const address = new URL(url);
  // As everywhere else with PostgreSQL; this driver would take them for settings of the session.
  const [host, port, user, password] = ["host", "port", "user", "password"].map((name) => {
    const value = address.searchParams.get(name);
    address.searchParams.delete(name);
    return value;
  });
  return postgres(address.href, {
    ...(host ? { host } : {}),
    ...(port ? { port: Number(port) } : {}),
    ...(user ? { user } : {}),
    ...(password ? { password } : {}),
    max: connections,
    connect_timeout: CONNECT_TIMEOUT_S,
    max_lifetime: null,
    fetch_types: false,
    // Times and counts are far below what a number can hold exactly.
    types: { whole: { to: 20, from: [20, 1700], parse: Number, serialize: String } },
    connection: { application_name: "drover", idle_in_transaction_session_timeout: IDLE_TRANSACTION_MS },
    onnotice: (notice) => log.debug("PostgreSQL says", { text: notice.message }),
  });
}

/** The text for this database, made once for each statement. */
const statements = new Map<string, NumberedStatement>();

function statementOf(sql: string): NumberedStatement {
  let statement = statements.get(sql);
  if (!statement) {
    statement = postgresText(sql);
    statements.set(sql, statement);
  }
  return statement;
}

async function execute(connection: postgres.ISql, sql: string, params: SqlParams = {}) {
  const { text, names } = statementOf(sql);
  const values = names.map((name) => {
    const value = params[name];
    if (value === undefined) throw new Error(`Running a statement failed: it has no value for :${name}`);
    // It knows no text with a NUL in it; what is looked for with one is not there.
    return typeof value === "string" ? value.replaceAll("\0", "\ufffd") : value;
  });
  return await connection.unsafe(text, values, { prepare: true, simple: false } as postgres.UnsafeQueryOptions);
}

class PostgresStore implements Store {
  readonly #sql: postgres.Sql;
  readonly #peers: PostgresPeers;
  #busy = 0;

  constructor(sql: postgres.Sql, peers: PostgresPeers) {
    this.#sql = sql;
    this.#peers = peers;
  }

  get peers(): Peers {
    return this.#peers;
  }

  async get<Row>(sql: string, params?: SqlParams): Promise<Row | undefined> {
    return (await this.all<Row>(sql, params))[0];
  }

  async all<Row>(sql: string, params?: SqlParams): Promise<Row[]> {
    return await this.#insist(() => execute(this.#sql, sql, params)) as unknown as Row[];
  }

  async run(sql: string, params?: SqlParams): Promise<number> {
    return (await this.#insist(() => execute(this.#sql, sql, params))).count;
  }

  async transaction<T>(work: (tx: Store) => Promise<T>): Promise<T> {
    const { told, result } = await this.#insist(async () => {
      let told: (() => void)[] = [];
      const result = await this.#sql.begin(async (connection) => {
        const tx = new PostgresTransaction(connection, this.#peers);
        told = tx.told;
        return await work(tx);
      });
      return { told, result: result as T };
    });
    for (const tell of told) tell();
    return result;
  }

  afterCommit(tell: () => void): void {
    tell();
  }

  async close(): Promise<void> {
    await this.#peers.close();
    await this.#sql.end({ timeout: this.#busy > 0 ? CLOSE_TIMEOUT_S.busy : CLOSE_TIMEOUT_S.idle });
  }

  /** Conflicts are the database's way to say "one after the other": the work begins anew and sees what the other has done. */
  async #insist<T>(work: () => Promise<T>): Promise<T> {
    this.#busy++;
    try {
      for (let attempt = 1;; attempt++) {
        try {
          return await work();
        } catch (error) {
          const conflict = error instanceof postgres.PostgresError && CONFLICTS.has(error.code);
          if (!conflict || attempt === ATTEMPTS) throw error;
          await this.#sql.unsafe(PAUSE);
        }
      }
    } finally {
      this.#busy--;
    }
  }
}

class PostgresTransaction implements Store {
  readonly #connection: postgres.TransactionSql;
  readonly peers: Peers;
  readonly told: (() => void)[] = [];

  constructor(connection: postgres.TransactionSql, peers: Peers) {
    this.#connection = connection;
    this.peers = peers;
  }

  async get<Row>(sql: string, params?: SqlParams): Promise<Row | undefined> {
    return (await this.all<Row>(sql, params))[0];
  }

  async all<Row>(sql: string, params?: SqlParams): Promise<Row[]> {
    return await execute(this.#connection, sql, params) as unknown as Row[];
  }

  async run(sql: string, params?: SqlParams): Promise<number> {
    return (await execute(this.#connection, sql, params)).count;
  }

  transaction<T>(work: (tx: Store) => Promise<T>): Promise<T> {
    return work(this);
  }

  afterCommit(tell: () => void): void {
    this.told.push(tell);
  }

  close(): Promise<void> {
    return Promise.reject(new Error("Closing the task database failed: a transaction is open"));
  }
}

/** Before anything is written: the tables of another program and those of a later drover stay as they are. */
async function migrate(sql: postgres.Sql, database: PostgresDatabase): Promise<void> {
  await sql.begin(async (tx) => {
    await tx`SELECT pg_advisory_xact_lock(${MIGRATION_LOCK})`;
    const [seen] = await tx<{ ours: boolean; foreign: boolean }[]>`
      SELECT to_regclass('drover_schema') IS NOT NULL AS ours, to_regclass('tasks') IS NOT NULL AS foreign`;
    if (!seen?.ours && seen?.foreign) throw belongsToOthers(database);
    if (!seen?.ours) await tx.unsafe("CREATE TABLE drover_schema (version INTEGER NOT NULL)");
    const [row] = await tx<{ version: number }[]>`SELECT version FROM drover_schema`;
    const from = row?.version ?? 0;
    if (from > POSTGRES_MIGRATIONS.length) {
      const [kept] = await tx<{ meta: boolean }[]>`SELECT to_regclass('meta') IS NOT NULL AS meta`;
      const [mark] = kept?.meta
        ? await tx<{ value: string }[]>`SELECT value FROM meta WHERE key = ${READABLE_KEY}`
        : [];
      if (Number(mark?.value ?? Infinity) > POSTGRES_MIGRATIONS.length) throw writtenByNewer(database, from);
    }
    if (from >= POSTGRES_MIGRATIONS.length) return;
    for (const step of POSTGRES_MIGRATIONS.slice(from)) await tx.unsafe(step);
    if (!row) await tx`INSERT INTO drover_schema (version) VALUES (${POSTGRES_MIGRATIONS.length})`;
    else await tx`UPDATE drover_schema SET version = ${POSTGRES_MIGRATIONS.length}`;
    await tx`INSERT INTO meta (key, value) VALUES (${READABLE_KEY}, ${String(READABLE_BY)})
      ON CONFLICT (key) DO UPDATE SET value = excluded.value`;
  });
}

function belongsToOthers(database: PostgresDatabase): StoreError {
  return new StoreError(
    "store_corrupt",
    `Opening the task database ${databaseName(database)} failed: it has a table "tasks" of another program; ` +
      "use a database or a schema of its own (add ?search_path=NAME to the address)",
  );
}

function writtenByNewer(database: PostgresDatabase, version: number): StoreError {
  return new StoreError(
    "store_newer",
    `Opening the task database ${
      databaseName(database)
    } failed: its schema is ${version} and this drover knows up to ` +
      `${POSTGRES_MIGRATIONS.length}; use the newer drover that wrote it, or another database`,
  );
}

function openingFailed(database: PostgresDatabase, error: unknown): StoreError {
  const cause = error as { message?: string; code?: string };
  return new StoreError(
    "store_unavailable",
    `Opening the task database ${databaseName(database)} failed: ${cause.message || cause.code || String(error)}; ` +
      "check that PostgreSQL runs there, that user and password are right, and that the user may create tables",
    { cause: error },
  );
}
