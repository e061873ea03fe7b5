/** Runs every `scripts/bench_*.ts`, one after the other so that none disturbs another's numbers. */
import { join } from "@std/path";
import { runScript } from "./command.ts";
import { listFiles, ROOT } from "./project.ts";

async function main(): Promise<number> {
  const files = (await listFiles("scripts", [".ts"])).filter((path) => path.startsWith("scripts/bench_"));
  for (const file of files) {
    const child = new Deno.Command(Deno.execPath(), { args: ["run", "--allow-all", join(ROOT, file)], cwd: ROOT });
    const { code } = await child.spawn().status;
    if (code !== 0) throw new Error(`Measuring with ${file} failed, it ended with code ${code}`);
  }
  return 0;
}

if (import.meta.main) await runScript(main);
