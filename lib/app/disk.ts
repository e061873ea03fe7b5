/** What a home takes of the disk, by what it is for, and giving space back: in the daemon, or alone where none runs. */
import * as z from "zod/mini";
import { DroverError } from "../core/drover_error.ts";
import { freeingPolicy, type GcPolicy } from "../core/gc.ts";
import type { Home } from "../core/home.ts";
import { type Files, type Host, HostError, type Processes } from "../core/ports.ts";
import type { GcItem } from "../daemon/gc_round.ts";
import { readUse } from "../daemon/work_record.ts";
import { listBelow } from "../daemon/work_state.ts";
import { TASK_KEY } from "../daemon/workdir.ts";

export interface DiskEntry {
  readonly path: string;
  readonly bytes: number;
  /** Of a work directory, where it is known. */
  readonly task: string;
  /** ms since 1970; null where nobody noted it. */
  readonly usedAt: number | null;
}

export interface DiskView {
  readonly work: readonly DiskEntry[];
  readonly repos: readonly DiskEntry[];
  readonly transcripts: number;
  readonly databases: number;
  readonly logs: number;
  readonly total: number;
  /** Of the file system; null where it does not tell. */
  readonly free: number | null;
}

/** Reads the sizes of all files, which takes seconds where there are many. */
export async function diskView(host: Host, home: Home): Promise<DiskView> {
  const { files, inspector } = host;
  const works = await listBelow(home.workspaces, (name) => TASK_KEY.test(name), files);
  const clones = await listBelow(home.repos, (name) => name.endsWith(".git"), files);
  const bases = [home.coordinatorDb, home.outboxDb, home.usageDb].flatMap((path) => [path, `${path}-wal`]);
  const logs = home.logFile.slice(0, home.logFile.lastIndexOf("/"));
  const sizes = await sizesOf([...works, ...clones, home.transcripts, ...bases, logs], host);
  const size = (path: string) => sizes.get(path) ?? 0;
  const entry = async (path: string): Promise<DiskEntry> => {
    const use = await readUse(path, files);
    const bytes = size(path);
    return { path, bytes, task: use?.task ?? "", usedAt: use?.usedAt ?? (await files.stat(path))?.mtimeMs ?? null };
  };
  const largest = (all: readonly DiskEntry[]) => all.toSorted((a, b) => b.bytes - a.bytes);
  const space = await inspector.diskSpace(home.root).catch((error) => {
    if (error instanceof HostError) return undefined;
    throw error;
  });
  return {
    work: largest(await Promise.all(works.map(entry))),
    repos: largest(await Promise.all(clones.map(entry))),
    transcripts: size(home.transcripts),
    databases: bases.reduce((sum, path) => sum + size(path), 0),
    logs: size(logs),
    total: [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0),
    free: space?.freeBytes ?? null,
  };
}

/** A command line holds some hundred thousand bytes. */
const PATHS_AT_ONCE = 200;
const DU_MS = 120_000;

/** As the disk has them; what was not there, or went away meanwhile, is left out. */
async function sizesOf(
  paths: readonly string[],
  { files, processes, system }: { files: Files; processes: Processes; system: Host["system"] },
): Promise<ReadonlyMap<string, number>> {
  const there: string[] = [];
  for (const path of paths) if (await files.stat(path, { link: true })) there.push(path);
  const sizes = new Map<string, number>();
  for (let at = 0; at < there.length; at += PATHS_AT_ONCE) {
    const args = ["-sk", ...there.slice(at, at + PATHS_AT_ONCE)];
    const env = { PATH: system.env.PATH ?? "/usr/bin:/bin", LC_ALL: "C" };
    const { stdout } = await processes.run({ executable: "du", args, env }, { timeoutMs: DU_MS });
    for (const line of stdout.split("\n")) {
      const found = /^(\d+)\s+(\/.*)$/.exec(line);
      if (found) sizes.set(found[2]!, Number(found[1]) * 1024);
    }
  }
  return sizes;
}

/** `POST /v1/disk/free` */
export const FreeRequest = z.lazy(() =>
  z.object({
    dry_run: z.boolean(),
    older_than_ms: z.optional(z.number().check(z.nonnegative())),
    all: z.boolean(),
    discard_changes: z.boolean(),
  })
);
export type FreeRequest = z.infer<typeof FreeRequest>;

export interface FreedItem extends GcItem {
  /** What it takes, or took. */
  readonly bytes: number;
}

export type Round = (options: { policy: GcPolicy; dryRun: boolean }) => Promise<readonly GcItem[]>;

/** Sizes are taken first: afterwards there is nothing to measure. */
export async function freeDisk(
  host: Host,
  home: Home,
  { wish, policy, round }: { wish: FreeRequest; policy: GcPolicy; round: Round },
): Promise<readonly FreedItem[]> {
  const { work, repos } = await diskView(host, home);
  const bytes = new Map([...work, ...repos].map((entry) => [entry.path, entry.bytes]));
  const items = await round({
    policy: freeingPolicy(policy, {
      ...(wish.older_than_ms === undefined ? {} : { olderThanMs: wish.older_than_ms }),
      all: wish.all,
      discard: wish.discard_changes,
    }),
    dryRun: wish.dry_run,
  });
  return items.map((item) => ({ ...item, bytes: bytes.get(item.path) ?? 0 }));
}

/** By the daemon, which knows what is in use; alone, with the home in hand, where none runs. Throws `busy`. */
export async function freeSpace(host: Host, home: Home, wish: FreeRequest): Promise<readonly FreedItem[]> {
  const { connectControl } = await import("./reach.ts");
  using control = await connectControl(host, home);
  if (control) return await control.freeDisk(wish);
  const { freeAlone } = await import("./upkeep.ts");
  const freed = await freeAlone(host, home, wish);
  if (freed) return freed;
  throw new DroverError("busy", `Cannot free space: another drover holds ${home.root}`, {
    hint: "try again in a moment",
  });
}
