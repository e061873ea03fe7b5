/** Where the two databases differ in the text of a statement. Statements are written once, with the words of both. */

/**
 * `INDEXED BY` is SQLite's: a statement whose index does not fit any more fails in every test instead of becoming slow.
 * `FOR … UPDATE` is PostgreSQL's: SQLite has one writer at a time, and every transaction of ours is one.
 */
const INDEX_HINT = / INDEXED BY \w+/g;
const ROW_LOCK = /\s+FOR (?:NO KEY )?UPDATE(?: OF \w+)?(?: SKIP LOCKED)?/g;
/** Not the `::type` of a cast. */
const PARAMETER = /(?<!:):([a-zA-Z]\w*)/g;

export function sqliteText(sql: string): string {
  return sql.replace(ROW_LOCK, "");
}

export interface NumberedStatement {
  readonly text: string;
  /** What `$1`, `$2` … stand for. */
  readonly names: readonly string[];
}

export function postgresText(sql: string): NumberedStatement {
  const names: string[] = [];
  const text = sql.replace(INDEX_HINT, "").replace(PARAMETER, (_, name: string) => {
    if (!names.includes(name)) names.push(name);
    return `$${names.indexOf(name) + 1}`;
  });
  return { text, names };
}
