/** Random bytes in every file the life cycle keeps: each command still ends as it should, and a start mends what it needs. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { randomFrom, seedOfRun } from "../core/seed.ts";
import { TestHome } from "../support/drover.ts";
import { isLong } from "../support/length.ts";
import { compiledForm } from "../support/program.ts";

const FILES = ["daemon.json", "lifecycle.json", "restart.json", "last_exit.json", "daemon.id"] as const;

/** What a command may end with that found rubbish: done, not running, busy, or a refusal by name; never a bug. */
const DEFINED = new Set([0, 3, 4, 6]);

for (const form of compiledForm()) {
  // What is read does not depend on the form; one file shows that it works in both.
  const files = isLong() ? FILES : FILES.slice(0, 1);
  for (const file of form.kind === "compiled" ? files : [FILES[1]]) {
    Deno.test(`[${form.kind}] random bytes in ${file} hold nobody up, with a daemon and without one`, async () => {
      const seed = seedOfRun();
      const random = randomFrom(seed);
      await using home = await TestHome.create(form);
      const damage = async () => {
        const bytes = Uint8Array.from({ length: Math.floor(random() * 400) }, () => random() * 256);
        await Deno.writeFile(join(home.home, file), bytes);
      };
      const ends = async (args: string[]) => {
        const { code, value } = await home.json(args);
        const what = `${args.join(" ")} (seed ${seed}): ${JSON.stringify(value)}`;
        assert(DEFINED.has(code), what);
        assert(value.error?.code !== "internal", what);
      };
      const { pid } = (await home.json(["start"])).value;
      for (const args of [["status"], ["start"], ["tasks", "list"], ["status"]]) {
        await damage();
        await ends(args);
      }
      assertEquals((await home.json(["status"])).value.pid, pid, "the same daemon");
      await damage();
      assertEquals((await home.json(["stop"])).value.status, "stopped");
      for (const args of [["status"], ["stop"], ["tasks", "list"]]) {
        await damage();
        await ends(args);
      }
      await damage();
      const started = await home.json(["start"]);
      assertEquals(started.value.status, "started", `seed ${seed}: ${JSON.stringify(started.value)}`);
      assertEquals((await home.json(["run", "--agent", "demo", "--scratch", "@demo:fast"])).code, 0);
      await home.json(["stop"]);
      await home.assertNoProcessLeft();
    });
  }
}
