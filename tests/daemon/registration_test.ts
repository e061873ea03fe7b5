/** Registration: the server's answer replaces what was known, and what it forgot is told once more. */
import { assertEquals, assertRejects } from "@std/assert";
import type { Runtime } from "../../lib/core/model.ts";
import type { Random } from "../../lib/core/ports.ts";
import type { Connection } from "../../lib/daemon/connection.ts";
import type { Consent } from "../../lib/daemon/daemon_contract.ts";
import { createProfileRuntimes } from "../../lib/daemon/profile_runtimes.ts";
import { createRegistration, type Registration } from "../../lib/daemon/registration.ts";
import type { WireClient } from "../../lib/wire/client.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { fakeClient, fakeConnection, LOST, NO_DELIVERY, ok, refused, registered } from "./fake_connection.ts";
import { type KeptLog, keptLog } from "./kept_log.ts";

const RANDOM: Random = { uuid: () => "u", hex: () => "h", fraction: () => 0.5 };
const { signal } = new AbortController();

function runtime(provider: string): Runtime {
  return { provider, family: "plain-text", executable: `/bin/${provider}`, fixedArgs: [], version: "1.2.3" };
}

interface World {
  readonly clock: FakeClock;
  readonly log: KeptLog;
  readonly connection: Connection;
  readonly registration: Registration;
  /** The runtimes each time that others were said to be known. */
  readonly told: readonly (readonly string[])[];
  /** What was found, offered. */
  offer(signal: AbortSignal): Promise<void>;
}

function world(
  client: Partial<WireClient>,
  { known = [] as string[], found = ["claude"], busy = [] as string[], consent, delivered = () => {} }: {
    known?: string[];
    found?: string[];
    busy?: string[];
    consent?: Consent;
    delivered?: (workspace: string) => unknown;
  } = {},
): World {
  const clock = new FakeClock();
  const log = keptLog();
  const delivery = {
    ...NO_DELIVERY,
    deliverAll: async ({ workspace }: { workspace: string }) => void await delivered(workspace),
  };
  const connection = fakeConnection({ client, runtimes: known, delivery, ...(consent ? { consent } : {}) });
  const told: string[][] = [];
  const registration = createRegistration({
    connection,
    daemonId: "d",
    deviceName: "box",
    version: "9.9.9",
    busy: (id) => busy.includes(id),
    onRegistered: () => told.push([...connection.runtimes.keys()]),
    clock,
    random: RANDOM,
    log,
  });
  return {
    told,
    clock,
    log,
    connection,
    registration,
    offer: (signal) => registration.offer(found.map(runtime), { signal }),
  };
}

const ids = (connection: Connection) => [...connection.runtimes.keys()];

Deno.test("Registration.offer() tells every workspace which runtimes there are, and keeps the ids", async () => {
  const bodies: unknown[] = [];
  const { register } = fakeClient();
  const w = world({
    workspaces: () => Promise.resolve(ok([{ id: "w1", name: "" }, { id: "w2", name: "" }])),
    register: (body) => {
      bodies.push(body);
      return register(body);
    },
  }, { found: ["claude", "codex"] });
  await w.offer(signal);
  assertEquals(ids(w.connection), ["w1-claude", "w1-codex", "w2-claude", "w2-codex"]);
  assertEquals(w.connection.runtimes.get("w2-codex"), {
    id: "w2-codex",
    workspace: "w2",
    name: "codex (box)",
    runtime: runtime("codex"),
  });
  assertEquals(bodies[0], {
    workspace_id: "w1",
    daemon_id: "d",
    device_name: "box",
    cli_version: "9.9.9",
    launched_by: "",
    legacy_daemon_ids: [],
    runtimes: ["claude", "codex"].map((type) => ({ type, name: `${type} (box)`, version: "1.2.3", status: "online" })),
    failed_profiles: [],
  });
  assertEquals(w.connection.state, "connected");
});

