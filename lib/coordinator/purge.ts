/** Retention: what of ended tasks is deleted when its time is over, everything or only what was said. */
import { inTransaction, type Shared } from "./deps.ts";
import { isEnded } from "./sql.ts";

/** Of tasks whose messages go at once: everybody else waits for as long as that takes. */
const PAGE = 50;

/** Deletes tasks that ended before `before`, with their messages, usage and emptied threads; the number of tasks. */
export function purgeEnded(deps: Shared, before: number): Promise<number> {
  return inTransaction(deps, async (deps) => {
    const purged = await deps.store.run(`DELETE FROM tasks WHERE ${isEnded()} AND completed_at < :before`, {
      before,
    });
    if (purged > 0) {
      // A younger one has not had its first task yet.
      await deps.store.run(
        `DELETE FROM threads WHERE updated_at < :before
           AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.thread_id = threads.id)`,
        { before },
      );
    }
    return purged;
  });
}

/** Ended tasks in the order of their ends, those of one moment by id. */
const NEXT_PAGE = `
SELECT id, completed_at FROM tasks
WHERE ${isEnded()} AND completed_at < :before
  AND (completed_at > :at OR (completed_at = :at AND id > :id))
ORDER BY completed_at, id LIMIT ${PAGE}`;

interface Ended {
  readonly id: string;
  readonly completed_at: number;
}

/** Deletes the messages of tasks that ended before `before`; their number. The tasks stay, with outcome and usage. */
export async function purgeMessages({ store }: Pick<Shared, "store">, before: number): Promise<number> {
  const purge = `DELETE FROM messages WHERE task_id IN (SELECT id FROM (${NEXT_PAGE}) AS page)`;
  let purged = 0;
  let last: Ended | undefined = { id: "", completed_at: 0 };
  while (last) {
    const after = { before, at: last.completed_at, id: last.id };
    const page: Ended[] = await store.all<Ended>(NEXT_PAGE, after);
    purged += await store.run(purge, after);
    last = page.at(-1);
  }
  return purged;
}
