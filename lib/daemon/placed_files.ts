/** Files put into a task's directory for one run: noted on disk before they are written, taken out after it, also by the next daemon. */
import { dirname, join, relative } from "@std/path";
import { type Files, HostError, type Logger } from "../core/ports.ts";
import { withoutBlock } from "./brief.ts";
import { WorkdirError } from "./git.ts";
import { withoutServers } from "./mcp_config.ts";

/** How our part is taken out of a file that somebody else wrote to meanwhile. */
export type Strip =
  | { readonly kind: "block" }
  | { readonly kind: "servers"; readonly entries: Readonly<Record<string, unknown>> };

export interface FilePlan {
  /** Absolute, no link. */
  readonly path: string;
  /** What is there now; `undefined` where there is no file. */
  readonly original: Uint8Array | undefined;
  readonly bytes: Uint8Array;
  /** Of a new file. */
  readonly mode: number;
  readonly strip: Strip;
}

/** Of our own altogether. */
export interface FolderPlan {
  readonly path: string;
  readonly files: readonly { readonly path: string; readonly content: string }[];
}

export interface PlacePlan {
  /** Nothing is ever written outside. */
  readonly directory: string;
  readonly files: readonly FilePlan[];
  readonly folders: readonly FolderPlan[];
}

interface Journal {
  readonly files: readonly { path: string; created: boolean; strip: Strip }[];
  readonly folders: readonly string[];
  /** Directories that were not there, the outermost first. */
  readonly parents: readonly string[];
}

const JOURNAL = "journal.json";
/** Beside it from when everything is placed to when it is taken out: only before and after may a file be half written. */
const WHOLE = "whole";
const SHARED_MODE = 0o644;

/** `record`: the run's own directory in the home. Throws `HostError` or `WorkdirError`; then `restorePlaced` takes back what was done. */
export async function placeFiles(record: string, plan: PlacePlan, files: Files): Promise<void> {
  await files.makeDirectory(record);
  for (const { path } of [...plan.files, ...plan.folders]) await checkInside(path, plan.directory, files);
  for (const [i, file] of plan.files.entries()) {
    if (file.original) await files.writeAtomic(join(record, `${i}.before`), file.original);
    await files.writeAtomic(join(record, `${i}.placed`), file.bytes);
  }
  const targets = [...plan.files.map(({ path }) => dirname(path)), ...plan.folders.map(({ path }) => dirname(path))];
  const journal: Journal = {
    files: plan.files.map(({ path, original, strip }) => ({ path, created: original === undefined, strip })),
    folders: plan.folders.map(({ path }) => path),
    parents: await missing(targets, plan.directory, files),
  };
  await files.writeAtomic(join(record, JOURNAL), JSON.stringify(journal));
  for (const file of plan.files) {
    await files.makeDirectory(dirname(file.path));
    if (file.original) await files.overwrite(file.path, file.bytes);
    else await files.writeAtomic(file.path, file.bytes, { mode: file.mode, sync: false });
  }
  for (const folder of plan.folders) {
    for (const { path, content } of folder.files) {
      const target = join(folder.path, path);
      await files.makeDirectory(dirname(target));
      await files.writeAtomic(target, content, { mode: SHARED_MODE, sync: false });
    }
  }
  await files.writeAtomic(join(record, WHOLE), "", { sync: false });
}

/** A folder of the user's may be a link that leads out of the directory. */
async function checkInside(path: string, directory: string, files: Files): Promise<void> {
  let above = dirname(path);
  while (!(await files.stat(above, { link: true }))) above = dirname(above);
  const way = relative(await files.realPath(directory), await files.realPath(above));
  if (way === ".." || way.startsWith("../")) {
    throw new WorkdirError(`Cannot write ${path}: ${above} leads out of the task's directory`);
  }
}

async function missing(targets: readonly string[], directory: string, files: Files): Promise<string[]> {
  const found = new Set<string>();
  for (const target of targets) {
    for (let path = target; path !== directory && !(await files.stat(path)); path = dirname(path)) found.add(path);
  }
  return [...found].sort();
}

