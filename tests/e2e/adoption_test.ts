/** A daemon whose record is damaged or gone: found by its socket, given its record back, and stopped like any other. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { TestHome } from "../support/drover.ts";
import { compiledForm, programForms } from "../support/program.ts";

const DAMAGES: Record<string, (pidfile: string) => Promise<void>> = {
  "is gone": (pidfile) => Deno.remove(pidfile),
  "is half a record": (pidfile) => Deno.writeTextFile(pidfile, '{"schemaVersion":1,"pid"'),
  "is another's": async (pidfile) => {
    const record = JSON.parse(await Deno.readTextFile(pidfile));
    const other = {
      ...record,
      instance: crypto.randomUUID(),
      controlSocket: record.controlSocket.replace("c-", "c-0"),
    };
    await Deno.writeTextFile(pidfile, JSON.stringify(other));
  },
};

for (const form of compiledForm()) {
  for (const [what, damage] of Object.entries(DAMAGES)) {
    Deno.test(`[${form.kind}] a live daemon whose record ${what} is used, adopted by start, and stopped`, async () => {
      await using home = await TestHome.create(form);
      const { pid } = (await home.json(["start"])).value;
      const pidfile = join(home.home, "daemon.json");
      await damage(pidfile);
      assertEquals((await home.json(["run", "--agent", "demo", "--scratch", "@demo:fast"])).code, 0);
      assertEquals((await home.json(["status"])).value.pid, pid);
      assertEquals((await home.json(["start"])).value, {
        ...(await home.json(["start"])).value,
        status: "alreadyRunning",
        pid,
      });
      assertEquals(JSON.parse(await Deno.readTextFile(pidfile)).pid, pid, "start has it write its record again");
      await damage(pidfile);
      assertEquals((await home.json(["stop"])).value.status, "stopped");
      await home.assertNoProcessLeft();
    });
  }
}

Deno.test("a damaged record of nobody is kept aside, and only the last three of them", async () => {
  const [, compiled] = programForms();
  await using home = await TestHome.create(compiled!);
  await home.json(["start"]);
  await home.json(["stop"]);
  for (let i = 0; i < 5; i++) {
    await Deno.writeTextFile(join(home.home, "daemon.json"), `damaged ${i}`);
    const { value } = await home.json(["stop"]);
    assertEquals([value.status, value.staleCleaned], ["notRunning", true]);
  }
  const kept = [...Deno.readDirSync(home.home)].map(({ name }) => name).filter((name) => name.includes(".bad-")).sort();
  assertEquals(kept.map((name) => Deno.readTextFileSync(join(home.home, name))), [
    "damaged 2",
    "damaged 3",
    "damaged 4",
  ]);
  assert(kept.every((name) => name.startsWith("daemon.json.bad-")));
});
