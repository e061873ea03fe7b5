/** An outbox in a real file whose disk a test can break and mend. */
import { DatabaseSync } from "node:sqlite";
import { openOutbox, type Outbox, type OutboxEntry } from "../../lib/daemon/outbox.ts";
import { type KeptLog, keptLog } from "./kept_log.ts";

export type Write = "INSERT" | "UPDATE" | "DELETE";

export interface OutboxFile extends Disposable {
  readonly path: string;
  readonly log: KeptLog;
  outbox: Outbox;
  /** From now on these writes fail as on a full disk. */
  breakWrites(...writes: Write[]): void;
  mend(): void;
  /** Closes and opens again, as the next process would. */
  reopen(): Outbox;
}

export function outboxFile(): OutboxFile {
  const directory = Deno.makeTempDirSync({ prefix: "drover-test-" });
  const path = `${directory}/outbox.db`;
  const log = keptLog();
  const broken = new Set<Write>();
  const change = (sql: (write: Write) => string, writes: Iterable<Write>) => {
    const db = new DatabaseSync(path);
    for (const write of writes) db.exec(sql(write));
    db.close();
  };
  const file: OutboxFile = {
    path,
    log,
    outbox: openOutbox(path, log),
    breakWrites(...writes) {
      // Another connection's trigger is the one way to fail a write of a connection we do not hold.
      change(
        (write) => `CREATE TRIGGER no_${write} BEFORE ${write} ON outbox BEGIN SELECT RAISE(FAIL, 'disk full'); END`,
        writes,
      );
      for (const write of writes) broken.add(write);
    },
    mend() {
      change((write) => `DROP TRIGGER no_${write}`, broken);
      broken.clear();
    },
    reopen() {
      file.outbox.close();
      return file.outbox = openOutbox(path, log);
    },
    [Symbol.dispose]() {
      file.outbox.close();
      Deno.removeSync(directory, { recursive: true });
    },
  };
  return file;
}

export function entry(change: Partial<OutboxEntry> = {}): OutboxEntry {
  return { connection: "c", workspace: "w", runtime: "r", task: "t", kind: "messages", payload: "{}", ...change };
}
