/** A home that somebody holds, or seems to hold: what a dead holder left stops nobody, and a silent one is reported in time. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createLocks } from "../../lib/host/lock.ts";
import { TestHome } from "../support/drover.ts";
import { compiledForm, programForms } from "../support/program.ts";

const DEMO = ["run", "--agent", "demo", "--scratch", "@demo:fast"];

const PIDFILES: Record<string, string> = {
  "empty": "",
  "garbage": "\u0000\u0001 no JSON",
  "JSON of another shape": '{"pid":"one"}',
};

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(name("a pidfile that says nothing does not stop anybody where no daemon is"), async () => {
    await Promise.all(
      Object.entries(PIDFILES).map(async ([what, text]) => {
        await using home = await TestHome.create(form);
        await Deno.mkdir(home.home, { mode: 0o700 });
        await Deno.writeTextFile(join(home.home, "daemon.json"), text);
        const { code, stdout, stderr } = await home.drover(DEMO);
        assertEquals(code, 0, `pidfile: ${what}: ${stdout}${stderr}`);
      }),
    );
  });

  Deno.test(name("what kill -9 leaves (pidfile, socket) does not stop the next run, which removes it"), async () => {
    await using home = await TestHome.create(form);
    const daemon = await home.daemon();
    await daemon.kill();
    const pidfile = join(home.home, "daemon.json");
    const record = JSON.parse(await Deno.readTextFile(pidfile));
    assert((await Deno.lstat(record.controlSocket)).isSocket);
    // As if the pid had been given to somebody else meanwhile, who is alive and no drover.
    await Deno.writeTextFile(pidfile, JSON.stringify({ ...record, pid: Deno.pid }));
    const { code, value } = await home.json(DEMO);
    assertEquals(code, 0, JSON.stringify(value));
    assertEquals([...Deno.readDirSync(join(home.home, "run"))].filter((entry) => entry.name.endsWith(".sock")), []);
    await home.assertNoProcessLeft();
  });
}

const [, compiled] = programForms();
if (!compiled) throw new Error("The compiled form is missing");

/** Commands where somebody holds the lock and cannot be reached: busy, in bounded time, with a hint. */
async function assertBusy(home: TestHome, limits: Record<string, number>): Promise<void> {
  const commands = { run: DEMO, daemon: ["daemon"], tasks: ["tasks", "list"] } as const;
  await Promise.all(
    Object.entries(commands).map(async ([verb, args]) => {
      const started = performance.now();
      const { code, value } = await home.json(args);
      const took = performance.now() - started;
      assertEquals(code, EXIT_CODES.busy.code, `${verb}: ${JSON.stringify(value)}`);
      assertMatch(value.error.code, /^(busy|already_running)$/);
      assertStringIncludes(value.error.message, home.home);
      assert(value.error.hint, `${verb} says what to do`);
      assert(took < limits[verb]!, `${verb} took ${Math.round(took)} ms`);
    }),
  );
}

/** Made before any test counts what is open: the library it loads stays for the life of this process. */
const locks = await loadedLocks();

async function loadedLocks(): Promise<ReturnType<typeof createLocks>> {
  const path = await Deno.makeTempFile();
  const made = createLocks(createClock());
  (await made.tryLock(path))?.release();
  await Deno.remove(path);
  return made;
}

Deno.test("a home held by somebody who cannot be reached is busy: in bounded time, by name, and only so long", async () => {
  await using foreign = await TestHome.create(compiled);
  assertEquals((await foreign.drover(DEMO)).code, 0);
  const lock = await locks.tryLock(join(foreign.home, "daemon.lock"));
  assert(lock, "nobody else holds it");
  await assertBusy(foreign, { run: 60_000, daemon: 30_000, tasks: 30_000 });
  lock.release();
  assertEquals((await foreign.drover(DEMO)).code, 0);
});
