/** Limits and pauses in a whole daemon: silent agents, spent quotas, logins, and how many tasks of one CLI there may be. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Outcome } from "../../lib/core/message.ts";
import type { LoginSight, Pauses } from "../../lib/core/runtime_pause.ts";
import { ownAccount } from "../../lib/daemon/agent_task.ts";
import type { DaemonOptions } from "../../lib/daemon/daemon.ts";
import { RuntimePauses } from "../../lib/daemon/runtime_pauses.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { DaemonWorld } from "./daemon_world.ts";
import { claimed } from "./fake_connection.ts";
import { keptLog } from "./kept_log.ts";
import { TeamWorld } from "./team_world.ts";

const MINUTE = 60_000;
const AGENT = "44444444-4444-4444-8444-444444444444";
const QUOTA: Outcome = { kind: "failed", reason: "agent_error.provider_quota_limit", detail: "limit reached" };
const AUTH: Outcome = { kind: "failed", reason: "agent_error.provider_auth_or_access", detail: "401" };

function keeping(): { kept: Pauses; options: Partial<DaemonOptions> } {
  const state = { kept: {} as Pauses };
  const store = {
    read: () => Promise.resolve(state.kept),
    write: (all: Pauses) => Promise.resolve(void (state.kept = all)),
  };
  return Object.assign(state, { options: { pauses: { store, howToLogIn: () => "bot login" } } });
}

function paused(w: DaemonWorld) {
  return w.daemon.status().connections[0]!.runtimes[0]!.paused;
}

Deno.test("Daemon stops an agent that says nothing for too long, and one whose tool does not answer", async () => {
  await using w = await DaemonWorld.started({ daemon: { silenceLimitMs: 10 * MINUTE, toolLimitMs: 30 * MINUTE } });
  await w.submit();
  await w.submit();
  const silent = (await w.agent(0)).task!.id;
  const agent = await w.agent(1);
  const busy = agent.task!.id;
  agent.say({ kind: "tool-use", tool: "Build", callId: "c", input: {} });
  await w.until("it was heard", () => w.daemon.status().tasks.some(({ messages }) => messages > 0));
  await w.clock.advance(11 * MINUTE);
  const first = await w.ended(silent, "failed");
  assertEquals([first.failure_reason, first.retried_by], ["agent_error.agent_timeout", null]);
  assertStringIncludes(first.error!, "said nothing for 10 min");
  assertEquals((await w.show(busy)).status, "running");
  await w.clock.advance(20 * MINUTE);
  assertStringIncludes((await w.ended(busy, "failed")).error!, "tool Build did not answer within 30 min");
  await w.idle();
});

Deno.test("Daemon fails one task for a spent quota, keeps the rest, and goes on when the quota is there again", async () => {
  const state = keeping();
  await using w = await DaemonWorld.started({ slots: 1, daemon: state.options });
  const first = await w.submit();
  const second = await w.submit();
  (await w.agent()).end({ ...QUOTA, retryAt: w.clock.now() + 45 * MINUTE });
  await w.ended(first, "failed");
  await w.idle();
  const pause = paused(w)!;
  assertEquals([pause.kind, pause.until! - w.clock.now(), pause.why], ["quota", 45 * MINUTE, "limit reached"]);
  await w.clock.advance(44 * MINUTE);
  assertEquals([(await w.show(second)).status, Object.keys(state.kept)], ["queued", ["bot"]]);
  await w.clock.advance(MINUTE);
  (await w.agent(1)).end();
  await w.ended(second, "completed");
  await w.idle();
  assertEquals([paused(w), state.kept], [undefined, {}]);
});

Deno.test("Daemon knows after a restart that a quota is spent", async () => {
  const state = keeping();
  await using w = await DaemonWorld.started({ daemon: state.options });
  await w.submit();
  (await w.agent()).end(QUOTA);
  await w.idle();
  w.daemon.stop();
  await w.left();
  w.daemon = w.newDaemon();
  await w.daemon.start();
  assertEquals(paused(w)?.kind, "quota");
});

Deno.test("Daemon fails one task for a login, and gives the rest out when a person says so", async () => {
  await using w = await DaemonWorld.started({ slots: 1, daemon: keeping().options });
  const first = await w.submit();
  const second = await w.submit();
  (await w.agent()).end(AUTH);
  await w.ended(first, "failed");
  await w.idle();
  assertEquals([paused(w)?.kind, paused(w)?.until, paused(w)?.how], ["login", null, "bot login"]);
  await w.clock.advance(20 * MINUTE);
  assertEquals(w.agents.started.length, 1, "time alone does not help");
  assertEquals([w.daemon.pauses.resume("bot"), w.daemon.pauses.resume("bot")], [true, false]);
  (await w.agent(1)).end();
  await w.ended(second, "completed");
  await w.idle();
  // What was said by hand ends with what had begun before, also where the clock of the wall is set back afterwards.
  w.clock.shiftWall(-24 * 60 * MINUTE);
  await w.submit();
  (await w.agent(2)).end(AUTH);
  await w.idle();
  assertEquals(paused(w)?.kind, "login");
});

Deno.test("Daemon offers no agent for claims while nobody is logged in, and looks again every minute", async () => {
  let sight: LoginSight = { verdict: "out", signs: "a" };
  let looks = 0;
  const look = () => Promise.resolve((looks++, sight));
  await using w = await DaemonWorld.started({
    daemon: { pauses: { look, eager: true, howToLogIn: () => "bot login" } },
  });
  const id = await w.submit();
  await w.until("the login was looked at", () => paused(w) !== undefined);
  await w.clock.advance(3 * MINUTE);
  assertEquals([looks, (await w.show(id)).status, paused(w)?.how], [4, "queued", "bot login"]);
  sight = { verdict: "in", signs: "b" };
  await w.clock.advance(MINUTE);
  (await w.agent()).end();
  await w.ended(id, "completed");
  await w.idle();
  await w.clock.advance(10 * MINUTE);
  assertEquals(looks, 5, "who is logged in is not asked again");
});

Deno.test("Daemon claims for an agent as usual where the look at its login fails", async () => {
  const look = () => Promise.reject(new Error("no such command"));
  await using w = await DaemonWorld.started({ daemon: { pauses: { look, eager: true } } });
  const id = await w.submit();
  (await w.agent()).end();
  await w.ended(id, "completed");
  await w.idle();
});

Deno.test("Daemon gives an agent with a bad key tasks again as soon as another key is there", async () => {
  let signs = "bad";
  const look = () => Promise.resolve<LoginSight>({ verdict: "in", signs });
  await using w = await DaemonWorld.started({ slots: 1, daemon: { pauses: { look, eager: true } } });
  await w.submit();
  const second = await w.submit();
  (await w.agent()).end(AUTH);
  await w.idle();
  await w.clock.advance(5 * MINUTE);
  assertEquals(w.agents.started.length, 1, "the same key is not tried again");
  signs = "good";
  await w.clock.advance(MINUTE);
  (await w.agent(1)).end();
  await w.ended(second, "completed");
  await w.idle();
});

Deno.test("Daemon runs no more tasks of an agent CLI than its own limit", async () => {
  await using w = await DaemonWorld.started({ slots: 4, daemon: { agentLimits: { bot: 1 } } });
  const ids = [await w.submit(), await w.submit(), await w.submit()];
  for (const [nth] of ids.entries()) {
    const agent = await w.agent(nth);
    await w.clock.advance(MINUTE);
    assertEquals([w.agents.started.length, w.daemon.status().slots.running], [nth + 1, 1]);
    agent.end();
    await w.ended(ids[nth]!, "completed");
  }
  await w.idle();
});

Deno.test("Daemon claims at once for agents it is told of, and looks for itself afterwards", async () => {
  const found = Promise.withResolvers<Awaited<ReturnType<DaemonOptions["discover"]>>>();
  const runtime = {
    provider: "bot",
    family: "plain-text",
    executable: "/bin/bot",
    fixedArgs: [],
    version: "1.2.3",
  } as const;
  let looks = 0;
  await using w = await DaemonWorld.started({
    daemon: { known: [runtime], discover: () => (looks++, found.promise) },
  });
  const id = await w.submit();
  (await w.agent()).end();
  await w.ended(id, "completed");
  await w.idle();
  assertEquals(looks, 1);
  const newer = { ...runtime, version: "2.0.0" };
  found.resolve({ found: [newer, { ...runtime, provider: "other" }], skipped: [] });
  await w.until("the server knows", () => w.daemon.status().connections[0]!.runtimes.length === 2);
  assertEquals(w.daemon.runtimes.map(({ provider, version }) => `${provider} ${version}`), [
    "bot 2.0.0",
    "other 1.2.3",
  ]);
  assert(looks === 1);
});

Deno.test("Daemon pauses no agent CLI for a key or an account that was not its own", async () => {
  await using team = await TeamWorld.started();
  team.server.setProfiles("w1", [
    { id: "p1", display_name: "House", protocol_family: "bot", command_name: "house-bot" },
  ]);
  await team.later("the custom runtime is registered", () => team.ids().length === 2);
  const custom = team.ids().find((id) => id !== team.runtime.id)!;
  const wishes = [
    [custom, {}],
    [team.runtime.id, { agent: { id: AGENT, name: "Bot", custom_env: { BOT_KEY: "bad" } } }],
    [team.runtime.id, { agent: { id: AGENT, name: "Bot", custom_env: { LANG: "C" } } }],
  ] as const;
  const pauses = () => team.daemon.status().connections[0]!.runtimes.map(({ paused }) => paused?.kind);
  for (const [nth, [runtime, more]] of wishes.entries()) {
    const task = team.server.enqueue(runtime, more);
    (await team.agent(nth)).end(nth === 1 ? QUOTA : AUTH);
    await team.is(task, "failed");
    await team.idle();
    const told = nth < 2 ? undefined : "login";
    assertEquals(pauses(), [told, told]);
  }
});

Deno.test("ownAccount() knows a key, an account or a command of somebody's choosing from what is neither", () => {
  const of = (custom_env: Record<string, string>, custom_args: string[] = [], permission = "full") =>
    ownAccount(claimed("t", { permission, agent: { id: AGENT, name: "Bot", custom_env, custom_args } }), [
      "CODEX_*",
      "*",
    ]);
  for (const name of ["LANG", "NODE_OPTIONS", "DEBUG"]) assertEquals(of({ [name]: "x" }), false, name);
  const chosen = [
    "BOT_KEY",
    "CODEX_THING",
    "BOT_BASE_URL",
    "CODEX_HOME",
    "BOT_CONFIG_DIR",
    "AWS_PROFILE",
    "BOT_USE_CLOUD",
  ];
  for (const name of [...chosen, "PATH"]) assertEquals(of({ LANG: "C", [name]: "x" }), true, name);
  assertEquals([of({}, ["-p"]), of({}, ["-p"], "ask"), ownAccount(claimed("t"), [])], [true, false, false]);
});

Deno.test("RuntimePauses sends a task that was claimed before its agent was paused back to the queue", async () => {
  const pauses = new RuntimePauses({ clock: new FakeClock(), log: keptLog(), onClaimable: () => {} });
  const binaries = { launchable: () => Promise.resolve({ kind: "go" } as const) };
  const limits = { limitMs: 1, signal: new AbortController().signal };
  assertEquals(await pauses.launchable("bot", limits, binaries), { kind: "go" });
  pauses.ended({ provider: "bot", outcome: AUTH, began: 1 });
  assertEquals(await pauses.launchable("bot", limits, binaries), { kind: "no", why: "bot needs login" });
  assertEquals((await pauses.launchable("other", limits, binaries)).kind, "go");
  assertEquals([pauses.resume("bot"), (await pauses.launchable("bot", limits, binaries)).kind], [true, "go"]);
});

Deno.test("RuntimePauses ignores the failure of a run that began before the pause was taken back", () => {
  const clock = new FakeClock();
  const pauses = new RuntimePauses({ clock, log: keptLog(), onClaimable: () => {} });
  pauses.ended({ provider: "bot", outcome: AUTH, began: clock.monotonic() });
  pauses.resume("bot");
  pauses.ended({ provider: "bot", outcome: AUTH, began: clock.monotonic() - 1 });
  assertEquals(pauses.mayClaim("bot"), true);
  pauses.ended({ provider: "bot", outcome: AUTH, began: clock.monotonic() });
  assertEquals(pauses.mayClaim("bot"), false);
});