Deno.test("Registration.offer() replaces what was known by what the server answers", async () => {
  const w = world({
    register: () =>
      Promise.resolve(ok({
        runtimes: [
          { id: "new", name: "n", provider: "claude", status: "online" },
          { id: "foreign", name: "n", provider: "unheard-of", status: "online" },
        ],
        server_capabilities: ["message-dedup-v1"],
      })),
  }, { known: ["old"] });
  await w.offer(signal);
  assertEquals([ids(w.connection), w.connection.serverCapabilities], [["new"], ["message-dedup-v1"]]);
});

Deno.test("Registration.offer() registers nothing when nothing was found, and is connected all the same", async () => {
  let calls = 0;
  const w = world({
    register: (body) => {
      calls++;
      return fakeClient().register(body);
    },
  }, { found: [] });
  await w.offer(signal);
  assertEquals([calls, w.connection.state, ids(w.connection)], [0, "connected", []]);
});

Deno.test("Registration.offer() tries again with growing waits, and keeps what it knew meanwhile", async () => {
  let tries = 0;
  const w = world({ workspaces: () => Promise.resolve(++tries <= 3 ? LOST : ok([{ id: "w", name: "" }])) }, {
    known: ["old"],
  });
  const done = w.offer(signal);
  await w.clock.settle();
  assertEquals([tries, w.connection.state, w.connection.why, ids(w.connection)], [1, "connecting", "connection reset", [
    "old",
  ]]);
  for (const [ms, expected] of [[999, 1], [1, 2], [1_999, 2], [1, 3], [4_000, 4]] as const) {
    await w.clock.advance(ms);
    assertEquals(tries, expected);
  }
  await done;
  assertEquals([w.connection.state, w.connection.why, ids(w.connection)], ["connected", "", ["w-claude"]]);
});

Deno.test("Registration.offer() calls a definite no a refusal and a server in trouble none", async () => {
  for (
    const [failure, state] of [[refused(401), "refused"], [refused(404), "refused"], [
      refused(500),
      "connecting",
    ]] as const
  ) {
    const w = world({ register: () => Promise.resolve(failure) });
    const abort = new AbortController();
    const rejected = assertRejects(() => w.offer(abort.signal), Error, "enough");
    await w.clock.settle();
    assertEquals([w.connection.state, w.connection.why], [state, failure.detail]);
    abort.abort(new Error("enough"));
    await rejected;
    assertEquals(w.clock.waiting, 0);
  }
});

Deno.test("Registration.offer() serves a workspace although another one refuses, and is not connected for that", async () => {
  const { register } = fakeClient();
  const w = world({
    workspaces: () => Promise.resolve(ok([{ id: "w1", name: "" }, { id: "w2", name: "" }])),
    register: (body) => body.workspace_id === "w2" ? Promise.resolve(refused(500)) : register(body),
  }, { known: ["old"] });
  const abort = new AbortController();
  const rejected = assertRejects(() => w.offer(abort.signal));
  await w.clock.settle();
  assertEquals([ids(w.connection), w.connection.state], [["old", "w1-claude"], "connecting"]);
  abort.abort();
  await rejected;
});

Deno.test("Registration.offer() recovers the orphans of every new id before the id can be claimed for", async () => {
  const asked: [string, string[]][] = [];
  const w = world({
    recoverOrphans: (id) => {
      asked.push([id, ids(w.connection)]);
      return Promise.resolve(id === "w-b" ? refused(404, "runtime") : ok({ orphaned: 2, retried: 1 }));
    },
  }, { found: ["a", "b", "c"] });
  await w.offer(signal);
  assertEquals(asked, [["w-a", []], ["w-b", []], ["w-c", []]]);
  assertEquals(ids(w.connection), ["w-a", "w-b", "w-c"]);
  assertEquals(w.log.said("warn"), ["recovering orphans failed", "tasks of an earlier process were recovered"]);
});

