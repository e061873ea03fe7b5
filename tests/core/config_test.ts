/** The settings: which source wins, what is in range, and what an error says. */
import { assertEquals, assertThrows } from "@std/assert";
import {
  findSetting,
  formatDuration,
  mergeSettings,
  parseDuration,
  rowOf,
  SETTING_NAMES,
  SettingError,
  type SettingInputs,
  settingNamed,
  SETTINGS,
  strangeKeys,
  valueAt,
  withoutValue,
  withValue,
} from "../../lib/core/config.ts";

function merge(inputs: Partial<SettingInputs>) {
  return mergeSettings({ flags: {}, env: {}, file: {}, ...inputs });
}

Deno.test("mergeSettings() has a default for each setting, inside its own range", () => {
  assertEquals(merge({}), {
    maxConcurrentTasks: 4,
    timeLimitMs: 7_200_000,
    silenceLimitMs: 1_800_000,
    toolLimitMs: 7_200_000,
    agentLimits: {},
    loginCheck: true,
    retentionDays: 30,
    logLevel: "info",
    healthPort: 0,
    loginPath: true,
    agentVariables: [],
    askTimeoutMs: 600_000,
    remoteEnabled: false,
    serverUrl: "",
    watchedWorkspaces: {},
    watchAll: false,
    workspacePolicy: "ask",
    remoteDemo: false,
    tasksPerDay: {},
    tokensPerDay: {},
    usdPerDay: {},
    claimOnBattery: true,
    reposAllowFile: false,
    gcEnabled: true,
    gcDiscardUnpushed: false,
    usageScan: true,
    usageReportRemote: false,
    updateAuto: false,
    updateUrl: "",
    updateIntervalMs: 3_600_000,
    reloadBinaries: "runtime",
    reloadSelf: "restart",
    reloadIntervalMs: 30_000,
    reloadPatienceMs: 0,
  });
});

Deno.test("mergeSettings() prefers the command line to the environment, that to the file, and that to the default", () => {
  const file = { tasks: { max_concurrent: 2 } };
  const env = { DROVER_MAX_CONCURRENT_TASKS: "3" };
  const flags = { maxConcurrentTasks: "5" };
  assertEquals(merge({ flags, env, file }).maxConcurrentTasks, 5);
  assertEquals(merge({ env, file }).maxConcurrentTasks, 3);
  assertEquals(merge({ file }).maxConcurrentTasks, 2);
});

Deno.test("mergeSettings() takes an empty variable as none and a key with a dot in one piece", () => {
  assertEquals(merge({ env: { DROVER_LOG_LEVEL: "" }, file: { "log.level": "debug" } }).logLevel, "debug");
  assertEquals(merge({ file: { tasks: "none", log: null, other: 1 } }).maxConcurrentTasks, 4);
});

Deno.test("mergeSettings() reads every setting from every source", () => {
  const samples = {
    maxConcurrentTasks: ["7", 7],
    timeLimitMs: ["90s", 90_000],
    silenceLimitMs: ["45m", 2_700_000],
    toolLimitMs: ["3h", 10_800_000],
    agentLimits: ["claude=2, codex=1", { claude: 2, codex: 1 }],
    loginCheck: ["false", false],
    retentionDays: ["9", 9],
    logLevel: ["error", "error"],
    healthPort: ["9514", 9_514],
    loginPath: ["false", false],
    agentVariables: ["GH_TOKEN, AWS_*", ["GH_TOKEN", "AWS_*"]],
    askTimeoutMs: ["90s", 90_000],
    remoteEnabled: ["true", true],
    serverUrl: ["wss://team.example.com/ws", "https://team.example.com"],
    watchedWorkspaces: ["w-1=ask, W-2=full", { "w-1": "ask", "w-2": "full" }],
    watchAll: ["true", true],
    workspacePolicy: ["read-only", "read-only"],
    remoteDemo: ["true", true],
    tasksPerDay: ["20, claude=5", { "*": 20, claude: 5 }],
    tokensPerDay: ["1.5M", { "*": 1_500_000 }],
    usdPerDay: ["claude=2.5", { claude: 2.5 }],
    claimOnBattery: ["false", false],
    reposAllowFile: ["true", true],
    gcEnabled: ["false", false],
    gcDiscardUnpushed: ["true", true],
    usageScan: ["false", false],
    usageReportRemote: ["true", true],
    updateAuto: ["true", true],
    updateUrl: ["https://example.com/releases/", "https://example.com/releases"],
    updateIntervalMs: ["2h", 7_200_000],
    reloadBinaries: ["notify", "notify"],
    reloadSelf: ["off", "off"],
    reloadIntervalMs: ["2m", 120_000],
    reloadPatienceMs: ["6h", 21_600_000],
  } as const;
  for (const name of Object.keys(SETTINGS) as (keyof typeof SETTINGS)[]) {
    const [text, value] = samples[name];
    const { key, variable } = SETTINGS[name];
    const [first, second] = key.split(".") as [string, string];
    assertEquals<unknown>(merge({ flags: { [name]: text } })[name], value);
    assertEquals<unknown>(merge({ env: { [variable]: text } })[name], value);
    assertEquals<unknown>(merge({ file: { [first]: { [second]: text } } })[name], value);
  }
});

