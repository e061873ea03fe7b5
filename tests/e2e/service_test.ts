/** The daemon as a service: installed, started and handed over through the service manager, and well behaved under one. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually, RunningDaemon, TestHome } from "../support/drover.ts";
import { type FakeSystemd, fakeSystemd } from "../support/fake_systemd.ts";
import { notifySocket } from "../support/notify_socket.ts";
import { compiledForm } from "../support/program.ts";

interface Machine extends AsyncDisposable {
  readonly home: TestHome;
  readonly systemd: FakeSystemd;
}

async function machine(form: Parameters<typeof TestHome.create>[0]): Promise<Machine> {
  const home = await TestHome.create(form);
  const systemd = await fakeSystemd({ bin: home.bin, user: join(home.root, "user") });
  return { home, systemd, [Symbol.asyncDispose]: () => home[Symbol.asyncDispose]() };
}

/** How often the manager was told to start the unit. */
async function starts(systemd: FakeSystemd): Promise<number> {
  return (await systemd.calls()).filter((call) => call.includes(" restart ")).length;
}

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;
  const linux = (sentence: string, fn: () => Promise<void>) =>
    Deno.test({ name: name(sentence), ignore: Deno.build.os !== "linux", fn });

  linux(
    "install has the manager start the daemon; start, restart and stop go through it; uninstall ends all",
    async () => {
      await using at = await machine(form);
      const { home, systemd } = at;
      await systemd.linger("no");
      const installed = await home.json(["service", "install"]);
      assertEquals([installed.code, installed.value.status], [0, "installed"], JSON.stringify(installed));
      assertEquals([installed.value.enabled, installed.value.linger], [true, false]);
      assertEquals(installed.value.path, home.env.PATH);
      assertEquals([installed.value.daemon.status, installed.value.daemon.supervised], ["started", true]);
      const { pid } = installed.value.daemon;
      assertEquals((await home.json(["status"])).value.pid, pid);
      assertEquals((await home.json(["run", "--agent", "demo", "--scratch", "@demo:fast"])).code, 0, await home.log());

      const again = await home.json(["service", "install"]);
      assertEquals([again.value.status, again.value.daemon.status], ["alreadyInstalled", "alreadyRunning"]);
      assertEquals(await starts(systemd), 1);
      const shown = await home.json(["service", "status"]);
      const { installed: isInstalled, activity, unitOutdated, daemon } = shown.value;
      assertEquals([shown.code, isInstalled, activity, unitOutdated], [0, true, "active", false]);
      assertEquals(daemon, { pid, supervised: true });

      const restarted = await home.json(["restart"]);
      assertEquals(restarted.value.status, "restarted", JSON.stringify(restarted));
      assert(restarted.value.pid !== pid);
      assertEquals(await starts(systemd), 2, "by the manager");
      assertEquals((await home.json(["stop"])).value.status, "stopped");
      assertEquals((await home.json(["start"])).value.status, "started");
      assertEquals(await starts(systemd), 3);

      assertEquals((await home.json(["service", "uninstall"])).value.status, "uninstalled");
      await home.assertNoProcessLeft();
      assertEquals((await home.json(["service", "uninstall"])).value.status, "notInstalled");
      const plain = await home.json(["start"]);
      assertEquals([plain.value.status, await starts(systemd)], ["started", 3], "without the service, as before it");
      assertEquals((await home.json(["stop"])).code, 0);
      await home.assertNoProcessLeft();
    },
  );

  linux("a daemon that runs already is left alone by install, and handed over by restart", async () => {
    await using at = await machine(form);
    const { home, systemd } = at;
    const { value: { pid } } = await home.json(["start"]);
    const { value } = await home.json(["service", "install"]);
    assertEquals(value.daemon, { status: "alreadyRunning", pid, supervised: false });
    assertEquals(await starts(systemd), 0);
    assertEquals((await home.json(["restart"])).value.status, "restarted");
    assertEquals(await starts(systemd), 1);
    assertEquals((await home.json(["service", "status"])).value.daemon.supervised, true);
    assertEquals((await home.json(["stop"])).code, 0);
    await home.assertNoProcessLeft();
  });

  linux("without a manager install writes the unit, says how to enable it, and start does without", async () => {
    await using at = await machine(form);
    const { home, systemd } = at;
    await systemd.reachable(false);
    const said = await home.drover(["service", "install"]);
    assertEquals(said.code, 0, said.stderr);
    assertStringIncludes(said.stdout, "not enabled: it cannot be now (Failed to connect to bus");
    assertStringIncludes(said.stdout, "systemctl --user daemon-reload && systemctl --user enable drover-");
    assertStringIncludes(said.stdout, "undo: drover service uninstall");
    assertEquals((await home.json(["service", "status"])).value.manager, "unreachable");
    assertEquals((await home.json(["start"])).value.status, "started");
    assertEquals((await home.json(["stop"])).value.status, "stopped");
    assertEquals((await home.json(["service", "uninstall"])).value.status, "uninstalled");
  });

  linux("install tells what it freezes, what it does not, and what happens at logout", async () => {
    await using at = await machine(form);
    const { home, systemd } = at;
    const install = (env: Record<string, string> = {}) => home.drover(["service", "install", "--no-enable"], { env });
    await systemd.linger("no");
    const said = await install({ DROVER_MAX_CONCURRENT_TASKS: "2", ANTHROPIC_API_KEY: "sk-ant-secret" });
    assertStringIncludes(said.stdout, `PATH it keeps: ${home.env.PATH}`);
    assertStringIncludes(said.stdout, "drover config set tasks.max_concurrent");
    assertStringIncludes(said.stdout, "at logout: it ends with its tasks");
    const file = /^wrote (.+)$/m.exec(said.stdout)![1]!;
    assertEquals((await Deno.readTextFile(file)).includes("secret"), false);
    await systemd.linger("yes");
    assertStringIncludes((await install()).stdout, "at logout: it goes on");
    await systemd.linger("unknown");
    assertStringIncludes((await install()).stdout, "at logout: not known");
    assertEquals(await starts(systemd), 0);
  });

  linux("a start that the manager reports as failed is an error at once, with where to look", async () => {
    await using at = await machine(form);
    const { home, systemd } = at;
    const { value: { label } } = await home.json(["service", "install"]);
    await home.json(["stop"]);
    await systemd.failing(`${label}.service`, "exit-code");
    const { code, value } = await home.json(["start"]);
    assertEquals([code, value.error.code], [EXIT_CODES.unexpected.code, "daemon_failed"], JSON.stringify(value));
    assertStringIncludes(value.error.hint, `journalctl --user -u ${label}`);
  });

  Deno.test(
    name("a supervised daemon stands down where it was stopped on purpose, in the way its manager understands"),
    async () => {
      await using home = await TestHome.create(form);
      await home.json(["start"]);
      await home.json(["stop"]);
      for (const [kind, code] of [["systemd", EXIT_CODES.stoodDown.code], ["launchd", 0]] as const) {
        const outcome = await home.drover(["daemon", "--quiet", "--supervised", kind]);
        assertEquals(outcome.code, code, outcome.stderr);
        assertStringIncludes(outcome.stderr, "stopped on purpose");
        assertStringIncludes(outcome.stderr, "drover start takes that back");
      }
      const lines = (await home.log()).split("\n").filter((line) => line.includes("standing down"));
      assertEquals(lines.length, 2, "one line each");
      assertEquals((await home.json(["daemon", "--supervised", "launchd"])).value.status, "stoodDown");
      await home.assertNoProcessLeft();
    },
  );

  Deno.test(name("a supervised daemon ends with 70 or 0 on a setting that no other try would mend"), async () => {
    await using home = await TestHome.create(form);
    const env = { DROVER_MAX_CONCURRENT_TASKS: "none" };
    for (const [kind, code] of [["systemd", EXIT_CODES.config.code], ["launchd", 0]] as const) {
      const outcome = await home.drover(["daemon", "--supervised", kind], { env });
      assertEquals(outcome.code, code, outcome.stderr);
      assertStringIncludes(outcome.stderr, "tasks.max_concurrent");
    }
    const wrong = await home.json(["daemon", "--supervised", "upstart"]);
    assertEquals([wrong.code, wrong.value.error.code], [EXIT_CODES.usage.code, "usage"]);
  });

  Deno.test(name("beside another daemon a supervised one stands down, and behind a run it waits"), async () => {
    await using home = await TestHome.create(form);
    const started = await home.json(["start"]);
    const beside = await home.drover(["daemon", "--quiet", "--supervised", "systemd"]);
    assertEquals(beside.code, EXIT_CODES.stoodDown.code, beside.stderr);
    assertStringIncludes(beside.stderr, `pid ${started.value.pid}`);
    assertEquals((await home.json(["status"])).value.pid, started.value.pid, "the other one goes on");
    Deno.kill(started.value.pid, "SIGTERM");
    await eventually(async () => (await home.json(["status"])).value.state === "stopped", "it has ended");

    const run = home.spawn(["run", "--agent", "demo", "--scratch", "@demo:hang"], { stdout: "null" });
    await eventually(
      async () => (await home.seenTasks("running")).length === 1,
      "it runs",
    );
    const daemon = new RunningDaemon(home.spawn(["daemon", "--quiet", "--supervised", "systemd"]));
    await eventually(() => daemon.stderr.includes("waiting: a drover run"), "it says what it waits for", 30_000);
    const [task] = (await home.json(["tasks", "list"])).value.tasks;
    assertEquals((await home.json(["tasks", "cancel", task.id])).code, 0);
    assertEquals((await run.status).code, EXIT_CODES.taskCancelled.code);
    await daemon.ready();
    assertEquals((await home.json(["status"])).value.pid, daemon.pid, "itself: no process of its own is started");
    await daemon.stop();
    await home.assertNoProcessLeft();
  });

  Deno.test(name("under launchd a daemon that cannot start is tried five times and then left alone"), async () => {
    await using home = await TestHome.create(form);
    await home.json(["config", "list"]);
    await Deno.mkdir(home.home, { recursive: true, mode: 0o700 });
    await Deno.writeTextFile(
      join(home.home, "outbox.db"),
      "this is no database, and long enough to be one\n".repeat(40),
    );
    const codes: number[] = [];
    for (let i = 0; i < 6; i++) codes.push((await home.drover(["daemon", "--quiet", "--supervised", "launchd"])).code);
    const { home: failed } = EXIT_CODES;
    assertEquals(codes, [...Array(5).fill(failed.code), 0], await home.log());
    const kept = JSON.parse(await Deno.readTextFile(join(home.home, "lifecycle.json")));
    assertEquals(kept.breaker.failures.length, 5, "and it is on record");
    assertStringIncludes(await home.log(), "its starts failed too often");
  });

  linux("the manager hears when the daemon is ready, that it is alive, and when it ends", async () => {
    await using home = await TestHome.create(form);
    await using socket = await notifySocket(home.root);
    const env = { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: "400000" };
    const daemon = await home.daemon({ args: ["--supervised", "systemd"], env });
    const has = (words: string) => socket.notices.filter((notice) => notice.startsWith(words)).length;
    await eventually(() => has("READY=1") === 1 && has("WATCHDOG=1") >= 3, "it is ready, and alive");
    assertEquals(has("STOPPING=1"), 0);
    const environ = await Deno.readTextFile(join(home.home, "daemon.json"));
    assertEquals(environ.includes("NOTIFY_SOCKET"), false);
    await daemon.stop();
    await eventually(() => has("STOPPING=1") === 1, "it says that it ends");
  });
}
