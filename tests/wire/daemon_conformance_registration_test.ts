/** The daemon's conformance checklist: what it is registered with, what of it is taken back, and what a crash leaves behind. */
import { assert, assertEquals } from "@std/assert";
import { TeamWorld } from "../daemon/team_world.ts";
import { conform, PROVIDER } from "./conformance_world.ts";
import { NotOffered } from "./server_side.ts";

/** Time passes while nothing is said: no reason to stop anybody. */
const PATIENT = { timeLimitMs: 10 * 3_600_000, silenceLimitMs: 10 * 3_600_000 };

conform("Daemon that was killed recovers what it left in flight, once for each runtime", async (w) => {
  const task = await w.enqueue();
  await w.agent();
  await w.is(task, "running");
  await w.killedAndRestarted();
  const two = await w.agent(1);
  assertEquals((await w.is(task, "failed")).failureReason, "runtime_recovery");
  assertEquals(two.task!.id, await w.side.repeated(task));
  two.end();
  assertEquals((await w.is(two.task!.id, "completed")).attempt, 2);
  assertEquals(w.line.count("/recover-orphans"), 2);
}, { found: [PROVIDER, "codex"] });

conform(
  "Daemon whose runtime was deleted registers anew, and recovers the orphans of every id of the answer",
  async (w) => {
    for (const socket of [true, false]) {
      if (socket && !w.side.endpoint.dial) continue;
      if (!socket) w.line.lose("sockets");
      const old = (await w.runtime()).id;
      const before = w.line.count("/recover-orphans");
      await w.side.deleteRuntime(old);
      await w.later("there is another one", () => w.ids().length === 2 && !w.ids().includes(old));
      assertEquals(w.line.count("/recover-orphans") - before, 2);
      const task = await w.enqueue();
      (await w.agent(w.agents.started.length)).end();
      await w.is(task, "completed");
    }
  },
  { found: [PROVIDER, "codex"] },
);

conform(
  "Daemon follows its runtime profiles without recovering orphans or stopping a task, down to none",
  async (w) => {
    const [recovered, runtime] = [w.line.count("/recover-orphans"), (await w.runtime()).id];
    const task = await w.side.enqueue(runtime);
    const agent = await w.agent();
    const profile = await w.side.addProfile("In-house", PROVIDER);
    await w.noticed("it is registered", () => w.ids().length === 2);
    const [custom] = w.ids().filter((id) => id !== runtime);
    const registers = w.line.count("/register");
    await w.pass(5_000);
    assertEquals(w.line.count("/register"), registers, "the same profiles are no change");
    await w.side.enableProfile(profile, false);
    await w.noticed("it is taken back", () => w.ids().length === 1);
    assertEquals(w.ids(), [runtime]);
    const gone = (await w.side.runtimes()).find(({ id }) => id === custom);
    assert(!gone?.online);
    await w.side.enableProfile(profile, true);
    await w.noticed("it is back", () => w.ids().length === 2);
    await w.side.deleteProfile(profile);
    await w.noticed("it is gone", () => w.ids().length === 1);
    assertEquals([w.line.count("/recover-orphans") - recovered, agent.stops], [0, 0]);
    agent.end();
    await w.is(task, "completed");
  },
  { daemon: PATIENT },
);

conform("Daemon without agents of its own serves a profile, and registers nothing when that is gone", async (w) => {
  const profile = await w.side.addProfile("In-house", PROVIDER);
  await w.noticed("it is registered", () => w.ids().length === 1);
  const task = await w.enqueue();
  (await w.agent()).end();
  await w.is(task, "completed");
  const { id } = await w.runtime();
  await w.side.enableProfile(profile, false);
  await w.noticed("it is taken back", () => w.ids().length === 0);
  const calls = w.line.count("/register");
  assert(!(await w.side.runtimes()).some((one) => one.id === id && one.online));
  await w.pass(60_000);
  assertEquals(w.line.count("/register"), calls);
}, { found: [] });

Deno.test("Daemon keeps the profiles it had when they cannot be fetched", async () => {
  await using w = await TeamWorld.started();
  const profile = { id: "p1", display_name: "In-house", protocol_family: "bot", command_name: "acme-bot" };
  w.server.setProfiles("w1", [profile]);
  await w.later("it is registered", () => w.ids().length === 2);
  w.server.fault = ({ route }) =>
    route.endsWith("/runtime-profiles") ? Response.json({ error: "database" }, { status: 500 }) : undefined;
  w.server.setProfiles("w1", []);
  await w.clock.advance(10_000);
  assertEquals(w.ids().length, 2);
});

conform("Daemon takes its runtimes off the server when it ends", async (w) => {
  const mine = w.ids();
  if (w.slow && (await w.side.runtimes()).length === 0) throw new NotOffered("it shows no runtimes");
  await w.closed();
  assertEquals((await w.side.runtimes()).filter(({ id, online }) => mine.includes(id) && online), []);
});