Deno.test("Registration.offer() delivers what the last process left before it recovers anything, and only once", async () => {
  const steps: string[] = [];
  const w = world({
    recoverOrphans: (id) => {
      steps.push(id);
      return Promise.resolve(ok({ orphaned: 0, retried: 0 }));
    },
  }, { delivered: () => steps.push("delivered") });
  await w.offer(signal);
  await w.registration.offer(["claude", "llm"].map(runtime), { signal });
  assertEquals(steps, ["delivered", "w-claude", "w-llm"]);
});

Deno.test("Registration.offer() serves a workspace although what another one left cannot be delivered", async () => {
  const w = world({
    workspaces: () => Promise.resolve(ok([{ id: "stuck", name: "" }, { id: "fine", name: "" }])),
  }, { delivered: (workspace) => workspace === "stuck" ? new Promise(() => {}) : undefined });
  void w.offer(signal);
  await w.clock.settle();
  assertEquals(ids(w.connection), ["fine-claude"]);
  // Neither does it learn later of what was installed since.
  void w.registration.offer(["claude", "llm"].map(runtime), { signal });
  await w.clock.settle();
  assertEquals(ids(w.connection), ["fine-claude", "fine-llm"]);
});

Deno.test("Registration.offer() recovers again while the server is in trouble, and says so once", async () => {
  const answers = [refused(500), refused(500), ok({ orphaned: 1, retried: 1 })];
  const w = world({ recoverOrphans: () => Promise.resolve(answers.shift()!) });
  const offered = w.offer(signal);
  await w.clock.advance(500);
  assertEquals(ids(w.connection), []);
  await w.clock.advance(5_000);
  await offered;
  assertEquals([ids(w.connection), answers.length, w.clock.waiting], [["w-claude"], 0, 0]);
  assertEquals(w.log.said("warn"), ["recovering orphans failed", "tasks of an earlier process were recovered"]);
});

Deno.test("Registration.offer() while one is under way is part of it, whatever is offered then", async () => {
  const bodies: string[][] = [];
  const { register } = fakeClient();
  const w = world({
    register: async (body) => {
      bodies.push(body.runtimes.map(({ type }) => type));
      await w.clock.sleep(100);
      return await register(body);
    },
  });
  const offers = [w.offer(signal)];
  await w.clock.advance(50);
  offers.push(w.registration.offer(["claude", "llm"].map(runtime), { signal }));
  await w.clock.advance(150);
  await Promise.all(offers);
  assertEquals([bodies, ids(w.connection)], [[["claude"], ["claude", "llm"]], ["w-claude", "w-llm"]]);
});

Deno.test("Registration.offer() says that a server is away when it begins and when it is over, not with each try", async () => {
  let up = false;
  const w = world({ workspaces: () => Promise.resolve(up ? ok([{ id: "w", name: "" }]) : LOST) });
  const offered = w.offer(signal);
  await w.clock.advance(200_000);
  up = true;
  await w.clock.advance(60_000);
  await offered;
  assertEquals(w.log.said("warn"), ["registration failed, trying again"]);
  assertEquals(w.log.said("info"), ["registration works again", "registered"]);
});

Deno.test("Registration.offer() takes back what is not offered any more, and recovers no orphans when it returns", async () => {
  const taken: (readonly string[])[] = [];
  const recovered: string[] = [];
  const answers = [LOST, ok(undefined), refused(404)];
  const w = world({
    deregister: (list) => {
      taken.push(list);
      return Promise.resolve(answers.shift()!);
    },
    recoverOrphans: (id) => {
      recovered.push(id);
      return Promise.resolve(ok({ orphaned: 0, retried: 0 }));
    },
  }, { found: ["claude", "llm"] });
  await w.offer(signal);
  const alone = w.registration.offer([runtime("llm")], { signal });
  await w.clock.settle();
  assertEquals(ids(w.connection), ["w-claude", "w-llm"], "it stays until the server has heard of it");
  await w.clock.advance(2_000);
  await alone;
  assertEquals([taken, ids(w.connection)], [[["w-claude"], ["w-claude"]], ["w-llm"]]);
  await w.offer(signal);
  assertEquals([recovered, ids(w.connection)], [["w-claude", "w-llm"], ["w-claude", "w-llm"]]);
  await w.registration.offer([], { signal });
  assertEquals([taken.at(-1), ids(w.connection)], [["w-claude", "w-llm"], []], "a definite no is not asked again");
});