Deno.test("mergeSettings() takes a switch in the environment for the value it stands for, after the variable itself", () => {
  const mode = (env: Record<string, string>) => merge({ env, file: { reload: { binaries: "off" } } }).reloadBinaries;
  const given = (text: string) => mode({ DROVER_AUTO_RELOAD_BINARIES: text });
  assertEquals(["1", "true", "0", "false", ""].map(given), ["restart", "restart", "off", "off", "off"]);
  assertEquals(mode({ DROVER_AUTO_RELOAD_BINARIES: "1", DROVER_RELOAD_BINARIES: "notify" }), "notify");
  assertThrows(() => given("yes"), SettingError, '= "yes" from the variable DROVER_AUTO_RELOAD_BINARIES');
});

Deno.test("mergeSettings() refuses what is out of range or of another kind", () => {
  const wrong: [keyof typeof SETTINGS, unknown[]][] = [
    ["maxConcurrentTasks", [0, 65, -1, 1.5, "four", "", "1e1", null, true, [4], Number.NaN]],
    ["retentionDays", [0, 3651, "30 days"]],
    ["timeLimitMs", ["0s", "90", 90, "2 hours", "-1m", "", null]],
    ["silenceLimitMs", ["0s", "90", 90, ""]],
    ["toolLimitMs", ["0s", "90", 90, ""]],
    ["agentLimits", ["claude", "claude=0", "claude=65", "=2", "claude=2.5", "a b=1", 3, true, ["claude=1"], {
      claude: "2",
    }]],
    ["loginCheck", ["yes", "1", 0, "", null]],
    ["logLevel", ["trace", "INFO", "", 3]],
    ["healthPort", [65_536, -1, "http", "", null]],
    ["loginPath", ["yes", "1", 0, "", null]],
    ["agentVariables", ["A-B", "1A", "*_TOKEN", "A=b", 5, true, null, ["A", 1], { A: "b" }]],
    ["askTimeoutMs", ["999ms", "10", 10, "0s", "", null]],
    ["remoteEnabled", ["on", 1, "", null]],
    ["remoteDemo", ["demo", 1, "", null]],
    ["tasksPerDay", [0, -1, 1.5, "many", "claude", "A b=1", "claude=0", "5,6", "a=1,a=2", "", null, true, [5], {
      claude: -1,
    }]],
    ["tokensPerDay", ["1.0001k", "2T", "-5"]],
    ["usdPerDay", ["$5", 0, "claude=free", Infinity]],
    ["claimOnBattery", ["yes", 1, "", null]],
    ["reloadBinaries", ["on", true, 1, "Restart", "", null]],
    ["reloadSelf", ["on", "runtime", true, "", null]],
    ["reloadIntervalMs", ["99ms", "30", 30, "0s", "", null]],
    ["reloadPatienceMs", ["-1s", "30", 30, "", null]],
  ];
  for (const [name, values] of wrong) {
    const [first, second] = SETTINGS[name].key.split(".") as [string, string];
    for (const value of values) {
      assertThrows(
        () => merge({ file: { [first]: { [second]: value } } }),
        SettingError,
        SETTINGS[name].key,
        String(value),
      );
    }
  }
  assertEquals([1, 64].map((n) => merge({ file: { tasks: { max_concurrent: n } } }).maxConcurrentTasks), [1, 64]);
});

Deno.test("mergeSettings() says which value from where cannot be used, and what could", () => {
  const message = (inputs: Partial<SettingInputs>) => assertThrows(() => merge(inputs), SettingError).message;
  const range = "it must be a whole number from 1 to 64";
  assertEquals(
    message({ flags: { maxConcurrentTasks: "0" } }),
    `Cannot use tasks.max_concurrent = "0" from the command line: ${range}`,
  );
  assertEquals(
    message({ env: { DROVER_MAX_CONCURRENT_TASKS: "x" } }),
    `Cannot use tasks.max_concurrent = "x" from the variable DROVER_MAX_CONCURRENT_TASKS: ${range}`,
  );
  assertEquals(
    message({ file: { tasks: { max_concurrent: 99 } } }),
    `Cannot use tasks.max_concurrent = 99 from config.json: ${range}`,
  );
});

