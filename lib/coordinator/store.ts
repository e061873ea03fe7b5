/** The SQLite file: opening it safely, prepared statements that are kept, transactions, and what is told after a commit. */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { MIGRATIONS } from "./migrations.ts";

export type SqlValue = string | number | null;
export type SqlParams = Readonly<Record<string, SqlValue>>;

export type StoreErrorCode = "store_corrupt" | "store_unavailable" | "store_newer";

/** The database cannot be used as it is. The message names the file, the cause and what to do. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  constructor(readonly code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

export interface StoreOptions {
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

export class Store {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #inTransaction = false;
  #afterCommit: (() => void)[] = [];

  private constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Opens or creates the database at `path` (or `:memory:`) and brings its schema up to date. Throws `StoreError`. */
  static open(path: string, options: StoreOptions): Store {
    let db: DatabaseSync | undefined;
    try {
      db = new DatabaseSync(path);
      db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
      db.exec("PRAGMA foreign_keys = ON");
      db.exec("PRAGMA temp_store = MEMORY");
      const store = new Store(db);
      store.#refuseForeign(path);
      db.exec("PRAGMA journal_mode = WAL");
      db.exec(`PRAGMA synchronous = ${options.synchronous === "full" ? "FULL" : "NORMAL"}`);
      store.#check(path);
      store.transaction(() => store.#migrate());
      return store;
    } catch (error) {
      db?.close();
      throw error instanceof StoreError ? error : openingFailed(path, error);
    }
  }

  /** The first row, or `undefined`. */
  get<Row>(sql: string, params: SqlParams = {}): Row | undefined {
    return this.#prepare(sql).get(params) as Row | undefined;
  }

  all<Row>(sql: string, params: SqlParams = {}): Row[] {
    return this.#prepare(sql).all(params) as Row[];
  }

  /** The number of rows that changed. */
  run(sql: string, params: SqlParams = {}): number {
    return Number(this.#prepare(sql).run(params).changes);
  }

  /** All of `fn` or nothing. A call inside another joins the outer one. `fn` must not be asynchronous. */
  transaction<T>(fn: () => T): T {
    if (this.#inTransaction) return fn();
    this.run("BEGIN IMMEDIATE");
    this.#inTransaction = true;
    let result: T;
    try {
      result = fn();
      this.run("COMMIT");
    } catch (error) {
      this.#afterCommit = [];
      this.#rollback();
      throw error;
    } finally {
      this.#inTransaction = false;
    }
    const told = this.#afterCommit;
    this.#afterCommit = [];
    for (const tell of told) tell();
    return result;
  }

  /** Runs `tell` once the changes made so far are committed, never when they are rolled back: nobody hears of what did not happen. */
  afterCommit(tell: () => void): void {
    if (this.#inTransaction) this.#afterCommit.push(tell);
    else tell();
  }

  close(): void {
    this.#statements.clear();
    this.#db.close();
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #rollback(): void {
    try {
      this.run("ROLLBACK");
    } catch {
      // SQLite has rolled back by itself (disk full, I/O error): the first error is the one to report.
    }
  }

  #pragma(name: string): number {
    const row = this.#db.prepare(`PRAGMA ${name}`).get() as Record<string, number> | undefined;
    return row?.[name] ?? 0;
  }

  /** Before anything is written: another program's database and one of a later drover stay as they are. */
  #refuseForeign(path: string): void {
    const schema = this.#pragma("user_version");
    const ours = this.#pragma("application_id") === APPLICATION_ID;
    const empty = this.#pragma("schema_version") === 0;
    if (!ours && !empty) {
      throw new StoreError(
        "store_corrupt",
        `Opening the task database ${path} failed: it is a database of another program; ` +
          "move it aside, and drover makes a new one",
      );
    }
    if (schema > MIGRATIONS.length) {
      throw new StoreError(
        "store_newer",
        `Opening the task database ${path} failed: its schema is ${schema} and this drover knows up to ` +
          `${MIGRATIONS.length}; use the newer drover that wrote it, or move the file aside`,
      );
    }
  }

  #check(path: string): void {
    if (this.#pragma("page_count") * this.#pragma("page_size") > FULL_CHECK_BYTES) return;
    const row = this.#db.prepare("PRAGMA quick_check(1)").get() as { quick_check: string };
    if (row.quick_check !== "ok") throw corrupt(path, row.quick_check);
  }

  #migrate(): void {
    const from = this.#pragma("user_version");
    for (const sql of MIGRATIONS.slice(from)) this.#db.exec(sql);
    this.#db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
    this.#db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
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
