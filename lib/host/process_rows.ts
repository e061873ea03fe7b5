/** Reading one line of a process table: `/proc/<pid>/stat` on Linux, `ps` on macOS. */

export interface ProcessRow {
  readonly pid: number;
  /** Pid of the process that started it, or of who took it over when that ended. */
  readonly parent: number;
  /** Its process group. */
  readonly group: number;
  /** Ended, but not yet collected by its parent: counts as gone. */
  readonly zombie: boolean;
  /** When it started: in the kernel's ticks on Linux, in seconds since 1970 on macOS; 0 where that is not known. */
  readonly start: number;
}

/** The command name stands in parentheses and may hold anything, so fields count from behind the last one (proc(5)). */
export function parseStat(pid: number, stat: string): ProcessRow | undefined {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, parent, group, start] = [fields[0], Number(fields[1]), Number(fields[2]), Number(fields[19])];
  if (!state || !Number.isFinite(group) || !Number.isFinite(start)) return undefined;
  return { pid, parent, group, zombie: state === "Z" || state === "X", start };
}

/** The columns that `parsePs` reads; the time has blanks in it, so it is the last. */
export const PS_COLUMNS = "pid=,ppid=,pgid=,stat=,lstart=";

/** A line of `ps` with these columns, in UTC. */
export function parsePs(line: string): ProcessRow | undefined {
  const [pid, parent, group, state, ...started] = line.trim().split(/\s+/);
  if (!pid || !parent || !group || !state) return undefined;
  const start = Date.parse(`${started.join(" ")} UTC`) / 1000;
  return {
    pid: Number(pid),
    parent: Number(parent),
    group: Number(group),
    zombie: state.startsWith("Z"),
    start: Number.isFinite(start) ? start : 0,
  };
}

/** `ps -E` prints the environment behind the command, separated by spaces; marks hold none. */
export function parsePsEnvironment(line: string, variable: string): string | undefined {
  return new RegExp(`(?:^|\\s)${variable}=(\\S*)`).exec(line)?.[1];
}
