/** Reading one line of a process table: `/proc/<pid>/stat` on Linux, `ps` on macOS. */

export interface ProcessRow {
  readonly pid: number;
  /** Its process group. */
  readonly group: number;
  /** Ended, but not yet collected by its parent: counts as gone. */
  readonly zombie: boolean;
  /** When it started, in the kernel's ticks; 0 where that is not known. */
  readonly start: number;
}

/** The command name stands in parentheses and may hold anything, so fields count from behind the last one (proc(5)). */
export function parseStat(pid: number, stat: string): ProcessRow | undefined {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, group, start] = [fields[0], Number(fields[2]), Number(fields[19])];
  if (!state || !Number.isFinite(group) || !Number.isFinite(start)) return undefined;
  return { pid, group, zombie: state === "Z" || state === "X", start };
}

/** A line of `ps -o pid=,pgid=,stat=`. */
export function parsePs(line: string): ProcessRow | undefined {
  const [pid, group, state] = line.trim().split(/\s+/);
  if (!pid || !group || !state) return undefined;
  return { pid: Number(pid), group: Number(group), zombie: state.startsWith("Z"), start: 0 };
}

/** `ps -E` prints the environment behind the command, separated by spaces; marks hold none. */
export function parsePsEnvironment(line: string, variable: string): string | undefined {
  return new RegExp(`(?:^|\\s)${variable}=(\\S*)`).exec(line)?.[1];
}
