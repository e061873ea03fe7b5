/** What runs on this machine: the process table, and the mark that tells which of it one of our children started. */
import { parsePs, parsePsEnvironment, parseStat, type ProcessRow, PS_COLUMNS } from "./process_rows.ts";

/** The variable every child of ours carries, and with it everything it starts. */
export const MARK_VARIABLE = "DROVER_TASK_MARK";

export interface ProcessTable {
  /** Whether the mark of every process of this user can be read; where not, descendants are to be sampled as well. */
  readonly marksAll: boolean;
  /** Every process but our own; zombies and other users' included. */
  list(): ProcessRow[];
  find(pid: number): ProcessRow | undefined;
  /** The same as `list`, with the event loop free meanwhile. */
  sample(): Promise<readonly ProcessRow[]>;
  /**
   * The mark in a process's environment; `undefined` when it has none or is not ours to read. Empty while there is no
   * environment at all: in a kernel thread, a zombie, and for an instant in a process that is starting a program.
   */
  markOf(pid: number): string | undefined;
  /** The same of many at once; those without one are left out. */
  marksOf(pids: readonly number[]): ReadonlyMap<number, string>;
}

export function createProcessTable(): ProcessTable {
  return Deno.build.os === "darwin" ? darwinTable() : linuxTable();
}

/** Synchronous on purpose: between a look and a signal nothing else of ours may run, or the pid may be somebody else's. */
function linuxTable(): ProcessTable {
  const decoder = new TextDecoder();
  const find = (pid: number) => {
    const stat = readIfThere(`/proc/${pid}/stat`);
    return stat && parseStat(pid, decoder.decode(stat));
  };
  const list = () => {
    const rows: ProcessRow[] = [];
    for (const { name } of Deno.readDirSync("/proc")) {
      const pid = Number(name);
      const row = Number.isInteger(pid) && pid !== Deno.pid ? find(pid) : undefined;
      if (row) rows.push(row);
    }
    return rows;
  };
  const markOf = (pid: number) => {
    const environ = readIfThere(`/proc/${pid}/environ`);
    if (!environ) return undefined;
    if (environ.length === 0) return "";
    const entry = decoder.decode(environ).split("\0").find((line) => line.startsWith(`${MARK_VARIABLE}=`));
    return entry?.slice(MARK_VARIABLE.length + 1);
  };
  return {
    marksAll: true,
    list,
    find,
    sample: () => Promise.resolve(list()),
    markOf,
    marksOf: (pids) => new Map(pids.flatMap((pid) => pair(pid, markOf(pid)))),
  };
}

/** Best effort: macOS shows the environment of one's own processes only, and of its own programs not at all. */
function darwinTable(): ProcessTable {
  const all = ["-axo", PS_COLUMNS];
  const rowsOf = (lines: string[]) =>
    lines.flatMap((line) => parsePs(line) ?? []).filter(({ pid }) => pid !== Deno.pid);
  return {
    marksAll: false,
    list: () => rowsOf(ps(all)),
    find: (pid) => ps(["-o", PS_COLUMNS, "-p", String(pid)]).map(parsePs)[0],
    sample: async () => rowsOf(linesOf((await psCommand(all).output()).stdout)),
    markOf: (pid) => parsePsEnvironment(ps(["-Eww", "-o", "command=", "-p", String(pid)]).join("\n"), MARK_VARIABLE),
    // A program for each of some hundred processes would stop us for seconds.
    marksOf(pids) {
      if (pids.length === 0) return new Map();
      const lines = ps(["-Eww", "-o", "pid=,command=", "-p", pids.join(",")]);
      return new Map(lines.flatMap((line) => pair(Number.parseInt(line), parsePsEnvironment(line, MARK_VARIABLE))));
    },
  };
}

function pair(pid: number, mark: string | undefined): [number, string][] {
  return mark === undefined ? [] : [[pid, mark]];
}

function ps(args: string[]): string[] {
  return linesOf(psCommand(args).outputSync().stdout);
}

function psCommand(args: string[]): Deno.Command {
  return new Deno.Command("/bin/ps", { args, env: { LC_ALL: "C", TZ: "UTC" }, stdin: "null", stderr: "null" });
}

function linesOf(stdout: Uint8Array): string[] {
  return new TextDecoder().decode(stdout).split("\n").filter((line) => line !== "");
}

/** Processes end while one looks at them, and others' are closed to us: both are "nothing there". */
function readIfThere(path: string): Uint8Array | undefined {
  try {
    return Deno.readFileSync(path);
  } catch {
    return undefined;
  }
}