Deno.test("Registration.heal() registers once for many calls, and recovers the orphans of ids that are new only", async () => {
  let registrations = 0;
  const rows = ["same"];
  const recovered: string[] = [];
  const w = world({
    register: async () => {
      registrations++;
      await w.clock.sleep(100);
      return ok({
        runtimes: rows.map((id) => ({ id, name: id, provider: "claude", status: "online" })),
        server_capabilities: [],
      });
    },
    recoverOrphans: (id) => {
      recovered.push(id);
      return Promise.resolve(ok({ orphaned: 0, retried: 0 }));
    },
  }, { known: ["same", "gone"] });
  const offered = w.offer(signal);
  await w.clock.advance(100);
  await offered;
  registrations = 0;
  rows.push("new");
  const heals = [w.registration.heal({ signal }), w.registration.heal({ signal })];
  await w.clock.advance(50);
  heals.push(w.registration.heal({ signal }));
  await w.clock.advance(50);
  await Promise.all(heals);
  // A task runs on "same": recovering its orphans would fail it.
  assertEquals([registrations, recovered, ids(w.connection)], [1, ["new"], ["same", "new"]]);
  await w.registration.heal({ signal });
  assertEquals(registrations, 1, "each beat of each runtime says so");
  await w.clock.advance(30_000);
  const later = w.registration.heal({ signal });
  await w.clock.advance(100);
  await later;
  assertEquals(registrations, 2);
});

Deno.test("Registration.heal() recovers the orphans of every id of the answer when one is truly gone, but not under a task of ours", async () => {
  const rows = ["w-a", "w-b", "w-c"];
  const recovered: string[] = [];
  const clock = new FakeClock();
  const connection = fakeConnection({
    client: {
      register: () =>
        Promise.resolve(ok({
          runtimes: rows.map((id) => ({ id, name: id, provider: id.slice(2, 3), status: "online" })),
          server_capabilities: [],
        })),
      recoverOrphans: (id) => {
        recovered.push(id);
        return Promise.resolve(ok({ orphaned: 0, retried: 0 }));
      },
      deregister: () => Promise.reject(new Error("a row that is gone is taken back by nobody")),
    },
  });
  const registration = createRegistration({
    connection,
    daemonId: "d",
    deviceName: "box",
    version: "9.9.9",
    busy: (id) => id === "w-b",
    clock,
    random: RANDOM,
    log: keptLog(),
  });
  await registration.offer(["a", "b", "c"].map(runtime), { signal });
  recovered.length = 0;
  await registration.heal({ signal, ids: ["w-a"] });
  assertEquals(recovered, [], "the id came back, so it was never gone");
  rows[0] = "w-a2";
  await clock.advance(30_000);
  await registration.heal({ signal, ids: ["w-a"] });
  assertEquals([recovered, ids(connection)], [["w-a2", "w-c"], ["w-a2", "w-b", "w-c"]]);
});

Deno.test("Registration.sync() costs one look and one profile fetch while nothing changes", async () => {
  const w = profileWorld(["p1"]);
  await w.registration.offer([runtime("codex")], { signal });
  w.calls.length = 0;
  assertEquals(await w.registration.sync({ signal }), true);
  assertEquals(w.calls, []);
});

Deno.test("Registration.sync() ends although a workspace that is in trouble has other profiles", async () => {
  const w = profileWorld(["p1"]);
  await w.registration.offer([runtime("codex")], { signal });
  w.refuse = true;
  const abort = new AbortController();
  const heal = w.registration.heal({ signal: abort.signal });
  w.profiles.ids = ["p1", "p2"];
  let over = false;
  const sync = w.registration.sync({ signal: abort.signal }).finally(() => over = true);
  await w.clock.settle();
  assertEquals(over, true);
  abort.abort(new Error("enough"));
  await Promise.allSettled([heal, sync]);
});

