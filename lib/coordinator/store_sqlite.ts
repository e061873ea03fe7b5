/** The SQLite file: opening it safely, prepared statements that are kept, and transactions that take turns. */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { sqliteText } from "./dialect.ts";
import { MIGRATIONS, READABLE_BY, READABLE_KEY } from "./migrations.ts";
import { Mutex } from "./mutex.ts";
import { type SqlParams, type Store, StoreError } from "./store.ts";

export interface SqliteOptions {
  /** `full` waits for the disk at each commit, `normal` only at checkpoints. */
  readonly synchronous: "normal" | "full";
}

/** Marks the file as ours ("drov"), so that somebody else's database is never migrated. */
const APPLICATION_ID = 0x64726f76;
/** Waiting for a lock blocks the whole process, so only a moment is worth it. */
const BUSY_TIMEOUT_MS = 250;
/** Reading every page at start is worth its time up to this size (some 50 ms); above it only header and schema are read. */
const FULL_CHECK_BYTES = 64 * 1024 * 1024;
/** SQLite's own words: the driver reports one code for every kind of failure. */
const CORRUPT = /not a database|malformed|corrupt|unsupported file format/i;

/** Opens or creates the database at `path` (or `:memory:`) and brings its schema up to date. Throws `StoreError`. */
export function openSqlite(path: string, options: SqliteOptions): Store {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path);
    db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    db.exec("PRAGMA foreign_keys = ON");
    db.exec("PRAGMA temp_store = MEMORY");
    new Schema(db, path).refuseForeign();
    db.exec("PRAGMA journal_mode = WAL");
    db.exec(`PRAGMA synchronous = ${options.synchronous === "full" ? "FULL" : "NORMAL"}`);
    new Schema(db, path).bringUpToDate();
    return new SqliteStore(db);
  } catch (error) {
    db?.close();
    throw error instanceof StoreError ? error : openingFailed(path, error);
  }
}

/** Statements without turns: they do their work at once, before they return. */
class Connection {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  get<Row>(sql: string, params: SqlParams = {}): Row | undefined {
    return this.#prepare(sql).get(params) as Row | undefined;
  }

  all<Row>(sql: string, params: SqlParams = {}): Row[] {
    return this.#prepare(sql).all(params) as Row[];
  }

  run(sql: string, params: SqlParams = {}): number {
    return Number(this.#prepare(sql).run(params).changes);
  }

  rollBack(): void {
    try {
      this.run("ROLLBACK");
    } catch {
      // SQLite has rolled back by itself (disk full, I/O error): the first error is the one to report.
    }
  }

  close(): void {
    this.#statements.clear();
    this.#db.close();
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#db.prepare(sqliteText(sql));
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** One connection: whoever comes while a transaction is open waits for its end, also to read, or would see what is not yet true. */
class SqliteStore implements Store {
  readonly #connection: Connection;
  readonly #turns = new Mutex();

  constructor(db: DatabaseSync) {
    this.#connection = new Connection(db);
  }

  get<Row>(sql: string, params?: SqlParams): Promise<Row | undefined> {
    return this.#inTurn(() => this.#connection.get<Row>(sql, params));
  }

  all<Row>(sql: string, params?: SqlParams): Promise<Row[]> {
    return this.#inTurn(() => this.#connection.all<Row>(sql, params));
  }

  run(sql: string, params?: SqlParams): Promise<number> {
    return this.#inTurn(() => this.#connection.run(sql, params));
  }

  async transaction<T>(work: (tx: Store) => Promise<T>): Promise<T> {
    const tx = new SqliteTransaction(this.#connection);
    const result = await this.#inTurn(async () => {
      this.#connection.run("BEGIN IMMEDIATE");
      try {
        const result = await work(tx);
        this.#connection.run("COMMIT");
        return result;
      } catch (error) {
        this.#connection.rollBack();
        throw error;
      }
    });
    for (const tell of tx.told) tell();
    return result;
  }

  afterCommit(tell: () => void): void {
    tell();
  }

  close(): Promise<void> {
    return this.#inTurn(() => this.#connection.close());
  }

  async #inTurn<T>(work: () => T | Promise<T>): Promise<T> {
    const waiting = this.#turns.acquire();
    if (waiting) await waiting;
    try {
      const result = work();
      return result instanceof Promise ? await result : result;
    } finally {
      this.#turns.release();
    }
  }
}

/** Has the turn already. Every call is done when it returns, so that a transaction never waits for anything. */
class SqliteTransaction implements Store {
  readonly #connection: Connection;
  readonly told: (() => void)[] = [];

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  // deno-lint-ignore require-await -- what is thrown becomes a rejection
  async get<Row>(sql: string, params?: SqlParams): Promise<Row | undefined> {
    return this.#connection.get<Row>(sql, params);
  }

