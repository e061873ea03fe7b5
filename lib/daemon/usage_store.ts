/** The tokens found in session logs, in a SQLite file of their own: each answer once, and how far each log was read. */
import { DatabaseSync } from "node:sqlite";
import type { Kept, LoggedUsage } from "../agents/session_logs.ts";

export interface LogFile {
  readonly path: string;
  readonly ino: number;
  readonly size: number;
  readonly mtimeMs: number;
  /** Bytes read, to the end of a line. */
  readonly offset: number;
  /** The last bytes before `offset`: a file in which others stand there was written anew. */
  readonly tail: string;
  readonly kept: Kept;
}

/** `YYYY-MM-DD`, the day where this machine is. */
export interface DayUsage {
  readonly date: string;
  readonly provider: string;
  readonly model: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
}

export interface UsageStore extends Disposable {
  file(path: string): LogFile | undefined;
  /** What was read and how far, both or neither. */
  add(file: LogFile, found: { provider: string; usage: readonly (LoggedUsage & { date: string })[] }): void;
  /** From `since`, a day, on; newest first. */
  days(since: string): readonly DayUsage[];
  /** Forgets answers from before `day`. */
  purge(day: string): void;
}

/** The file cannot be used; the message says why, and what to do. */
export class UsageStoreError extends Error {
  override readonly name = "UsageStoreError";
}

/** Raised only by what an older program cannot work with: a release that is taken back leaves the file to the one before. */
const SCHEMA_VERSION = 1;
const SCHEMA = `
CREATE TABLE files (
  path TEXT PRIMARY KEY,
  ino INTEGER NOT NULL,
  size INTEGER NOT NULL,
  mtime INTEGER NOT NULL,
  read_to INTEGER NOT NULL,
  tail TEXT NOT NULL,
  kept TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE answers (
  id TEXT NOT NULL,
  provider TEXT NOT NULL,
  date TEXT NOT NULL,
  model TEXT NOT NULL,
  input INTEGER NOT NULL,
  output INTEGER NOT NULL,
  cache_read INTEGER NOT NULL,
  cache_write INTEGER NOT NULL,
  PRIMARY KEY (provider, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_date ON answers (date);
`;

/** An answer that is still being given is told of several times, with ever more tokens. */
const ADD = `
INSERT INTO answers (id, provider, date, model, input, output, cache_read, cache_write)
VALUES (:id, :provider, :date, :model, :input, :output, :read, :write)
ON CONFLICT (provider, id) DO UPDATE SET
  input = max(input, excluded.input), output = max(output, excluded.output),
  cache_read = max(cache_read, excluded.cache_read), cache_write = max(cache_write, excluded.cache_write)`;

const PUT_FILE = `
INSERT INTO files (path, ino, size, mtime, read_to, tail, kept)
VALUES (:path, :ino, :size, :mtime, :offset, :tail, :kept)
ON CONFLICT (path) DO UPDATE SET
  ino = excluded.ino, size = excluded.size, mtime = excluded.mtime, read_to = excluded.read_to,
  tail = excluded.tail, kept = excluded.kept`;

const DAYS = `
SELECT date, provider, model, sum(input) AS inputTokens, sum(output) AS outputTokens,
  sum(cache_read) AS cacheReadTokens, sum(cache_write) AS cacheWriteTokens
FROM answers WHERE date >= :since GROUP BY date, provider, model ORDER BY date DESC, provider, model`;

/** Throws `UsageStoreError`. */
export function openUsageStore(path: string): UsageStore {
  const db = open(path);
  const [find, putFile, add, days] = ["SELECT * FROM files WHERE path = ?", PUT_FILE, ADD, DAYS]
    .map((sql) => db.prepare(sql)) as [Statement, Statement, Statement, Statement];
  return {
    file(wanted) {
      const row = find.get(wanted) as Record<string, number | string> | undefined;
      if (!row) return undefined;
      const { ino, size, mtime, read_to, tail, kept } = row;
      return {
        path: wanted,
        ino: Number(ino),
        size: Number(size),
        mtimeMs: Number(mtime),
        offset: Number(read_to),
        tail: String(tail),
        kept: JSON.parse(String(kept)) as Kept,
      };
    },
    add({ path, ino, size, mtimeMs, offset, tail, kept }, { provider, usage }) {
      db.exec("BEGIN IMMEDIATE");
      try {
        for (const { id, date, model, ...tokens } of usage) {
          add.run({
            ...{ id, provider, date, model },
            input: Math.trunc(tokens.inputTokens),
            output: Math.trunc(tokens.outputTokens),
            read: Math.trunc(tokens.cacheReadTokens),
            write: Math.trunc(tokens.cacheWriteTokens),
          });
        }
        putFile.run({ path, ino, size, mtime: Math.trunc(mtimeMs), offset, tail, kept: JSON.stringify(kept) });
        db.exec("COMMIT");
      } catch (error) {
        db.exec("ROLLBACK");
        throw error;
      }
    },
    days: (since) => days.all({ since }) as unknown as DayUsage[],
    purge: (day) => void db.prepare("DELETE FROM answers WHERE date < ?").run(day),
    [Symbol.dispose]: () => db.close(),
  };
}

type Statement = ReturnType<DatabaseSync["prepare"]>;

function open(path: string): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path);
    // What a power cut takes is read again.
    db.exec("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
    db.exec("BEGIN IMMEDIATE");
    const found = Number((db.prepare("PRAGMA user_version").get() as { user_version: number }).user_version);
    if (found > SCHEMA_VERSION) throw new Error(`Its schema is version ${found}, of a newer drover`);
    if (found < SCHEMA_VERSION) db.exec(`${SCHEMA} PRAGMA user_version = ${SCHEMA_VERSION};`);
    db.exec("COMMIT");
    return db;
  } catch (error) {
    db?.close();
    throw new UsageStoreError(
      `Cannot open ${path}: ${
        (error as Error).message
      }; remove it (with its -wal and -shm files), and it is made anew ` +
        "from the session logs",
      { cause: error },
    );
  }
}
