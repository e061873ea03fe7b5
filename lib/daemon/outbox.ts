/** The outbox: what must reach a server stands on disk before it is sent, in the daemon's own SQLite file, and survives `kill -9`. */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Logger } from "../core/ports.ts";

export type OutboxKind = "messages" | "session" | "usage" | "complete" | "fail" | "cancel-ack";

/** The kinds that end a task: delivering one means the server knows how it went. */
const OUTCOMES: readonly OutboxKind[] = ["complete", "fail", "cancel-ack"];

export function isOutcome(kind: OutboxKind): boolean {
  return OUTCOMES.includes(kind);
}

export interface OutboxEntry {
  readonly connection: string;
  readonly workspace: string;
  readonly runtime: string;
  readonly task: string;
  readonly kind: OutboxKind;
  /** Body of the call, JSON. */
  readonly payload: string;
  /** For messages: first and last seq. */
  readonly seqFrom?: number;
  readonly seqTo?: number;
}

export interface OutboxRow extends OutboxEntry {
  readonly id: number;
  readonly attempts: number;
  /** A message row found `sending` after a crash may or may not have arrived. */
  readonly state: "pending" | "sending";
}

export interface Outbox {
  /** True while records exist only in memory because the file could not be written: claims must stay closed. */
  readonly degraded: boolean;
  /** Keeps the entry; on disk if at all possible. */
  put(entry: OutboxEntry): OutboxRow;
  /** The oldest row of a task, which is the only one that may be sent. */
  head(task: string): OutboxRow | undefined;
  /** Tasks of a connection, or of one of its workspaces, that have rows, oldest first. */
  tasks(connection: string, workspace?: string): string[];
  update(
    row: OutboxRow,
    change: { attempts?: number; state?: OutboxRow["state"]; kind?: OutboxKind; payload?: string },
  ): OutboxRow;
  remove(row: OutboxRow): void;
  /** Whether an outcome is among the rows of the task. */
  hasOutcome(task: string): boolean;
  /** Tries to write what is only in memory, changes to stored rows included; true when nothing is left there. */
  persist(): boolean;
  /** Removes records on disk from before `before` (ms since 1970) that nobody ever took; how many. */
  purge(before: number): number;
  count(): number;
  close(): void;
}

/** The file cannot be used; the message says which, why, and what to do. */
export class OutboxError extends Error {
  override readonly name = "OutboxError";
  readonly code = "outbox_unusable";
}

/** Raised only by what an older program cannot work with: a release that is taken back leaves the file to the one before. */
const SCHEMA_VERSION = 1;

const SCHEMA = `
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY,
  connection TEXT NOT NULL,
  workspace TEXT NOT NULL,
  runtime TEXT NOT NULL,
  task TEXT NOT NULL,
  kind TEXT NOT NULL,
  seq_from INTEGER,
  seq_to INTEGER,
  payload TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL DEFAULT 'pending',
  created_at INTEGER NOT NULL DEFAULT (unixepoch() * 1000)
) STRICT;
CREATE INDEX outbox_task ON outbox (task, id);
`;

/** `onDegraded` is called when a record or a change could be kept in memory only: somebody has to call `persist` later. */
export function openOutbox(path: string, log: Logger, options: { onDegraded?: () => void } = {}): Outbox {
  return new SqliteOutbox(openDatabase(path), log, options.onDegraded ?? (() => {}));
}

function openDatabase(path: string): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path);
    db.exec("PRAGMA busy_timeout = 2000");
    const found = schemaOf(path, db);
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    if (found < SCHEMA_VERSION) db.exec(`BEGIN IMMEDIATE; ${SCHEMA} PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT;`);
    // A damaged file often opens; reading it is what fails.
    db.prepare("SELECT count(*) FROM outbox").get();
    return db;
  } catch (error) {
    db?.close();
    if (error instanceof OutboxError) throw error;
    throw new OutboxError(
      `Cannot open the outbox ${path}: ${(error as Error).message}. It holds results that were not delivered yet; ` +
        `move it aside (with its -wal and -shm files) to start without them`,
      { cause: error },
    );
  }
}

