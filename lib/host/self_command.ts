/** The argv that runs this program again, compiled or from source. */
import { fromFileUrl } from "@std/path";

/**
 * Compiled: the executable's path, read once at start, because after the file is replaced it ends in " (deleted)".
 * From source: `deno run` with everything allowed (a process supervisor needs it) and the program's own configuration.
 */
export function selfCommand(): readonly string[] {
  if (Deno.build.standalone) return [Deno.execPath()];
  const main = fromFileUrl(Deno.mainModule);
  const root = main.slice(0, main.lastIndexOf("/"));
  return [Deno.execPath(), "run", "-A", "--quiet", "--no-prompt", `--config=${root}/deno.json`, main];
}