/**
 * Takes out what was placed and then the record; what the agent or the user changed meanwhile stays theirs. Idempotent.
 * Where something could not be taken out the record stays, for the next try.
 */
export async function restorePlaced(record: string, { files, log }: { files: Files; log: Logger }): Promise<void> {
  const journal = await readJournal(join(record, JOURNAL), files);
  if (journal === "damaged") return log.warn("the record of what was placed for a task is damaged", { path: record });
  let done = true;
  const step = async (path: string, fn: () => Promise<void>) => {
    try {
      await fn();
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      done = false;
      log.warn("what was placed for a task could not be taken out", { path, error: error.message });
    }
  };
  let whole = false;
  await step(record, async () => {
    whole = await files.stat(join(record, WHOLE)) !== undefined;
    await files.remove(join(record, WHOLE));
  });
  for (const [i, file] of done ? (journal?.files ?? []).entries() : []) {
    await step(file.path, () => restoreFile(file, { record: join(record, String(i)), whole, files }));
  }
  for (const path of journal?.folders ?? []) await step(path, () => files.remove(path));
  for (const path of (journal?.parents ?? []).toReversed()) {
    await step(path, async () => {
      if ((await files.stat(path, { link: true }))?.isDirectory && (await files.list(path)).length === 0) {
        await files.remove(path);
      }
    });
  }
  if (done) await step(record, () => files.remove(record));
}

/** Of all that an earlier process was cut off from. */
export async function restoreAllPlaced(directory: string, ports: { files: Files; log: Logger }): Promise<void> {
  try {
    if (!(await ports.files.stat(directory))) return;
    for (const name of await ports.files.list(directory)) await restorePlaced(join(directory, name), ports);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    ports.log.warn("what was placed for earlier tasks could not be looked up", { error: error.message });
  }
}

async function readJournal(path: string, files: Files): Promise<Journal | "damaged" | undefined> {
  // It is written whole and before anything is placed: without it there is nothing to take out.
  if (!(await files.stat(path))) return undefined;
  try {
    return JSON.parse(await files.readText(path)) as Journal;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof HostError) return "damaged";
    throw error;
  }
}

async function restoreFile(
  file: Journal["files"][number],
  { record, whole, files }: { record: string; whole: boolean; files: Files },
): Promise<void> {
  const { path, created, strip } = file;
  // An agent may have put a link there, through which nothing must be written.
  if (!(await files.stat(path, { link: true }))?.isFile) return;
  const now = await files.readBytes(path);
  const kept = `${record}.before`;
  const before = created && !(await files.stat(kept)) ? undefined : await files.readBytes(kept);
  if (before && equal(now, before)) return;
  const placed = await files.readBytes(`${record}.placed`);
  // A power cut leaves an empty file of a write that was done.
  const cutOff = before && (now.length === 0 || (!whole && (begins(placed, now) || begins(before, now))));
  const rest = cutOff || equal(now, placed) ? before : stripped(now, before, strip);
  if (rest === now) return;
  if (!rest || (created && isBlank(rest, strip))) return await files.remove(path);
  // Should this write be cut off, it is from here that it is done again.
  if (rest !== before) await files.writeAtomic(kept, rest);
  await files.overwrite(path, rest);
}

function stripped(now: Uint8Array, before: Uint8Array | undefined, strip: Strip): Uint8Array {
  if (strip.kind === "block") return withoutBlock(now);
  const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);
  const rest = withoutServers(text(now), strip.entries, text(before));
  return rest === undefined ? now : new TextEncoder().encode(rest);
}

/** Nothing but what we had made ourselves is left. */
function isBlank(bytes: Uint8Array, strip: Strip): boolean {
  const text = new TextDecoder().decode(bytes).trim();
  return text === "" || (strip.kind === "servers" && text === "{}");
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && begins(a, b);
}

function begins(text: Uint8Array, start: Uint8Array): boolean {
  return start.length <= text.length && start.every((byte, i) => byte === text[i]);
}
