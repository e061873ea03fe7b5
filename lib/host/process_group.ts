/** Ending everything a child started: its group by signal, what left the group by the mark, and never a stranger. */
import type { Clock } from "../core/ports.ts";
import type { Lineage } from "./lineage.ts";
import type { ProcessTable } from "./process_table.ts";

/** What left the group gets this long to end by itself before KILL. */
const LEFTOVER_GRACE_MS = 1_000;
/** How long a killed process may take to vanish; one in an uninterruptible wait never does. */
const KILL_LIMIT_MS = 2_000;
/** A process that starts others while it is being hunted is hunted this often. */
const ROUNDS = 5;
const PENDING_RETRY_MS = 10;

export interface Group {
  /** Pid of the leader; also the number of its group. */
  readonly pid: number;
  readonly mark: string;
  /** Start of the leader in the kernel's ticks, 0 if unknown: what started before it cannot be its child. */
  readonly start: number;
  /** False once the leader was collected: from then on its pid may be given to a stranger. */
  leaderAlive(): boolean;
  /** What descends from it, where marks do not tell of all. */
  readonly lineage?: Lineage;
}

export interface TreeEnd {
  readonly leftovers: number[];
  readonly killed: boolean;
}

interface Tools {
  readonly table: ProcessTable;
  readonly clock: Clock;
}

export async function endTree(group: Group, graceMs: number, tools: Tools): Promise<TreeEnd> {
  // Now or never: when its parent is gone nothing tells whose a process was.
  group.lineage?.among(tools.table.list());
  const killed = await endGroup(group, graceMs, tools);
  const marked = await endMarkedProcesses((mark) => mark === group.mark, group.start, tools);
  const others = group.lineage ? await endDescendants(group.lineage, tools) : [];
  return { leftovers: [...new Set([...marked, ...others])], killed };
}

/** The same for what is known by its descent; again each is looked at right before its signal. */
async function endDescendants(lineage: Lineage, { table, clock }: Tools): Promise<number[]> {
  const found = new Set<number>();
  const left = () => lineage.among(table.list());
  const signalAll = (name: "SIGTERM" | "SIGKILL") => {
    for (const { pid, start } of left()) {
      found.add(pid);
      if (table.find(pid)?.start === start) signal(pid, name);
    }
  };
  for (let round = 0; round < ROUNDS && left().length > 0; round++) {
    signalAll("SIGTERM");
    if (await until(() => left().length === 0, LEFTOVER_GRACE_MS, clock)) continue;
    signalAll("SIGKILL");
    await until(() => left().length === 0, KILL_LIMIT_MS, clock);
  }
  return [...found];
}

/** TERM, the grace, KILL. True when KILL was needed. */
async function endGroup(group: Group, graceMs: number, { table, clock }: Tools): Promise<boolean> {
  const members = () => groupMembers(group, table);
  if (members() === 0) return false;
  signal(-group.pid, "SIGTERM");
  if (await until(() => members() === 0, graceMs, clock)) return false;
  signal(-group.pid, "SIGKILL");
  await until(() => members() === 0, KILL_LIMIT_MS, clock);
  return true;
}

/**
 * The living in the group. A group outlives its leader, and its number is not given away while it does; but once it
 * is empty the number may return as a stranger's, who then is the leader, started at another time.
 */
function groupMembers(group: Group, table: ProcessTable): number {
  const rows = table.list().filter((row) => row.group === group.pid);
  const leader = rows.find((row) => row.pid === group.pid && !row.zombie);
  if (leader && (leader.start !== group.start || !group.leaderAlive())) return 0;
  return rows.filter((row) => !row.zombie).length;
}

/** Ends every process whose mark matches, TERM then KILL, until none is found; the pids it signalled. */
export async function endMarkedProcesses(
  matches: (mark: string) => boolean,
  since: number,
  { table, clock }: Tools,
): Promise<number[]> {
  const found = new Set<number>();
  for (let round = 0; round < ROUNDS; round++) {
    const pids = await findMarked(matches, since, { table, clock });
    if (pids.length === 0) break;
    for (const pid of pids) found.add(pid);
    signalMarked(pids, "SIGTERM", matches, table);
    if (await until(() => stillMarked(pids, matches, table).length === 0, LEFTOVER_GRACE_MS, clock)) continue;
    signalMarked(pids, "SIGKILL", matches, table);
    await until(() => stillMarked(pids, matches, table).length === 0, KILL_LIMIT_MS, clock);
  }
  return [...found];
}

/** A process that is just starting a program shows no environment for an instant, so it is looked at once more. */
async function findMarked(
  matches: (mark: string) => boolean,
  since: number,
  { table, clock }: Tools,
): Promise<number[]> {
  const candidates = table.list().filter((row) => !row.zombie && row.start >= since).map((row) => row.pid);
  const marks = [...table.marksOf(candidates)];
  const found = marks.filter(([, mark]) => matches(mark)).map(([pid]) => pid);
  const pending = marks.filter(([, mark]) => mark === "").map(([pid]) => pid);
  // The kernel's own threads have no environment either; a scan without a lower bound would wait for them each time.
  if (pending.length === 0 || since === 0) return found;
  await clock.sleep(PENDING_RETRY_MS);
  return [...found, ...stillMarked(pending, matches, table)];
}

function stillMarked(pids: readonly number[], matches: (mark: string) => boolean, table: ProcessTable): number[] {
  return pids.filter((pid) => {
    const mark = table.markOf(pid);
    return mark !== undefined && matches(mark);
  });
}

/** The mark is read again right before each signal: a pid found a moment ago may be a stranger's by now. */
function signalMarked(
  pids: readonly number[],
  name: "SIGTERM" | "SIGKILL",
  matches: (mark: string) => boolean,
  table: ProcessTable,
): void {
  for (const pid of pids) {
    if (stillMarked([pid], matches, table).length === 1) signal(pid, name);
  }
}

function signal(pid: number, name: "SIGTERM" | "SIGKILL"): void {
  try {
    Deno.kill(pid, name);
  } catch {
    // It ended by itself, or it is not ours to signal; the next look tells.
  }
}

/** Looks again and again, quickly at first; false when `ms` passed and it is still not so. */
async function until(done: () => boolean, ms: number, clock: Clock): Promise<boolean> {
  const end = clock.monotonic() + ms;
  for (let pause = 2;; pause = Math.min(pause * 2, 50)) {
    if (done()) return true;
    const left = end - clock.monotonic();
    if (left <= 0) return false;
    await clock.sleep(Math.min(pause, left));
  }
}
