/** `enable remote` and `disable remote`, in both forms: persisted, idempotent, and true of a running daemon before they say so. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { compiledForm, programForms } from "../support/program.ts";

async function config(home: TestHome): Promise<unknown> {
  return JSON.parse(await Deno.readTextFile(join(home.home, "config.json")).catch(() => "null"));
}

// deno-lint-ignore no-explicit-any
async function statusOf(home: TestHome): Promise<any> {
  return (await home.json(["status"])).value;
}

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(
    name("enable and disable remote persist the setting where no daemon runs, and say what they changed"),
    async () => {
      await using home = await TestHome.create(form);
      const off = await home.json(["disable", "remote"]);
      assertEquals([off.code, off.value.changed, off.value.daemon], [EXIT_CODES.ok.code, false, "none"]);
      assertEquals(await Deno.stat(home.home).then(() => true, () => false), false, "nothing to change makes no home");
      for (
        const [verb, changed, held] of [
          ["enable", true, true],
          ["enable", false, true],
          ["disable", true, false],
          ["disable", false, false],
        ] as const
      ) {
        const { code, value } = await home.json([verb, "remote"]);
        assertEquals([code, value.changed, value.remoteEnabled], [EXIT_CODES.ok.code, changed, held], verb);
        assertEquals(await config(home), { remote: { enabled: held } });
      }
      const hidden = await home.json(["enable", "remote"], { env: { DROVER_REMOTE_ENABLED: "false" } });
      assertEquals([hidden.value.changed, hidden.value.hiddenBy], [true, "DROVER_REMOTE_ENABLED"]);
    },
  );

  Deno.test(
    name("enable remote restarts a running daemon with its arguments, once, and disable does so again"),
    async () => {
      await using home = await TestHome.create(form);
      const started = await home.json(["start", "--max-concurrent-tasks", "2"]);
      assertEquals((await statusOf(home)).remote, { enabled: false, variable: null, connection: null });

      const on = await home.json(["enable", "remote"]);
      assertEquals([on.code, on.value.changed, on.value.daemon], [EXIT_CODES.ok.code, true, "restarted"]);
      assertNotEquals(on.value.pid, started.value.pid);
      const after = await statusOf(home);
      assertEquals([after.pid, after.remote.enabled, after.slots.total], [on.value.pid, true, 2]);

      const again = await home.json(["enable", "remote"]);
      assertEquals([again.value.changed, again.value.daemon, again.value.pid], [false, "unchanged", on.value.pid]);
      // The file may have been changed by hand: what counts is what the daemon works with.
      await Deno.writeTextFile(join(home.home, "config.json"), '{ "remote": { "enabled": false }, "kept": 1 }');
      const off = await home.json(["disable", "remote"]);
      assertEquals([off.value.changed, off.value.daemon], [true, "restarted"]);
      assertEquals((await statusOf(home)).remote.enabled, false);
      assertEquals(await config(home), { remote: { enabled: false }, kept: 1 });
      assertEquals((await home.json(["stop"])).value.status, "stopped");
      await home.assertNoProcessLeft();
    },
  );

  Deno.test(name("a restart that cannot be leaves the setting and the daemon as they were"), async () => {
    await using home = await TestHome.create(form);
    const { value: { pid } } = await home.json(["start"]);
    const run = home.spawn(["run", "--agent", "demo", "--scratch", "@demo:hang"], { stdout: "null" });
    await eventually(async () => (await statusOf(home)).slots?.running === 1, "it runs");
    const { code, value } = await home.json(["enable", "remote", "--timeout", "300ms"]);
    assertEquals([code, value.error.code], [EXIT_CODES.drainDeadline.code, "drain_deadline"]);
    assertEquals(await config(home), null);
    const after = await statusOf(home);
    assertEquals([after.pid, after.phase, after.remote.enabled], [pid, "running", false]);

    const now = await home.json(["enable", "remote", "--now"]);
    assertEquals([now.code, now.value.daemon], [EXIT_CODES.ok.code, "restarted"]);
    assert((await statusOf(home)).remote.enabled);
    await home.json(["stop", "--now"]);
    await run.status;
    await home.assertNoProcessLeft();
  });
}

Deno.test("a daemon whose environment fixes the setting is not restarted for it", async () => {
  await using home = await TestHome.create(programForms()[0]!);
  const env = { DROVER_REMOTE_ENABLED: "false" };
  const { value: { pid } } = await home.json(["start"], { env });
  const { code, value } = await home.json(["enable", "remote"]);
  assertEquals([code, value.changed, value.daemon, value.hiddenBy], [
    EXIT_CODES.ok.code,
    true,
    "unchanged",
    "DROVER_REMOTE_ENABLED",
  ]);
  assertEquals((await statusOf(home)).pid, pid);
  await home.json(["stop"]);
});

Deno.test("a next daemon that does not start leaves the setting as it was", async () => {
  await using home = await TestHome.create(programForms()[0]!);
  await home.json(["start"]);
  // The daemon writes its log there: a directory in its place, and none comes up.
  const log = join(home.home, "logs", "daemon.log");
  await Deno.remove(log);
  await Deno.mkdir(join(log, "in the way"), { recursive: true });
  const { code, value } = await home.json(["enable", "remote"]);
  assertNotEquals(code, EXIT_CODES.ok.code, JSON.stringify(value));
  assertEquals(await config(home), {});
  assertEquals((await home.json(["status"])).code, EXIT_CODES.notRunning.code);
  await home.assertNoProcessLeft();
});
