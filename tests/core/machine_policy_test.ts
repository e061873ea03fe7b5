import { assertEquals, assertStringIncludes } from "@std/assert";
import { mergeSettings, type Settings } from "../../lib/core/config.ts";
import {
  applyPolicy,
  describePolicy,
  isServerAllowed,
  type MachinePolicy,
  NO_POLICY,
  readMachinePolicy,
  whyNotAdmins,
} from "../../lib/core/machine_policy.ts";

const DEFAULTS = mergeSettings({ flags: {}, env: {}, file: {} });

function policyOf(value: unknown): MachinePolicy {
  const read = readMachinePolicy(JSON.stringify(value));
  if ("wrong" in read) throw new Error(read.wrong);
  return read.policy;
}

function under(policy: unknown, users: Partial<Settings>): Settings {
  return applyPolicy(policyOf(policy), { ...DEFAULTS, ...users }).settings;
}

Deno.test("readMachinePolicy() takes the values as config.json has them, and refuses what it does not know", () => {
  const policy = policyOf({
    schema: 1,
    servers: ["https://multica.example.com/"],
    update_pin: "1.2.3",
    settings: { "remote.enabled": false, "update.auto": "true" },
    limits: { "tasks.time_limit": "1h", "agents.limits": "claude=2" },
  });
  assertEquals(policy, {
    servers: ["https://multica.example.com"],
    updatePin: "1.2.3",
    settings: { remoteEnabled: false, updateAuto: true },
    limits: { timeLimitMs: 3_600_000, agentLimits: { claude: 2 } },
  });
  const wrong: readonly (readonly [text: string, said: string])[] = [
    ["", "no JSON"],
    ["[]", "no object"],
    ['{"server":[]}', '"server" is not known'],
    ['{"schema":2}', "schema 1 only"],
    ['{"servers":"https://x"}', "list of addresses"],
    ['{"servers":["ftp://x"]}', "list of addresses"],
    ['{"update_pin":"newest"}', "a version such as"],
    ['{"settings":{"task.max":1}}', "is no setting"],
    ['{"settings":{"tasks.max_concurrent":0}}', "from 1 to 64"],
    ['{"limits":{"log.level":"info"}}', "has no order"],
    ['{"limits":[]}', "must be an object"],
  ];
  for (const [text, said] of wrong) {
    const read = readMachinePolicy(text);
    assertStringIncludes("wrong" in read ? read.wrong : "nothing", said);
  }
});

Deno.test("applyPolicy() puts its settings in the place of the users', and keeps them below its limits", () => {
  assertEquals(applyPolicy(NO_POLICY, DEFAULTS), { settings: DEFAULTS, overridden: [] });
  const forced = under({ settings: { "log.level": "debug", "update.auto": true } }, { logLevel: "error" });
  assertEquals([forced.logLevel, forced.updateAuto], ["debug", true]);

  const limits = { limits: { "tasks.max_concurrent": 2, "tasks.time_limit": "1h" } };
  assertEquals(under(limits, { maxConcurrentTasks: 8 }).maxConcurrentTasks, 2);
  assertEquals(under(limits, { maxConcurrentTasks: 1 }).maxConcurrentTasks, 1);
  assertEquals(under(limits, { timeLimitMs: 60_000 }).timeLimitMs, 60_000);
});

Deno.test("applyPolicy() takes the lower limit of each agent, with and without one of its own", () => {
  const perDay = (limit: string, users: Readonly<Record<string, number>>) =>
    under({ limits: { "limits.tasks_per_day": limit } }, { tasksPerDay: users }).tasksPerDay;
  assertEquals(perDay("20", {}), { "*": 20 });
  assertEquals(perDay("20", { claude: 50, codex: 5 }), { claude: 20, codex: 5, "*": 20 });
  assertEquals(perDay("claude=10", { "*": 3 }), { "*": 3, claude: 3 });
  assertEquals(perDay("claude=10", {}), { claude: 10 });
});

Deno.test("applyPolicy() narrows what workspaces may do, those with a word of their own too", () => {
  const policy = { limits: { "workspaces.policy": "ask" } };
  const { workspacePolicy, watchedWorkspaces } = under(policy, {
    workspacePolicy: "full",
    watchedWorkspaces: { a: "full", b: "read-only" },
  });
  assertEquals([workspacePolicy, watchedWorkspaces], ["ask", { a: "ask", b: "read-only" }]);
});

Deno.test("applyPolicy() takes no work from a server that is not allowed, and says what it overrode", () => {
  const users = { ...DEFAULTS, serverUrl: "https://other.example", remoteEnabled: true };
  const policy = policyOf({ servers: ["https://good.example"] });
  assertEquals(applyPolicy(policy, users).overridden, [{ key: "remote.enabled", wanted: true, counts: false }]);
  assertEquals(applyPolicy(policy, { ...users, serverUrl: "https://good.example" }).overridden, []);
  assertEquals(applyPolicy(policyOf({ servers: [] }), users).settings.remoteEnabled, false);
  assertEquals(isServerAllowed(NO_POLICY, "https://other.example"), true);
});

Deno.test("whyNotAdmins() believes root alone, where nobody else may write", () => {
  assertEquals(whyNotAdmins({ uid: 0, mode: 0o644 }), undefined);
  for (const info of [{ uid: 1000, mode: 0o644 }, { uid: 0, mode: 0o664 }, { uid: 0, mode: 0o646 }]) {
    assertEquals(typeof whyNotAdmins(info), "string");
  }
});

Deno.test("describePolicy() says each rule", () => {
  const policy = policyOf({
    servers: [],
    update_pin: "1.2.3",
    settings: { "remote.enabled": false },
    limits: { "tasks.time_limit": "1h" },
  });
  assertEquals(describePolicy(policy), [
    "no server",
    "only version 1.2.3",
    "always remote.enabled false",
    "at most tasks.time_limit 1h",
  ]);
});
