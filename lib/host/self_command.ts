/** The argv that runs this program again, compiled or from source, and where the bytes that run now can be read. */
import { fromFileUrl, isAbsolute, join, resolve } from "@std/path";

/** The kernel's own name for the file that runs, good for as long as we live, also when no path leads to it any more. */
const IMAGE = "/proc/self/exe";
const DELETED = " (deleted)";

/**
 * To be read once, at start, while the file is what it was. Compiled: the path by which we were started, so that a link
 * that leads to another file by then starts that one. From source: `deno run` with everything allowed (a process
 * supervisor needs it) and the program's own configuration.
 */
export function selfCommand(): readonly string[] {
  const own = Deno.execPath();
  if (Deno.build.standalone) {
    const typed = Deno.build.os === "linux" ? startedAs() : undefined;
    const around = { cwd: Deno.cwd(), path: Deno.env.get("PATH") ?? "" };
    return [(typed && stablePath(typed, IMAGE, around)) ?? withoutMark(own)];
  }
  const main = fromFileUrl(Deno.mainModule);
  const root = main.slice(0, main.lastIndexOf("/"));
  return [own, "run", "-A", "--quiet", "--no-prompt", `--config=${root}/deno.json`, main];
}

/** Where the very bytes that run can be read. */
export function runningImage(): string {
  return Deno.build.os === "linux" ? IMAGE : Deno.execPath();
}

/** The absolute path that a first word of a command line means, links kept; `undefined` unless it leads to `image`. */
export function stablePath(
  typed: string,
  image: string,
  { cwd, path }: { cwd: string; path: string },
): string | undefined {
  const candidates = typed.includes("/")
    ? [resolve(cwd, typed)]
    : path.split(":").filter(isAbsolute).map((directory) => join(directory, typed));
  return candidates.find((candidate) => isSameFile(candidate, image));
}

function startedAs(): string | undefined {
  try {
    return Deno.readTextFileSync("/proc/self/cmdline").split("\0")[0] || undefined;
  } catch {
    // No /proc: then the path that the system knows has to do.
    return undefined;
  }
}

function isSameFile(a: string, b: string): boolean {
  try {
    const [one, other] = [Deno.statSync(a), Deno.statSync(b)];
    return one.dev === other.dev && one.ino === other.ino;
  } catch {
    return false;
  }
}

/** Replaced in the moment we were started: what stands at the path now is what is to be started next. */
function withoutMark(path: string): string {
  return path.endsWith(DELETED) ? path.slice(0, -DELETED.length) : path;
}