Deno.test("mergeSettings() does not fall back to the next source when one cannot be used", () => {
  assertThrows(() => merge({ env: { DROVER_LOG_LEVEL: "loud" }, file: { log: { level: "debug" } } }), SettingError);
});

Deno.test("parseDuration() reads one number and one unit", () => {
  const rows: [string, number | undefined][] = [
    ["500ms", 500],
    ["90s", 90_000],
    ["30m", 1_800_000],
    ["1.5h", 5_400_000],
    ["1d", 86_400_000],
    [" 2h ", 7_200_000],
    ["0s", undefined],
    ["0.1ms", undefined],
    ["1h30m", undefined],
    ["1 h", undefined],
    ["-1h", undefined],
    ["h", undefined],
    ["10", undefined],
    ["", undefined],
  ];
  for (const [text, ms] of rows) assertEquals(parseDuration(text), ms, text);
});

Deno.test("formatDuration() is read back as the same duration, in the largest whole unit", () => {
  const rows: [number, string][] = [[7_200_000, "2h"], [5_400_000, "90m"], [86_400_000, "1d"], [1_500, "1500ms"]];
  for (const [ms, text] of rows) {
    assertEquals(formatDuration(ms), text);
    assertEquals(parseDuration(text), ms);
  }
});

Deno.test("findSetting() says where a value comes from, and why one cannot be used", () => {
  const inputs = { flags: {}, env: { DROVER_LOG_LEVEL: "debug" }, file: { tasks: { max_concurrent: 0 } } };
  assertEquals(findSetting("logLevel", inputs), {
    kind: "usable",
    value: "debug",
    source: "environment",
    variable: "DROVER_LOG_LEVEL",
  });
  assertEquals(findSetting("retentionDays", inputs), { kind: "usable", value: 30, source: "default" });
  assertEquals(findSetting("maxConcurrentTasks", inputs), {
    kind: "unusable",
    given: 0,
    source: "file",
    why: "Cannot use tasks.max_concurrent = 0 from config.json: it must be a whole number from 1 to 64",
  });
});

Deno.test("SETTINGS write what they parse", () => {
  for (const name of SETTING_NAMES) {
    const row = rowOf(name);
    assertEquals(row.parse(row.write(row.fallback)), row.fallback, row.key);
    assertEquals(settingNamed(row.key), name);
    for (const choice of row.choices ?? []) assertEquals(String(row.parse(choice)), choice);
  }
  assertEquals(settingNamed("log"), undefined);
});

Deno.test("withValue() and withoutValue() keep to the spelling that is there, and leave the rest alone", () => {
  const rows: [before: Record<string, unknown>, after: Record<string, unknown>][] = [
    [{}, { a: { b: 2 } }],
    [{ a: { b: 1, c: 3 }, d: 4 }, { a: { b: 2, c: 3 }, d: 4 }],
    [{ "a.b": 1, a: { c: 3 } }, { "a.b": 2, a: { c: 3 } }],
    [{ a: {} }, { a: { b: 2 } }],
  ];
  for (const [before, after] of rows) {
    const text = JSON.stringify(before);
    assertEquals(withValue(before, "a.b", 2), after);
    assertEquals(valueAt(after, "a.b"), 2);
    assertEquals(valueAt(withoutValue(after, "a.b"), "a.b"), undefined);
    assertEquals(JSON.stringify(before), text);
  }
  assertEquals(withoutValue({ "a.b": 1, a: { b: 2, c: 3 } }, "a.b"), { a: { c: 3 } });
  assertEquals(withoutValue({ a: { b: { c: 1 } }, d: 4 }, "a.b.c"), { d: 4 });
  assertEquals(withoutValue({ a: 1 }, "a.b"), { a: 1 });
  for (const held of [1, "x", null, [1]]) assertThrows(() => withValue({ a: held }, "a.b", 2), SettingError, '"a" is');
});

Deno.test("strangeKeys() names what has no effect, as short as it already tells", () => {
  assertEquals(strangeKeys({ "log.level": "info", tasks: { max_concurrent: 1 }, retention: {} }), []);
  assertEquals(strangeKeys({ tasks: { max: 1 }, server: { port: "x" }, "log.levl": 1 }), [
    "tasks.max",
    "server.port",
    "log.levl",
  ]);
  assertEquals(strangeKeys({ log: "info" }), ["log"]);
});

Deno.test("mergeSettings() takes names of variables from the file also as a list", () => {
  assertEquals(merge({ file: { agents: { env: ["GH_TOKEN", "AWS_*"] } } }).agentVariables, ["GH_TOKEN", "AWS_*"]);
  assertEquals(merge({ file: { agents: { env: "" } } }).agentVariables, []);
});