  // deno-lint-ignore require-await
  async all<Row>(sql: string, params?: SqlParams): Promise<Row[]> {
    return this.#connection.all<Row>(sql, params);
  }

  // deno-lint-ignore require-await
  async run(sql: string, params?: SqlParams): Promise<number> {
    return this.#connection.run(sql, params);
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

/** What the file is, and how it becomes what this program needs. */
class Schema {
  readonly #db: DatabaseSync;
  readonly #path: string;

  constructor(db: DatabaseSync, path: string) {
    this.#db = db;
    this.#path = path;
  }

  #pragma(name: string): number {
    const row = this.#db.prepare(`PRAGMA ${name}`).get() as Record<string, number> | undefined;
    return row?.[name] ?? 0;
  }

  /** Before anything is written: another program's database and one of a later drover stay as they are. */
  refuseForeign(): void {
    const schema = this.#pragma("user_version");
    const ours = this.#pragma("application_id") === APPLICATION_ID;
    const empty = this.#pragma("schema_version") === 0;
    if (!ours && !empty) {
      throw new StoreError(
        "store_corrupt",
        `Opening the task database ${this.#path} failed: it is a database of another program; ` +
          "move it aside, and drover makes a new one",
      );
    }
    if (schema > MIGRATIONS.length && this.#readableBy() > MIGRATIONS.length) {
      throw new StoreError(
        "store_newer",
        `Opening the task database ${this.#path} failed: its schema is ${schema} and this drover knows up to ` +
          `${MIGRATIONS.length}; use the newer drover that wrote it, or move the file aside`,
      );
    }
  }

  /** The oldest schema that can work with this one; a later drover wrote it down. */
  #readableBy(): number {
    const sql = "SELECT value FROM meta WHERE key = :key";
    const row = this.#db.prepare(sql).get({ key: READABLE_KEY }) as { value: string } | undefined;
    return Number(row?.value ?? Infinity);
  }

  bringUpToDate(): void {
    this.#check();
    this.#db.exec("BEGIN IMMEDIATE");
    this.#migrate();
    this.#db.exec("COMMIT");
  }

  #check(): void {
    if (this.#pragma("page_count") * this.#pragma("page_size") > FULL_CHECK_BYTES) return;
    const row = this.#db.prepare("PRAGMA quick_check(1)").get() as { quick_check: string };
    if (row.quick_check !== "ok") throw corrupt(this.#path, row.quick_check);
  }

  #migrate(): void {
    const from = this.#pragma("user_version");
    if (from >= MIGRATIONS.length) return;
    for (const sql of MIGRATIONS.slice(from)) this.#db.exec(sql);
    this.#db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
    this.#db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
    const mark =
      "INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    this.#db.prepare(mark).run({ key: READABLE_KEY, value: String(READABLE_BY) });
  }
}

function openingFailed(path: string, error: unknown): StoreError {
  const cause = error instanceof Error ? error.message : String(error);
  if (CORRUPT.test(cause)) return corrupt(path, cause, error);
  return new StoreError(
    "store_unavailable",
    `Opening the task database ${path} failed: ${cause}; check that its directory exists, is writable, ` +
      "has free space, and that no other program holds the file",
    { cause: error },
  );
}

function corrupt(path: string, cause: string, error?: unknown): StoreError {
  return new StoreError(
    "store_corrupt",
    `Opening the task database ${path} failed: it is damaged (${cause}); ` +
      `move it and its -wal and -shm files aside, and drover makes a new one`,
    { cause: error },
  );
}