Deno.test("Registration.sync() says when a workspace that came or went has changed which runtimes there are", async () => {
  const workspaces = [{ id: "w1", name: "" }];
  const w = world({ workspaces: () => Promise.resolve(ok(workspaces)) });
  await w.offer(signal);
  workspaces.push({ id: "w2", name: "" });
  await w.registration.sync({ signal });
  await w.clock.settle();
  workspaces.shift();
  await w.registration.sync({ signal });
  assertEquals(w.told, [["w1-claude"], ["w1-claude", "w2-claude"], ["w2-claude"]]);
});

Deno.test("Registration.sync() recovers the orphans of a workspace that comes back, but not under a task of ours", async () => {
  const recovered: string[] = [];
  const workspaces = [{ id: "w1", name: "" }];
  const w = world({
    workspaces: () => Promise.resolve(ok([...workspaces])),
    recoverOrphans: (id) => {
      recovered.push(id);
      return Promise.resolve(ok({ orphaned: 0, retried: 0 }));
    },
  }, { found: ["claude", "codex"], busy: ["w1-claude"] });
  await w.offer(signal);
  recovered.length = 0;
  const [one] = workspaces.splice(0);
  await w.registration.sync({ signal });
  workspaces.push(one!);
  await w.registration.sync({ signal });
  await w.clock.settle();
  assertEquals([recovered, ids(w.connection)], [["w1-codex"], ["w1-claude", "w1-codex"]]);
});

Deno.test("Registration.sync() forgets a workspace once although two looks find it gone", async () => {
  const there = [{ id: "w1", name: "" }, { id: "w2", name: "" }];
  let watched = true;
  const w = world({
    workspaces: () => Promise.resolve(ok(there)),
    deregister: () => w.clock.sleep(100).then(() => ok(undefined)),
  }, {
    consent: {
      found() {},
      watched: () => watched ? { policy: "read-only" } : undefined,
      onChange: () => ({ [Symbol.dispose]() {} }),
    },
  });
  await w.offer(signal);
  watched = false;
  const looks = [w.registration.sync({ signal }), w.registration.sync({ signal })];
  await w.clock.advance(200);
  assertEquals([await Promise.all(looks), ids(w.connection)], [[true, true], []]);
});

Deno.test("Registration.checkProfiles() leaves all as it was when the server refuses the new ones, and tries at the next hint", async () => {
  const w = profileWorld(["p1"]);
  await w.registration.offer([runtime("codex")], { signal });
  w.profiles.ids = ["p1", "p2"];
  w.refuse = true;
  await w.registration.checkProfiles({ signal });
  assertEquals([w.connection.runtimes.size, w.connection.state], [2, "connected"]);
  w.refuse = false;
  await w.registration.checkProfiles({ signal });
  assertEquals(w.connection.runtimes.size, 3);
});

Deno.test("Registration.heal() can be asked again after it was aborted", async () => {
  const w = world({ workspaces: () => Promise.resolve(LOST) }, { known: ["a"] });
  for (let n = 0; n < 2; n++) {
    const abort = new AbortController();
    const rejected = assertRejects(() => w.registration.heal({ signal: abort.signal }), Error, "enough");
    await w.clock.settle();
    abort.abort(new Error("enough"));
    await rejected;
  }
});

Deno.test("Registration.deregister() takes the runtimes back, and says nothing when there are none", async () => {
  const asked: (readonly string[])[] = [];
  const w = world({
    deregister: (list) => {
      asked.push(list);
      return Promise.resolve(asked.length === 1 ? LOST : ok(undefined));
    },
  }, { known: ["a", "b"] });
  await w.registration.deregister({ signal });
  await w.registration.deregister({ signal });
  assertEquals([asked, ids(w.connection)], [[["a", "b"]], []]);
  w.connection.runtimes.set("c", registered("c"));
  await w.registration.deregister({ signal });
  assertEquals(asked.length, 2);
});

