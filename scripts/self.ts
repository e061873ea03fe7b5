/** The argv that runs drover from this checkout's sources, for scripts that use it as a person would. */
import { join } from "@std/path";
import { ROOT } from "./project.ts";

export function selfCommandOf(): readonly string[] {
  return [
    Deno.execPath(),
    "run",
    "-A",
    "--quiet",
    "--no-prompt",
    `--config=${join(ROOT, "deno.json")}`,
    join(ROOT, "main.ts"),
  ];
}
