/** Who may work in a directory of the user's: one task at a time per real path, nested paths included, first come first served. */
import { dirname } from "@std/path";

export interface DirectoryLocks {
  /**
   * Waits for its turn. `path` is a real path; `onWait` hears who is in the way, at once and whenever that changes.
   * Rejects with `signal.reason` as soon as the signal aborts.
   */
  acquire(
    path: string,
    task: string,
    options: { signal: AbortSignal; onWait: (holder: string) => void },
  ): Promise<Disposable>;
}

interface Place {
  readonly path: string;
  readonly task: string;
  granted: boolean;
  /** The task it was last said to wait for. */
  behind: string;
  readonly grant: () => void;
  readonly onWait: (holder: string) => void;
}

export function createDirectoryLocks(): DirectoryLocks {
  /** In the order in which they came: holders and waiters. */
  const places: Place[] = [];
  const settle = () => {
    for (const [index, place] of places.entries()) {
      if (place.granted) continue;
      // Earlier waiters count as well: a later task that fits beside the holder must not starve them.
      const holder = places.slice(0, index).find((earlier) => overlap(earlier.path, place.path));
      if (!holder) {
        place.granted = true;
        place.grant();
      } else if (holder.task !== place.behind) {
        place.behind = holder.task;
        place.onWait(holder.task);
      }
    }
  };
  return {
    async acquire(path, task, { signal, onWait }) {
      signal.throwIfAborted();
      const { promise, resolve: grant, reject } = Promise.withResolvers<void>();
      const place: Place = { path, task, granted: false, behind: "", grant, onWait };
      const leave = () => {
        const index = places.indexOf(place);
        if (index < 0) return;
        places.splice(index, 1);
        settle();
      };
      const giveUp = () => reject(signal.reason);
      signal.addEventListener("abort", giveUp, { once: true });
      places.push(place);
      try {
        settle();
        await promise;
      } catch (error) {
        leave();
        throw error;
      } finally {
        signal.removeEventListener("abort", giveUp);
      }
      return { [Symbol.dispose]: leave };
    },
  };
}

/** Whether one of two real paths is the other or holds it. */
export function overlap(a: string, b: string): boolean {
  return a === b || isBelow(a, b) || isBelow(b, a);
}

function isBelow(path: string, directory: string): boolean {
  for (let parent = dirname(path);; parent = dirname(parent)) {
    if (parent === directory) return true;
    if (parent === dirname(parent)) return false;
  }
}