/** Its schema's version, 0 for a new file. Before anything is written: a file that is not ours stays as it is. */
function schemaOf(path: string, db: DatabaseSync): number {
  const pragma = (name: string) => Number((db.prepare(`PRAGMA ${name}`).get() as Record<string, unknown>)[name]);
  const found = pragma("user_version");
  if (found > SCHEMA_VERSION) {
    throw new OutboxError(
      `Cannot open the outbox ${path}: its schema is version ${found}, this program knows up to ${SCHEMA_VERSION}; ` +
        "use the newer drover that wrote it",
    );
  }
  if (found === 0 && pragma("schema_version") !== 0) {
    throw new OutboxError(
      `Cannot open the outbox ${path}: it is a database of another program; move it aside, and drover makes a new one`,
    );
  }
  return found;
}

interface Stored {
  id: number;
  connection: string;
  workspace: string;
  runtime: string;
  task: string;
  kind: string;
  seq_from: number | null;
  seq_to: number | null;
  payload: string;
  attempts: number;
  state: string;
}

class SqliteOutbox implements Outbox {
  readonly #db: DatabaseSync;
  readonly #log: Logger;
  readonly #onDegraded: () => void;
  /** Rows that could not be written, by id; they take part in everything as if they had been. */
  readonly #memory = new Map<number, OutboxRow>();
  /** Stored rows whose change or removal could not be written: without it a delivered row would be sent for ever. */
  readonly #changed = new Map<number, OutboxRow | "removed">();
  /** Ids are ours, so that a row keeps its place when it is written late. */
  #nextId: number;
  /** How many rows the next process will find: the status is asked for while everything closes. */
  #left: number | undefined;
  readonly #insert: StatementSync;
  readonly #next: StatementSync;
  readonly #tasks: StatementSync;
  readonly #update: StatementSync;
  readonly #delete: StatementSync;
  readonly #count: StatementSync;

