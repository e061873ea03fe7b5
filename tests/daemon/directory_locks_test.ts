/** Who may work in a directory: turns, nested paths, waiters that give up. */
import { assertEquals, assertRejects } from "@std/assert";
import { createDirectoryLocks, overlap } from "../../lib/daemon/directory_locks.ts";

/** A task that takes a directory: what it heard, and how it lets go. */
function taker(locks = createDirectoryLocks()) {
  return (path: string, task: string) => {
    const heard: string[] = [];
    const abort = new AbortController();
    const state = { heard, abort, lock: undefined as Disposable | undefined, done: Promise.resolve() };
    state.done = locks.acquire(path, task, { signal: abort.signal, onWait: (holder) => heard.push(holder) })
      .then((lock) => void (state.lock = lock));
    state.done.catch(() => {});
    return state;
  };
}

async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await Promise.resolve();
}

Deno.test("overlap() sees the same path and nested ones, and no names that only begin alike", () => {
  assertEquals(
    [["/a", "/a"], ["/a", "/a/b"], ["/a/b/c", "/a"], ["/", "/a"], ["/a", "/ab"], ["/a/b", "/a/c"], ["/a", "/b"]].map((
      [a, b],
    ) => overlap(a!, b!)),
    [true, true, true, true, false, false, false],
  );
});

Deno.test("DirectoryLocks gives a directory to one task at a time, in the order in which they came", async () => {
  const take = taker();
  const [one, two, three] = [take("/a", "1"), take("/a", "2"), take("/a", "3")];
  await settled();
  assertEquals([!!one.lock, !!two.lock, !!three.lock], [true, false, false]);
  assertEquals([one.heard, two.heard, three.heard], [[], ["1"], ["1"]]);
  one.lock![Symbol.dispose]();
  one.lock![Symbol.dispose]();
  await settled();
  assertEquals([!!two.lock, !!three.lock, three.heard], [true, false, ["1", "2"]]);
  two.lock![Symbol.dispose]();
  await three.done;
});

Deno.test("DirectoryLocks keeps nested directories apart, and lets others work side by side", async () => {
  const take = taker();
  const [one, inner, outer, beside] = [take("/a/b", "1"), take("/a/b/c", "2"), take("/a", "3"), take("/b", "4")];
  await settled();
  assertEquals([one, inner, outer, beside].map(({ lock }) => !!lock), [true, false, false, true]);
  one.lock![Symbol.dispose]();
  await settled();
  assertEquals([!!inner.lock, !!outer.lock, outer.heard], [true, false, ["1", "2"]]);
});

Deno.test("DirectoryLocks lets nobody overtake a waiter by a directory inside", async () => {
  const take = taker();
  const [_one, outer, sibling] = [take("/a/b", "1"), take("/a", "2"), take("/a/c", "3")];
  await settled();
  assertEquals([!!outer.lock, !!sibling.lock, sibling.heard], [false, false, ["2"]]);
});

Deno.test("DirectoryLocks forgets a waiter that gives up, and the next one comes to its turn", async () => {
  const take = taker();
  const [one, two, inside] = [take("/a/b", "1"), take("/a", "2"), take("/a/c", "3")];
  two.abort.abort(new Error("cancelled"));
  await assertRejects(() => two.done, Error, "cancelled");
  await inside.done;
  assertEquals([!!one.lock, !!inside.lock], [true, true]);
  const late = take("/a", "4");
  late.abort.abort(new Error("late"));
  one.lock![Symbol.dispose]();
  await assertRejects(() => late.done, Error, "late");
});