/** A client with one workspace whose profiles a test changes, and what was called. */
function profileWorld(initial: readonly string[]) {
  const calls: string[] = [];
  const profiles = { ids: initial };
  const { register } = fakeClient();
  const clock = new FakeClock();
  const log = keptLog();
  const client = {
    register: (body, options) => {
      if (world.refuse) return Promise.resolve(refused(409));
      calls.push(`register ${body.runtimes.map(({ type, profile_id }) => profile_id ?? type).join(",")}`);
      return register(body, options);
    },
    profiles: () =>
      Promise.resolve(ok(profiles.ids.map((id) => ({
        id,
        displayName: `name ${id}`,
        provider: "codex",
        command: id,
        fixedArgs: [],
        env: {},
        visibility: "workspace" as const,
        enabled: true,
      })))),
    recoverOrphans: (id) => {
      calls.push(`recover ${id}`);
      return Promise.resolve(ok({ orphaned: 0, retried: 0 }));
    },
    deregister: (ids) => {
      calls.push(`deregister ${ids.join(",")}`);
      return Promise.resolve(ok({}));
    },
  } satisfies Partial<WireClient>;
  const connection = fakeConnection({ client, runtimes: [], delivery: NO_DELIVERY });
  const custom = createProfileRuntimes({
    client: connection.client,
    log,
    find: (profile) => Promise.resolve({ ...runtime("codex"), profile: { id: profile.id, name: profile.displayName } }),
  });
  const registration = createRegistration({
    connection,
    profiles: custom,
    daemonId: "d",
    deviceName: "box",
    version: "9.9.9",
    clock,
    random: RANDOM,
    log,
  });
  const world = { clock, calls, profiles, connection, registration, refuse: false };
  return world;
}

Deno.test("Registration.checkProfiles() registers changed profiles, takes back dropped ones, and recovers no orphans for it", async () => {
  const w = profileWorld(["p1"]);
  await w.registration.offer([runtime("codex")], { signal });
  assertEquals(w.calls.filter((call) => call.startsWith("register")), ["register codex,p1"]);
  const recovered = w.calls.filter((call) => call.startsWith("recover")).length;
  w.profiles.ids = ["p1", "p2"];
  await w.registration.checkProfiles({ signal });
  assertEquals(w.calls.filter((call) => call.startsWith("register")).at(-1), "register codex,p1,p2");
  assertEquals([...w.connection.runtimes.values()].map(({ runtime }) => runtime.profile?.id), [undefined, "p1", "p2"]);
  w.profiles.ids = ["p2"];
  await w.registration.checkProfiles({ signal });
  assertEquals(w.calls.filter((call) => call.startsWith("deregister")).length, 1);
  assertEquals([...w.connection.runtimes.values()].map(({ runtime }) => runtime.profile?.id), [undefined, "p2"]);
  assertEquals(w.calls.filter((call) => call.startsWith("recover")).length, recovered);
});

Deno.test("Registration.checkProfiles() does nothing when the profiles are the same", async () => {
  const w = profileWorld(["p1"]);
  await w.registration.offer([runtime("codex")], { signal });
  const before = w.calls.length;
  await w.registration.checkProfiles({ signal });
  assertEquals(w.calls.length, before);
});

Deno.test("Registration.checkProfiles() takes back the last runtime without registering nothing", async () => {
  const w = profileWorld(["p1"]);
  await w.registration.offer([], { signal });
  w.profiles.ids = [];
  await w.registration.checkProfiles({ signal });
  assertEquals([...w.connection.runtimes.keys()], []);
  assertEquals(w.calls.filter((call) => call.startsWith("register")).length, 1);
  await w.registration.checkProfiles({ signal });
  assertEquals(w.calls.filter((call) => call.startsWith("deregister")).length, 1);
});