  constructor(db: DatabaseSync, log: Logger, onDegraded: () => void) {
    this.#db = db;
    this.#log = log;
    this.#onDegraded = onDegraded;
    this.#insert = db.prepare(
      `INSERT OR REPLACE INTO outbox (id, connection, workspace, runtime, task, kind, seq_from, seq_to, payload, attempts, state)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#next = db.prepare("SELECT * FROM outbox WHERE task = ? AND id > ? ORDER BY id LIMIT 1");
    this.#tasks = db.prepare("SELECT id, task, workspace FROM outbox WHERE connection = ? ORDER BY id");
    this.#update = db.prepare("UPDATE outbox SET attempts = ?, state = ?, kind = ?, payload = ? WHERE id = ?");
    this.#delete = db.prepare("DELETE FROM outbox WHERE id = ?");
    this.#count = db.prepare("SELECT count(*) AS n FROM outbox");
    const top = db.prepare("SELECT max(id) AS top FROM outbox").get() as { top: number | null };
    this.#nextId = (top.top ?? 0) + 1;
  }

  get degraded(): boolean {
    return this.#memory.size > 0;
  }

  put(entry: OutboxEntry): OutboxRow {
    const row: OutboxRow = { ...entry, id: this.#nextId++, attempts: 0, state: "pending" };
    try {
      this.#write(row);
    } catch (error) {
      if (!this.degraded) {
        this.#log.error("outbox cannot be written, records stay in memory and claims stop", {
          error: (error as Error).message,
        });
      }
      this.#memory.set(row.id, row);
      this.#onDegraded();
    }
    return row;
  }

  head(task: string): OutboxRow | undefined {
    return this.#after(task, 0);
  }

  tasks(connection: string, workspace?: string): string[] {
    const stored = this.#tasks.all(connection) as unknown as { id: number; task: string; workspace: string }[];
    const held = [...this.#memory.values()].filter((row) => row.connection === connection);
    const all = [...stored.filter((row) => this.#changed.get(row.id) !== "removed"), ...held]
      .filter((row) => workspace === undefined || row.workspace === workspace);
    return [...new Set(all.sort((a, b) => a.id - b.id).map((row) => row.task))];
  }

  update(
    row: OutboxRow,
    change: { attempts?: number; state?: OutboxRow["state"]; kind?: OutboxKind; payload?: string },
  ): OutboxRow {
    const next: OutboxRow = { ...row, ...change };
    if (this.#memory.has(row.id)) this.#memory.set(row.id, next);
    else this.#change(next.id, next);
    return next;
  }

  remove(row: OutboxRow): void {
    if (!this.#memory.delete(row.id)) this.#change(row.id, "removed");
  }

  hasOutcome(task: string): boolean {
    for (let row = this.head(task); row; row = this.#after(task, row.id)) if (isOutcome(row.kind)) return true;
    return false;
  }

  persist(): boolean {
    try {
      for (const row of [...this.#memory.values()]) {
        this.#write(row);
        this.#memory.delete(row.id);
      }
      for (const [id, change] of [...this.#changed]) this.#apply(id, change);
      return true;
    } catch {
      return false;
    }
  }

  count(): number {
    return this.#left ?? this.#countNow();
  }

  #countNow(): number {
    const removed = [...this.#changed.values()].filter((change) => change === "removed").length;
    return (this.#count.get() as { n: number }).n + this.#memory.size - removed;
  }

  purge(before: number): number {
    return Number(this.#db.prepare("DELETE FROM outbox WHERE created_at < ?").run(before).changes);
  }

  close(): void {
    if (this.#left !== undefined) return;
    this.persist();
    this.#left = this.#countLeft();
    this.#db.close();
  }

  #countLeft(): number {
    try {
      return this.#countNow();
    } catch {
      // A disk in trouble must not keep the file open.
      return this.#memory.size;
    }
  }

  /** The first row of a task behind an id. Rows in memory were put in the order of their ids. */
  #after(task: string, id: number): OutboxRow | undefined {
    const inMemory = [...this.#memory.values()].find((row) => row.task === task && row.id > id);
    const stored = this.#storedAfter(task, id);
    if (!stored || !inMemory) return stored ?? inMemory;
    return stored.id < inMemory.id ? stored : inMemory;
  }

  #storedAfter(task: string, id: number): OutboxRow | undefined {
    for (let at = id;;) {
      const stored = this.#next.get(task, at) as unknown as Stored | undefined;
      if (!stored) return undefined;
      const changed = this.#changed.get(stored.id);
      if (changed !== "removed") return changed ?? fromStored(stored);
      at = stored.id;
    }
  }

  /** A change that cannot be written holds for this process; at worst a delivered outcome is sent once more after a crash. */
  #change(id: number, change: OutboxRow | "removed"): void {
    this.#changed.set(id, change);
    try {
      this.#apply(id, change);
    } catch (error) {
      if (this.#changed.size === 1) {
        this.#log.warn("outbox cannot be changed, changes stay in memory", { error: (error as Error).message });
      }
      this.#onDegraded();
    }
  }

  #apply(id: number, change: OutboxRow | "removed"): void {
    if (change === "removed") this.#delete.run(id);
    else this.#update.run(change.attempts, change.state, change.kind, change.payload, id);
    this.#changed.delete(id);
  }

  #write(row: OutboxRow): void {
    this.#insert.run(
      row.id,
      row.connection,
      row.workspace,
      row.runtime,
      row.task,
      row.kind,
      row.seqFrom ?? null,
      row.seqTo ?? null,
      row.payload,
      row.attempts,
      row.state,
    );
  }
}

function fromStored(stored: Stored): OutboxRow {
  return {
    id: stored.id,
    connection: stored.connection,
    workspace: stored.workspace,
    runtime: stored.runtime,
    task: stored.task,
    kind: stored.kind as OutboxKind,
    payload: stored.payload,
    attempts: stored.attempts,
    state: stored.state as OutboxRow["state"],
    ...(stored.seq_from === null ? {} : { seqFrom: stored.seq_from }),
    ...(stored.seq_to === null ? {} : { seqTo: stored.seq_to }),
  };
}
