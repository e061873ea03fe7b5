/** Which Deno the Makefile takes: a suitable one on PATH, else the pinned one from the tools folder. */
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { capture } from "../../scripts/command.ts";
import { ROOT } from "../../scripts/project.ts";
import { placeScript } from "../support/program_file.ts";

async function writeProgram(path: string, says: string): Promise<void> {
  await placeScript(path, `#!/bin/sh\necho '${says}'\n`);
}

Deno.test("dev_deno.sh takes the deno on PATH from 2.9.6 on and below 3, else the pinned one", async () => {
  const folder = await Deno.makeTempDir({ prefix: "drover-dev-deno-" });
  try {
    const pinned = join(folder, "tools", "deno-2.9.6", "deno");
    const onPath = join(folder, "bin", "deno");
    await Deno.mkdir(join(pinned, ".."), { recursive: true });
    await Deno.mkdir(join(onPath, ".."), { recursive: true });
    await writeProgram(pinned, "the pinned one");
    const choose = () =>
      capture(["/bin/sh", join(ROOT, "scripts", "dev_deno.sh")], {
        env: { PATH: `${join(folder, "bin")}:/usr/bin:/bin`, DROVER_TOOLS: join(folder, "tools") },
      });
    for (
      const [version, suits] of [
        ["deno 2.9.6 (stable, release, x86_64-unknown-linux-gnu)", true],
        ["deno 2.9.10", true],
        ["deno 2.10.0+abcdef0", true],
        ["deno 2.9.5", false],
        ["deno 2.8.99", false],
        ["deno 3.0.0", false],
        ["deno 1.99.99", false],
        ["something else", false],
      ] as const
    ) {
      await writeProgram(onPath, version);
      assertEquals(await choose(), suits ? onPath : pinned, version);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
