/** `drover doctor`, `drover version` and `GET /health` as people and desktop clients use them, in both forms of the program. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createLocks } from "../../lib/host/lock.ts";
import { createNetwork } from "../../lib/host/network.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { SmallDisk, whyNoMounts } from "../support/mounts.ts";
import { compiledForm, type ProgramForm, programForms } from "../support/program.ts";

/** Made before any test counts what is open: the library it loads stays for the life of this process. */
const locks = await loadedLocks();

async function loadedLocks(): Promise<ReturnType<typeof createLocks>> {
  const path = await Deno.makeTempFile();
  const made = createLocks(createClock());
  (await made.tryLock(path))?.release();
  await Deno.remove(path);
  return made;
}

interface Result {
  readonly name: string;
  readonly verdict: string;
  readonly finding: string;
}

async function diagnosis(
  home: TestHome,
): Promise<{ code: number; by: (name: string) => Result | undefined; value: any }> {
  const { code, value } = await home.json(["doctor"]);
  return { code, value, by: (name) => value.checks.find((check: Result) => check.name === name) };
}

/** A daemon with a health port; another try where somebody else has taken the port meanwhile. */
async function startWithPort(home: TestHome): Promise<number> {
  for (let tries = 0; tries < 5; tries++) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    assertEquals((await home.json(["start", "--health-port", String(port)])).code, 0);
    if ((await home.json(["status"])).value.healthPort.kind === "listening") return port;
    await home.json(["stop"]);
  }
  throw new Error("Found no free port");
}

async function health(port: number): Promise<Record<string, any>> {
  return await (await fetch(`http://127.0.0.1:${port}/health`)).json();
}

