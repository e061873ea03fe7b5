/** The service of a home: installed, described and removed, each twice, with and without a manager to talk to. */
import { assert, assertEquals, assertNotEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { installService, serviceOf, serviceStatus, supervisorOf, uninstallService } from "../../lib/app/service.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import { type Home, homeLayout } from "../../lib/core/home.ts";
import { type FakeSystemd, fakeSystemd } from "../support/fake_systemd.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { type TestHost, testHost } from "./test_host.ts";
import { copyProgram, placeScript } from "../support/program_file.ts";

interface Place extends AsyncDisposable {
  readonly home: Home;
  readonly systemd: FakeSystemd;
  readonly bin: string;
  readonly dir: { at(name: string): string };
  host(options?: { path?: string; selfCommand?: readonly string[]; compiled?: boolean }): TestHost;
}

async function place(): Promise<Place> {
  const dir = await tempDirectory();
  const [bin, user] = [dir.at("bin"), dir.at("user")];
  for (const directory of [bin, user]) await Deno.mkdir(directory);
  const systemd = await fakeSystemd({ bin, user });
  const program = dir.at("drover-1.0");
  await placeScript(program, "#!/bin/sh\nexec sleep 1000\n");
  return {
    home: homeLayout(dir.at("home")),
    systemd,
    bin,
    dir,
    host({ path = "/usr/bin:/bin", selfCommand = [program], compiled = true } = {}) {
      const made = testHost({ env: { HOME: user, PATH: `${bin}:${path}` }, selfCommand });
      Object.assign(made.system, { compiled });
      return made;
    },
    async [Symbol.asyncDispose]() {
      await systemd.end();
      await dir[Symbol.asyncDispose]();
    },
  };
}

Deno.test("install writes and enables, says so the second time, and uninstall takes all of it back", async () => {
  await using at = await place();
  const { host } = at.host();
  await at.systemd.linger("no");
  const first = await installService(host, at.home, { enable: true });
  assertEquals([first.status, first.lingers], ["installed", false]);
  assertEquals(first.state, { kind: "known", enabled: true, activity: "inactive", why: "" });
  const text = await Deno.readTextFile(first.service.file);
  assertStringIncludes(text, `Environment="DROVER_HOME=${at.home.root}"`);
  assertEquals((await Deno.stat(first.service.file)).mode! & 0o777, 0o600);

  assertEquals((await installService(host, at.home, { enable: true })).status, "alreadyInstalled");
  const enabling = (await at.systemd.calls()).filter((call) => call.includes(" enable "));
  assertEquals(enabling.length, 1, "nothing is done twice");

  assertEquals((await uninstallService(host, at.home)).status, "uninstalled");
  assertEquals(await Deno.stat(first.service.file).then(() => true, () => false), false);
  assertEquals((await uninstallService(host, at.home)).status, "notInstalled");
  assertEquals((await serviceStatus(host, at.home)).installed, false);
});

Deno.test("another PATH brings the service up to date; --no-enable only writes", async () => {
  await using at = await place();
  assertEquals((await installService(at.host().host, at.home, { enable: false })).status, "installed");
  assertEquals((await at.systemd.calls()).some((call) => call.includes("enable")), false);
  const updated = await installService(at.host({ path: "/usr/bin:/opt/x y%" }).host, at.home, { enable: false });
  assertEquals([updated.status, updated.env.PATH], ["updated", `${at.bin}:/usr/bin:/opt/x y%`]);
  const status = await serviceStatus(at.host().host, at.home);
  assertEquals(
    [status.env.PATH, status.unitOutdated],
    [updated.env.PATH, false],
    "another terminal's PATH is no drift",
  );
});

Deno.test("status tells an edited unit, and one for a drover that has moved", async () => {
  await using at = await place();
  const { host } = at.host();
  const { service } = await installService(host, at.home, { enable: true });
  const outdated = async (from = host) => (await serviceStatus(from, at.home)).unitOutdated;
  assertEquals(await outdated(), false);
  const text = await Deno.readTextFile(service.file);
  await Deno.writeTextFile(service.file, text.replace("RestartSec=5", "RestartSec=1"));
  assertEquals(await outdated(), true);
  assertEquals((await installService(host, at.home, { enable: true })).status, "updated");
  assertEquals(await outdated(), false);
  const moved = at.dir.at("drover-2.0");
  await copyProgram(at.dir.at("drover-1.0"), moved);
  assertEquals(await outdated(at.host({ selfCommand: [moved] }).host), true);
});

Deno.test("without a manager the unit is written all the same, and removed again with what would enable it", async () => {
  await using at = await place();
  const { host } = at.host();
  await at.systemd.reachable(false);
  const { status, service, state, lingers } = await installService(host, at.home, { enable: true });
  assertEquals([status, state.kind, lingers], ["installed", "unreachable", undefined]);
  assertStringIncludes(state.why, "Failed to connect to bus");
  assertEquals(await supervisorOf(host, at.home), undefined, "drover start does without it");
  const [link] = service.manager.commands.enabledBy(service);
  await Deno.mkdir(link!.slice(0, link!.lastIndexOf("/")));
  await Deno.symlink(service.file, link!);
  assertEquals((await uninstallService(host, at.home)).status, "uninstalled");
  assertEquals(await Deno.lstat(link!).then(() => true, () => false), false);

  const none = testHost({ env: { HOME: at.dir.at("user"), PATH: at.dir.at("empty") }, selfCommand: ["/bin/sh"] });
  const without = await installService(none.host, at.home, { enable: true });
  assertEquals(without.state, { kind: "unreachable", why: "there is no systemctl here" });
});

Deno.test("the program is the link on PATH that an update moves on, and never a file that is gone", async () => {
  await using at = await place();
  const program = at.dir.at("drover-1.0");
  const install = async (options: { selfCommand?: readonly string[]; compiled?: boolean } = {}) =>
    (await installService(at.host(options).host, at.home, { enable: false })).argv[0];
  assertEquals(await install(), program);
  await Deno.writeTextFile(`${at.bin}/drover`, "#!/bin/sh\n");
  assertEquals(await install(), program, "another drover on PATH is not this one");
  await Deno.remove(`${at.bin}/drover`);
  await Deno.symlink(program, `${at.bin}/drover`);
  assertEquals(await install(), `${at.bin}/drover`);
  assertEquals(await install({ compiled: false }), program, "from source nothing on PATH stands for it");
  const error = await assertRejects(() => install({ selfCommand: [at.dir.at("gone")] }), DroverError);
  assertEquals(error.code, "service_failed");
});

Deno.test("two homes have two services, and two spellings of one home have one", async () => {
  await using at = await place();
  const { host } = at.host();
  const other = homeLayout(at.dir.at("other"));
  for (const home of [at.home, other]) await installService(host, home, { enable: true });
  assertNotEquals((await serviceOf(host, at.home)).file, (await serviceOf(host, other)).file);
  await Deno.symlink(at.home.root, at.dir.at("spelling"));
  const spelled = homeLayout(at.dir.at("spelling"));
  assertEquals((await serviceOf(host, spelled)).label, (await serviceOf(host, at.home)).label);
  await uninstallService(host, at.home);
  assertEquals((await serviceStatus(host, other)).installed, true);
});

Deno.test("linger is asked for, and its answer passed on", async () => {
  await using at = await place();
  const { host } = at.host();
  for (const [answer, expected] of [["yes", true], ["no", false], ["unknown", undefined]] as const) {
    await at.systemd.linger(answer);
    assertEquals((await serviceStatus(host, at.home)).lingers, expected);
  }
});

Deno.test("the supervisor is there once the service is enabled, and says why a start came to nothing", async () => {
  await using at = await place();
  const { host } = at.host();
  assertEquals(await supervisorOf(host, at.home), undefined);
  await installService(host, at.home, { enable: false });
  assertEquals(await supervisorOf(host, at.home), undefined, "written only");
  await installService(host, at.home, { enable: true });
  const supervisor = await supervisorOf(host, at.home);
  assert(supervisor);
  const unit = `${supervisor.label}.service`;
  await supervisor.start();
  assertEquals((await serviceStatus(host, at.home)).state.kind === "known", true);
  assert((await at.systemd.calls()).includes(`--user restart ${unit}`));
  await uninstallService(host, at.home);
  assert((await at.systemd.calls()).includes(`--user stop ${unit}`), "what runs is ended first");

  await installService(host, at.home, { enable: true });
  await at.systemd.failing(unit, "exit-code");
  const error = await assertRejects(() => supervisor.start(), DroverError);
  assertEquals(error.code, "daemon_failed");
  assertStringIncludes(error.message, "exit-code");
  assertStringIncludes(error.hint ?? "", "journalctl");
});

Deno.test("a path that no definition can hold is refused before anything is written", async () => {
  await using at = await place();
  const { host } = at.host();
  const home = homeLayout(at.dir.at("a\nb"));
  const error = await assertRejects(() => installService(host, home, { enable: true }), DroverError);
  assertEquals(error.code, "service_failed");
  assertEquals((await serviceStatus(host, home)).installed, false);
});
