/** Where tasks are kept, as everything else sees it: statements, transactions, what is told after a commit, and who else uses it. */

export type SqlValue = string | number | null;
export type SqlParams = Readonly<Record<string, SqlValue>>;

export type StoreErrorCode = "store_corrupt" | "store_unavailable" | "store_newer";

/** The database cannot be used as it is. The message names the database, the cause and what to do. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  constructor(readonly code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/**
 * Statements are written once, for every kind of database (`dialect.ts` says what may differ): parameters are `:name`,
 * a mixed-case column name is quoted, a parameter of which only its being null is asked is cast.
 */
export interface Store {
  /** The first row, or `undefined`. */
  get<Row>(sql: string, params?: SqlParams): Promise<Row | undefined>;
  all<Row>(sql: string, params?: SqlParams): Promise<Row[]>;
  /** The number of rows that changed. */
  run(sql: string, params?: SqlParams): Promise<number>;
  /**
   * All of `work` or nothing. `work` uses the store it is given: the outer one would wait for the end of this very
   * transaction. It may be run again from its beginning, so it changes nothing but the store, waits for nothing else,
   * and tells others by `afterCommit`. A call inside another joins the outer one.
   */
  transaction<T>(work: (tx: Store) => Promise<T>): Promise<T>;
  /** Runs `tell` once the changes made so far are committed, never when they are rolled back: nobody hears of what did not happen. */
  afterCommit(tell: () => void): void;
  /** The other processes over the same database; absent where there cannot be any. */
  readonly peers?: Peers;
  /** Waits for what is under way. */
  close(): Promise<void>;
}

/** Notices between the processes over one database. Losing one costs latency and never work. */
export interface Peers {
  /** To all others, soon and in order; never to this process. Short: 7,000 bytes at most. */
  send(notice: string): void;
  /** From now on `heard` is called for each notice of another process. */
  listen(heard: (notice: string) => void): void;
}