async function healthOnSocket(path: string): Promise<Record<string, any>> {
  using client = createNetwork().unixClient(path);
  return await (await client.fetch(new Request("http://drover.local/health"))).json();
}

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(
    name("doctor finds no problem in a home that works, with a daemon and without, and leaves nothing"),
    async () => {
      await using home = await TestHome.create(form);
      const unused = await diagnosis(home);
      assertEquals(
        [unused.code, unused.value.healthy, unused.value.problems],
        [0, true, 0],
        JSON.stringify(unused.value),
      );
      assertEquals(await Deno.stat(home.home).then(() => true, () => false), false, "it makes no home");

      const { value: started } = await home.json(["start"]);
      const { code, by, value } = await diagnosis(home);
      assertEquals([code, value.problems], [0, 0], JSON.stringify(value.checks));
      assertStringIncludes(by("daemon")?.finding ?? "", `pid ${started.pid}`);
      assertStringIncludes(by("file system")?.finding ?? "", "programs work");
      if (Deno.build.os === "linux") {
        assertStringIncludes(by("daemon lock")?.finding ?? "", `pid ${started.pid}, as the record`);
      }
      assertEquals(
        [...Deno.readDirSync(home.home)].filter((entry) => entry.name.startsWith(".")),
        [],
      );

      const { code: again, stdout, stderr } = await home.drover(["doctor", "--verbose"]);
      assertEquals([again, stderr], [0, ""]);
      assertMatch(stdout, /^ok +daemon +it runs/m);
      assertMatch(stdout, /^ *600 \d+ file +\d+ {2}\S+\/daemon\.json$/m);
      assertStringIncludes(stdout, "no problems, ");
      await home.json(["stop"]);
      const stopped = await diagnosis(home);
      assertEquals([stopped.code, stopped.by("daemon")?.finding], [0, "none runs"]);
      assertStringIncludes(stopped.by("last end")?.finding ?? "", `pid ${started.pid}`);
      await home.assertNoProcessLeft();
    },
  );

  Deno.test(name("doctor exits with 1 and says what to do where something does not work"), async () => {
    await using home = await TestHome.create(form);
    await home.json(["start"]);
    const { value: { pid } } = await home.json(["status"]);
    Deno.kill(pid, "SIGKILL");
    await eventually(async () => (await home.json(["status"])).value.state === "crashed", "it is gone");
    await Deno.chmod(join(home.home, "coordinator.db"), 0o666);
    const { code, stdout } = await home.drover(["doctor"]);
    assertEquals(code, 1);
    assertMatch(stdout, /^PROBLEM +daemon +it ended without saying so/m);
    assertMatch(stdout, /^PROBLEM +files +others may write to coordinator\.db \(mode 666\)\n +→ chmod /m);
    assertStringIncludes(stdout, "2 problems, ");
    await Deno.chmod(home.home, 0o777);
    const { value, by } = await diagnosis(home);
    assertEquals([value.ok, value.healthy, by("home")?.verdict, by("daemon")], [true, false, "problem", undefined]);
    await Deno.chmod(home.home, 0o700);
  });

  Deno.test(name("version tells the daemon's version too, also of one that hangs, and makes nothing"), async () => {
    await using home = await TestHome.create(form);
    const alone = await home.json(["version"]);
    assertEquals([alone.code, alone.value.daemon, alone.value.daemonUnknown], [0, null, null]);
    assertEquals(await Deno.stat(home.home).then(() => true, () => false), false, "it makes no home");
    const env = { DROVER_VERSION_OVERRIDE: "0.0.1" };
    const daemon = await home.daemon({ env });
    const { value } = await home.json(["version"]);
    const { pid, version, answers } = value.daemon;
    assertEquals([pid, version, answers], [daemon.pid, "0.0.1", true]);
    assertStringIncludes((await home.drover(["version"])).stdout, `\ndaemon 0.0.1 (pid ${pid})\n`);
    daemon.signal("SIGSTOP");
    const begun = performance.now();
    const hung = await home.json(["version"]);
    assert(performance.now() - begun < 20_000, "it does not wait for an answer that does not come");
    assertEquals([hung.code, hung.value.daemon.version, hung.value.daemon.answers], [0, "0.0.1", false]);
    assertEquals((await diagnosis(home)).by("daemon")?.verdict, "problem");
    daemon.signal("SIGCONT");
    await daemon.stop();
    assertEquals((await home.json(["version"])).value.daemon, null);
    await Deno.chmod(home.home, 0o777);
    const foreign = await home.json(["version"]);
    assertEquals([foreign.code, foreign.value.daemon], [0, null]);
    assertStringIncludes(foreign.value.daemonUnknown, "others may write to it");
  });

  Deno.test(
    name("GET /health is the same on the socket and on the port, survives a restart, and ends with stop"),
    async () => {
      await using home = await TestHome.create(form);
      const port = await startWithPort(home);
      const { value: status } = await home.json(["status"]);
      const view = await health(port);
      assertEquals([view.status, view.pid, view.instance], ["running", status.pid, status.instance]);
      assertEquals([view.home, view.profile, view.log], [home.home, "", status.log]);
      assertEquals([view.agents, view.active_task_count, view.reload_pending], [["demo"], 0, null]);
      const timeless = ({ uptime: _uptime, uptime_ms: _ms, digest: _digest, ...rest }: Record<string, any>) => rest;
      assertEquals(timeless(await healthOnSocket(view.control_socket)), timeless(view));
      assertEquals((await home.json(["restart"])).code, 0);
      const after = await health(port);
      assert(after.pid !== view.pid && after.status === "running");
      await home.json(["stop"]);
      const late = await health(port).catch(() => undefined);
      assert(late?.instance !== after.instance, "it still answers");
      await home.assertNoProcessLeft();
    },
  );

  Deno.test(
    name("a health port that is taken stops no start: the log says so once, status and doctor show it"),
    async () => {
      await using home = await TestHome.create(form);
      using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const { port } = taken.addr;
      assertEquals((await home.json(["config", "set", "health.port", String(port)])).code, 0);
      assertEquals((await home.json(["start"])).value.status, "started");
      const { value } = await home.json(["status"]);
      assertEquals([value.state, value.healthPort.kind, value.healthPort.port], ["running", "failed", port]);
      assertEquals((await home.log()).split("\n").filter((line) => line.includes("health port")).length, 1);
      const { code, by } = await diagnosis(home);
      assertEquals([code, by("work")?.verdict], [0, "warning"]);
      assertStringIncludes(by("work")?.finding ?? "", String(port));
      await home.json(["stop"]);
    },
  );
}

