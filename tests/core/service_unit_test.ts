/** Service definitions: what is written comes back, whatever stands in a path, and holds what each manager needs. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { SETTINGS } from "../../lib/core/config.ts";
import {
  frozenEnv,
  installedEnv,
  serviceDefinition,
  serviceFile,
  serviceKind,
  serviceLabel,
  supervisedArgs,
} from "../../lib/core/service_unit.ts";
import {
  fitsDefinition,
  type ServiceKind,
  type ServiceSpec,
  SUPERVISED_DRAIN_S,
  SUPERVISED_EXIT,
  supervisedExit,
} from "../../lib/core/service_unit_spec.ts";
import { parsePlist, parseUnit, unitCommand, unitWords } from "./service_formats.ts";

/** Each is somewhere the sign of something else. */
const AWKWARD = [
  "plain",
  "two words",
  " ends ",
  "100%",
  "%h%%i",
  'say "hi"',
  "it's",
  "back\\slash",
  "\\",
  "$HOME ${x} $$",
  "a & b < c > d &amp; ]]>",
  "# ; = [x]",
  "-->",
  "ünïcödé 日本 🐑",
  "@-:+!|",
  "",
];

function spec(options: Partial<ServiceSpec> = {}): ServiceSpec {
  return {
    label: "drover-0123456789ab",
    home: "/home/me/.drover",
    argv: ["/usr/bin/drover", "daemon"],
    env: { DROVER_HOME: "/home/me/.drover", PATH: "/usr/bin:/bin" },
    launchLog: "/home/me/.drover/logs/daemon.out",
    ...options,
  };
}

function unit(options: Partial<ServiceSpec> = {}): { get: (key: string, section?: string) => string[] } {
  const entries = parseUnit(serviceDefinition("systemd", spec(options)));
  return {
    get: (key, section) =>
      entries.filter((entry) => entry.key === key && (!section || entry.section === section)).map(({ value }) => value),
  };
}

Deno.test("the unit has each key in its own section, with the values that the daemon counts on", () => {
  const { get } = unit();
  assertEquals(get("StartLimitIntervalSec", "Unit"), ["300"]);
  assertEquals(get("StartLimitBurst", "Unit"), ["5"]);
  const service: Record<string, string> = {
    Type: "notify",
    Restart: "on-failure",
    RestartSec: "5",
    KillMode: "mixed",
    RestartPreventExitStatus: "70 76",
    RestartForceExitStatus: "75",
    OOMPolicy: "continue",
  };
  for (const [key, value] of Object.entries(service)) assertEquals(get(key, "Service"), [value], key);
  assertEquals(get("StartLimitBurst").length + get("StartLimitIntervalSec").length, 2, "nowhere else");
  assert(Number(get("TimeoutStopSec", "Service")[0]) > SUPERVISED_DRAIN_S + 30, "the daemon ends its tasks itself");
  assert(Number(get("WatchdogSec", "Service")[0]) >= 60);
  assertEquals(get("WantedBy", "Install"), ["default.target"]);
});

Deno.test("every argument, variable and home comes back from the unit as it was", () => {
  for (const text of AWKWARD) {
    const home = `/home/${text}/x`;
    const { get } = unit({ home, argv: ["/usr/bin/drover", text, "end"], env: { A: text, B: `x${text}` } });
    assertEquals(unitCommand(get("ExecStart")[0]!), ["/usr/bin/drover", text, "end"], text);
    assertEquals(get("Environment").map(unitWords), [[`A=${text}`], [`B=x${text}`]], text);
    assertEquals(get("Description"), [`drover daemon (home ${home.replaceAll("%", "%%")}), runs coding agents`], text);
  }
});

