/** What runs on this machine: the process table, and the mark that tells which of it one of our children started. */
import { parsePs, parsePsEnvironment, parseStat, type ProcessRow } from "./process_rows.ts";

/** The variable every child of ours carries, and with it everything it starts. */
export const MARK_VARIABLE = "DROVER_TASK_MARK";

export interface ProcessTable {
  /** Every process but our own; zombies and other users' included. */
  list(): ProcessRow[];
  find(pid: number): ProcessRow | undefined;
  /**
   * The mark in a process's environment; `undefined` when it has none or is not ours to read. Empty while there is no
   * environment at all: in a kernel thread, a zombie, and for an instant in a process that is starting a program.
   */
  markOf(pid: number): string | undefined;
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
  return {
    list() {
      const rows: ProcessRow[] = [];
      for (const { name } of Deno.readDirSync("/proc")) {
        const pid = Number(name);
        const row = Number.isInteger(pid) && pid !== Deno.pid ? find(pid) : undefined;
        if (row) rows.push(row);
      }
      return rows;
    },
    find,
    markOf(pid) {
      const environ = readIfThere(`/proc/${pid}/environ`);
      if (!environ) return undefined;
      if (environ.length === 0) return "";
      const entry = decoder.decode(environ).split("\0").find((line) => line.startsWith(`${MARK_VARIABLE}=`));
      return entry?.slice(MARK_VARIABLE.length + 1);
    },
  };
}

/** Best effort: macOS shows the environment of one's own processes only, and of its own programs not at all. */
function darwinTable(): ProcessTable {
  return {
    list: () =>
      ps(["-axo", "pid=,pgid=,stat="]).flatMap((line) => parsePs(line) ?? []).filter(({ pid }) => pid !== Deno.pid),
    find: (pid) => ps(["-o", "pid=,pgid=,stat=", "-p", String(pid)]).map(parsePs)[0],
    markOf: (pid) => parsePsEnvironment(ps(["-Eww", "-o", "command=", "-p", String(pid)]).join("\n"), MARK_VARIABLE),
  };
}

function ps(args: string[]): string[] {
  const { stdout } = new Deno.Command("/bin/ps", { args, env: { LC_ALL: "C" }, stdin: "null", stderr: "null" })
    .outputSync();
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