const [, compiled] = programForms();
if (!compiled) throw new Error("The compiled form is missing");

Deno.test("doctor names the process that holds the home's locks, though no record speaks of it", async () => {
  await using home = await TestHome.create(compiled);
  await home.json(["start"]);
  await home.json(["stop"]);
  using daemonLock = await locks.tryLock(join(home.home, "daemon.lock"));
  using restartLock = await locks.tryLock(join(home.home, "restart.lock"));
  assert(daemonLock && restartLock);
  const { code, by } = await diagnosis(home);
  if (Deno.build.os !== "linux") return assertEquals(by("restart lock")?.finding.startsWith("held"), true);
  assertEquals([code, by("daemon lock")?.verdict], [1, "problem"]);
  assertStringIncludes(by("daemon lock")?.finding ?? "", `held by pid ${Deno.pid}`);
  assertStringIncludes(by("restart lock")?.finding ?? "", `held by pid ${Deno.pid}`);
});

Deno.test("doctor looks at the machine where there is no home to be found", async () => {
  await using home = await TestHome.create(compiled);
  const { code, value } = await home.json(["doctor"], { env: { DROVER_HOME: "not/absolute" } });
  assertEquals([code, value.home, value.checks[0].verdict], [EXIT_CODES.unexpected.code, null, "problem"]);
  assertEquals(value.checks.map(({ name }: Result) => name), ["home", "agents", "PATH", "proxies", "secrets"]);
});

/** The program in a mount namespace where its home has this mount option. */
function mountedHome(form: ProgramForm, option: "ro" | "noexec"): ProgramForm {
  const home = '"$DROVER_HOME"';
  const script = `mount --bind ${home} ${home} && mount -o remount,bind,${option} ${home} && exec "$@"`;
  return { ...form, argv: ["unshare", "-rm", "sh", "-ec", script, "sh", ...form.argv] };
}

const noMounts = whyNoMounts();
if (noMounts !== undefined) console.warn(`Tests of what a file system cannot do are left out: ${noMounts}`);

for (
  const [what, option, words] of [
    ["read-only", "ro", "the file system is read-only"],
    ["mounted without programs", "noexec", "programs do not work"],
  ] as const
) {
  Deno.test({
    name: `doctor says that the file system of the home is ${what}`,
    ignore: noMounts !== undefined,
    async fn() {
      await using home = await TestHome.create(mountedHome(compiled, option));
      await Deno.mkdir(home.home, { mode: 0o700 });
      await Deno.writeTextFile(join(home.home, "restart.lock"), "", { mode: 0o600 });
      const { code, by, value } = await diagnosis(home);
      assertEquals([code, by("file system")?.verdict], [1, "problem"], JSON.stringify(value));
      assertStringIncludes(JSON.stringify(by("file system")), words);
      assertEquals(by("daemon")?.finding, "none runs");
      assertEquals([...Deno.readDirSync(home.home)].map((entry) => entry.name), ["restart.lock"]);
    },
  });
}

Deno.test({
  name: "doctor says that the disk of the home is full",
  ignore: noMounts !== undefined,
  async fn() {
    await using disk = await SmallDisk.create(compiled, 2 * 1024 * 1024);
    await disk.fill();
    const { code, by } = await diagnosis(disk.home);
    assertEquals([code, by("disk")?.verdict, by("file system")?.verdict], [1, "problem", "problem"]);
    assertStringIncludes(by("disk")?.finding ?? "", "0 of 2 MiB free");
  },
});
