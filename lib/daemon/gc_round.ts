/** One round of cleaning up: looks at every work directory and cached repository, asks whose it was, and removes what may go. */
import { basename, dirname, join } from "@std/path";
import {
  type GcDecision,
  type GcPolicy,
  mayBeLost,
  mayGo,
  repoMayGo,
  type Word,
  type WorkDirectory,
} from "../core/gc.ts";
import type { Home } from "../core/home.ts";
import { type Clock, type Files, HostError, type Locks, type Logger, type Random } from "../core/ports.ts";
import type { RunningTasks } from "./running_tasks.ts";
import { readUse, type WorkRecord } from "./work_record.ts";
import { detach, listBelow, lookAtRepo, tidyRepo, unsavedIn, type WorkStatePorts } from "./work_state.ts";
import { TASK_KEY } from "./workdir.ts";

export interface GcOptions extends WorkStatePorts {
  readonly home: Home;
  readonly clock: Clock;
  readonly random: Random;
  readonly locks: Locks;
  readonly log: Logger;
  readonly running: RunningTasks;
  /** The word of the server that knows the task or the issue. */
  readonly wordOf: (record: WorkRecord, signal: AbortSignal) => Promise<Word>;
  readonly policy: GcPolicy;
  /** Only say what would be done. */
  readonly dryRun?: boolean;
}

export interface GcItem {
  readonly kind: "work" | "repo";
  readonly path: string;
  /** Empty where nobody knows. */
  readonly task: string;
  readonly removed: boolean;
  readonly why: string;
}

const REPO = /\.git$/;
const MARKER = ".drover-task.json";
const TRASH = ".trash";

/** Rejects only with the signal's reason: what cannot be removed is logged and stays for the next round. */
export async function gcRound(options: GcOptions): Promise<readonly GcItem[]> {
  const { home, files, signal } = options;
  const items: GcItem[] = [];
  const each = async (paths: readonly string[], one: (path: string) => Promise<GcItem>) => {
    for (const path of paths) {
      signal.throwIfAborted();
      await tried(path, async () => void items.push(await one(path)), options);
    }
  };
  if (!options.dryRun) await emptyTrash(options);
  await each(await listBelow(home.workspaces, (name) => TASK_KEY.test(name), files), (path) => workItem(path, options));
  // After the directories that depend on them.
  await each(await listBelow(home.repos, (name) => REPO.test(name), files), (path) => repoItem(path, options));
  return items;
}

async function tried(path: string, clean: () => Promise<void>, { signal, log }: GcOptions): Promise<void> {
  try {
    await clean();
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof HostError)) throw error;
    log.warn("a directory could not be cleaned up", { path, error: error.message });
  }
}

/** Each by itself: one that cannot be removed must not keep the others. */
async function emptyTrash(options: GcOptions, only?: string): Promise<void> {
  const { home, files, signal } = options;
  const trash = join(home.workspaces, TRASH);
  await tried(trash, async () => {
    if (!await files.stat(trash)) return;
    for (const name of only ? [only] : await files.list(trash)) {
      signal.throwIfAborted();
      const path = join(trash, name);
      await tried(path, () => removeWhole(path, files), options);
    }
    if ((await files.list(trash)).length === 0) await files.remove(trash);
  }, options);
}

/** Also what a program has made read-only, as caches of modules are. */
async function removeWhole(path: string, files: Files): Promise<void> {
  try {
    await files.remove(path);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    await makeWritable(path, files);
    await files.remove(path);
  }
}

async function makeWritable(path: string, files: Files): Promise<void> {
  if (!(await files.stat(path, { link: true }))?.isDirectory) return;
  await files.chmod(path, 0o700);
  for (const name of await files.list(path)) await makeWritable(join(path, name), files);
}

async function workItem(path: string, options: GcOptions): Promise<GcItem> {
  const { home, running, clock, policy, signal } = options;
  const record = await readUse(path, options.files);
  const item = { kind: "work", path, task: record?.task ?? "" } as const;
  const inUse = running.uses(path);
  const word: Word = record && !inUse && !policy.unasked
    ? await options.wordOf(record, signal)
    : { kind: "unknown", why: "it was not asked" };
  const directory = { of: await whose(path, record, options), inUse, usedAt: await usedAt(path, record, options) };
  const decision = both(
    mayGo(directory, word, policy, clock.now()),
    async () => mayBeLost(await unsavedIn(path, home.repos, options), word, policy),
  );
  const { remove, why } = await decision;
  if (!remove) return { ...item, removed: false, why };
  if (options.dryRun) return { ...item, removed: true, why };
  // It may have been taken up again while it was looked at.
  const name = options.random.hex(8);
  const gone = await running.removing(path, () => removeWork(path, name, options));
  if (!gone) return { ...item, removed: false, why: "a task uses it" };
  await emptyTrash(options, name);
  return { ...item, removed: true, why };
}

async function both(first: GcDecision, second: () => Promise<GcDecision>): Promise<GcDecision> {
  if (!first.remove) return first;
  const { remove, why } = await second();
  return remove ? { remove, why: [first.why, why].filter(Boolean).join(", ") } : { remove, why };
}

async function whose(
  path: string,
  record: WorkRecord | undefined,
  { files }: GcOptions,
): Promise<WorkDirectory["of"]> {
  if (record) return record.remote ? record.subject : "local";
  return await files.stat(join(path, MARKER)) ? "none" : "begun";
}

async function usedAt(path: string, record: WorkRecord | undefined, { files }: GcOptions): Promise<number> {
  if (record) return record.usedAt;
  const infos = await Promise.all([path, join(path, MARKER), join(path, "workdir")].map((one) => files.stat(one)));
  return Math.max(0, ...infos.map((info) => info?.mtimeMs ?? 0));
}

/** Out of the way in one step, so that a task that waits for it does not wait for the last of its files. */
async function removeWork(path: string, name: string, options: GcOptions): Promise<void> {
  const { home, files } = options;
  await detach(path, home.repos, options);
  const trash = join(home.workspaces, TRASH);
  await files.makeDirectory(trash);
  await files.rename(path, join(trash, name));
}

async function repoItem(path: string, options: GcOptions): Promise<GcItem> {
  const { files, locks, clock, policy } = options;
  const item = { kind: "repo", path, task: "" } as const;
  using lock = await locks.tryLock(`${path}.lock`);
  if (!lock) return { ...item, removed: false, why: "a task fetches it" };
  const { remove, why } = repoMayGo(await lookAtRepo(path, options), policy, clock.now());
  if (remove && !options.dryRun) {
    const aside = join(dirname(path), `.${basename(path)}.removed`);
    await files.remove(aside);
    await files.rename(path, aside);
    await files.remove(aside);
    await files.remove(`${path}.used`);
  }
  if (!remove && !options.dryRun) await tidyRepo(path, options);
  return { ...item, removed: remove, why };
}