Deno.test("a program whose path systemd would refuse is started by a shell that becomes it", () => {
  for (const name of AWKWARD) {
    const program = `/opt/${name}/drover`;
    const words = unitCommand(unit({ argv: [program, "daemon"] }).get("ExecStart")[0]!);
    if (/["'\\]/.test(name)) assertEquals(words, ["/bin/sh", "-c", 'exec "$0" "$@"', program, "daemon"], name);
    else assertEquals(words, [program, "daemon"], name);
  }
});

Deno.test("the property list holds what launchd needs, and every text as it was", () => {
  for (const text of AWKWARD) {
    const argv = ["/usr/bin/drover", text, "end"];
    const env = { A: text, [`K${text}`]: "1" };
    const launchLog = `/logs/${text}/daemon.out`;
    const plist = parsePlist(serviceDefinition("launchd", spec({ label: "dev.drover.x", argv, env, launchLog })));
    assertEquals(plist, {
      Label: "dev.drover.x",
      ProgramArguments: argv,
      EnvironmentVariables: env,
      RunAtLoad: true,
      KeepAlive: { SuccessfulExit: false },
      ThrottleInterval: 30,
      ExitTimeOut: 120,
      ProcessType: "Interactive",
      AbandonProcessGroup: false,
      StandardOutPath: launchLog,
      StandardErrorPath: launchLog,
      Umask: 63,
    }, text);
    assert(plist.ExitTimeOut > SUPERVISED_DRAIN_S + 30);
  }
});

Deno.test("the environment is read back from either format, and its absence as none", () => {
  for (const kind of ["systemd", "launchd"] as ServiceKind[]) {
    for (const text of AWKWARD) {
      const env = { A: text, PATH: `/a ${text}:/b` };
      assertEquals(installedEnv(kind, serviceDefinition(kind, spec({ env }))), env, `${kind} ${text}`);
    }
    for (const damaged of ["", "Environment=", "<dict>", "\u0000"]) assertEquals(installedEnv(kind, damaged), {});
  }
});

Deno.test("two homes have two labels, and a label says which file", () => {
  const [a, b] = ["a".repeat(64), "b".repeat(64)];
  for (const kind of ["systemd", "launchd"] as ServiceKind[]) {
    assertNotEquals(serviceLabel(kind, a), serviceLabel(kind, b));
    assertMatch(serviceLabel(kind, a), /^[a-z.-]+a{12}$/);
  }
  assertEquals([serviceKind("linux"), serviceKind("darwin")], ["systemd", "launchd"]);
  const env = { HOME: "/home/me/" };
  assertEquals(serviceFile("systemd", "x", env), "/home/me/.config/systemd/user/x.service");
  assertEquals(serviceFile("systemd", "x", { ...env, XDG_CONFIG_HOME: "/c" }), "/c/systemd/user/x.service");
  assertEquals(
    serviceFile("systemd", "x", { ...env, XDG_CONFIG_HOME: "c" }),
    "/home/me/.config/systemd/user/x.service",
  );
  assertEquals(serviceFile("launchd", "x", { ...env, XDG_CONFIG_HOME: "/c" }), "/home/me/Library/LaunchAgents/x.plist");
  for (const kind of ["systemd", "launchd"] as ServiceKind[]) {
    assertEquals(serviceFile(kind, "x", {}), undefined);
    assertEquals(serviceFile(kind, "x", { HOME: "here" }), undefined);
  }
});

Deno.test("frozen is what a service manager does not know, and no setting, no secret, nothing relative", () => {
  const home = { home: "/h", bin: "/h/bin", compiled: true };
  const settings = Object.fromEntries(Object.values(SETTINGS).map(({ variable }) => [variable, "1"]));
  const env = {
    ...settings,
    PATH: "/h/bin:/a:rel::/b:/a:.:/c\u0007:/d e",
    HOME: "/home/me",
    ANTHROPIC_API_KEY: "secret",
    DROVER_TOKEN: "secret",
    DROVER_CLAUDE_PATH: "/opt/claude",
    DROVER_LLM_PATH: "",
    DROVER_HOME: "/elsewhere",
    https_proxy: "http://p",
    NO_PROXY: "x",
    LANG: "C.UTF-8",
    LC_ALL: "bad\nline",
    DENO_DIR: "/deno",
  };
  const frozen = {
    DROVER_CLAUDE_PATH: "/opt/claude",
    DROVER_HOME: "/h",
    LANG: "C.UTF-8",
    NO_PROXY: "x",
    PATH: "/a:/b:/d e",
    https_proxy: "http://p",
  };
  assertEquals(frozenEnv(env, home), frozen);
  assertEquals(frozenEnv(env, { ...home, compiled: false }), { ...frozen, DENO_DIR: "/deno" });
  assertEquals(Object.keys(frozenEnv(env, home)), Object.keys(frozenEnv(env, home)).toSorted());
  assertEquals(frozenEnv({}, home).PATH, "/usr/local/bin:/usr/bin:/bin");
});

Deno.test("texts that no definition can hold are known beforehand", () => {
  for (const text of AWKWARD) assert(fitsDefinition(text), text);
  for (const text of ["a\nb", "\u0000", "\u001b[1m", "\u007f", "\ud800"]) assert(!fitsDefinition(text));
});

Deno.test("what is not to be started again ends with 0 where every other code means another try", () => {
  assertEquals(SUPERVISED_EXIT, { config: 70, restart: 75, stoodDown: 76 });
  assertEquals((["config", "restart", "stoodDown"] as const).map((end) => supervisedExit("systemd", end)), [
    70,
    75,
    76,
  ]);
  assertEquals((["config", "restart", "stoodDown"] as const).map((end) => supervisedExit("launchd", end)), [0, 75, 0]);
  for (const kind of ["systemd", "launchd"] as ServiceKind[]) {
    assertEquals(supervisedArgs(kind), ["daemon", "--quiet", "--supervised", kind]);
  }
});
