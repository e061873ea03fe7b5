/** Registration: the server's answer replaces what was known, and what it forgot is told once more. */
import { assertEquals, assertRejects } from "@std/assert";
import type { Runtime } from "../../lib/core/model.ts";
import type { Random } from "../../lib/core/ports.ts";
import type { Connection } from "../../lib/daemon/connection.ts";
import { createRegistration, type Registration } from "../../lib/daemon/registration.ts";
import type { WireClient } from "../../lib/wire/client.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { fakeClient, fakeConnection, LOST, ok, refused, registered } from "./fake_connection.ts";
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
}

function world(client: Partial<WireClient>, { known = [] as string[], found = ["claude"] } = {}): World {
  const clock = new FakeClock();
  const log = keptLog();
  const connection = fakeConnection({ client, runtimes: known });
  const registration = createRegistration({
    connection,
    daemonId: "d",
    deviceName: "box",
    version: "9.9.9",
    runtimes: found.map(runtime),
    clock,
    random: RANDOM,
    log,
  });
  return { clock, log, connection, registration };
}

const ids = (connection: Connection) => [...connection.runtimes.keys()];

Deno.test("Registration.register() tells every workspace which runtimes there are, and keeps the ids", async () => {
  const bodies: unknown[] = [];
  const { register } = fakeClient();
  const w = world({
    workspaces: () => Promise.resolve(ok([{ id: "w1", name: "" }, { id: "w2", name: "" }])),
    register: (body) => {
      bodies.push(body);
      return register(body);
    },
  }, { found: ["claude", "codex"] });
  await w.registration.register({ signal });
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

Deno.test("Registration.register() replaces what was known by what the server answers", async () => {
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
  await w.registration.register({ signal });
  assertEquals([ids(w.connection), w.connection.serverCapabilities], [["new"], ["message-dedup-v1"]]);
});

Deno.test("Registration.register() registers nothing when nothing was found, and is connected all the same", async () => {
  let calls = 0;
  const w = world({
    register: (body) => {
      calls++;
      return fakeClient().register(body);
    },
  }, { found: [] });
  await w.registration.register({ signal });
  assertEquals([calls, w.connection.state, ids(w.connection)], [0, "connected", []]);
});

Deno.test("Registration.register() tries again with growing waits, and keeps what it knew meanwhile", async () => {
  let tries = 0;
  const w = world({ workspaces: () => Promise.resolve(++tries <= 3 ? LOST : ok([{ id: "w", name: "" }])) }, {
    known: ["old"],
  });
  const done = w.registration.register({ signal });
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

Deno.test("Registration.register() calls a definite no a refusal and a server in trouble none", async () => {
  for (
    const [failure, state] of [[refused(401), "refused"], [refused(404), "refused"], [
      refused(500),
      "connecting",
    ]] as const
  ) {
    const w = world({ register: () => Promise.resolve(failure) });
    const abort = new AbortController();
    const rejected = assertRejects(() => w.registration.register({ signal: abort.signal }), Error, "enough");
    await w.clock.settle();
    assertEquals([w.connection.state, w.connection.why], [state, failure.detail]);
    abort.abort(new Error("enough"));
    await rejected;
    assertEquals(w.clock.waiting, 0);
  }
});

Deno.test("Registration.register() keeps no half of a registration that failed in its second workspace", async () => {
  const { register } = fakeClient();
  const w = world({
    workspaces: () => Promise.resolve(ok([{ id: "w1", name: "" }, { id: "w2", name: "" }])),
    register: (body) => body.workspace_id === "w2" ? Promise.resolve(refused(500)) : register(body),
  }, { known: ["old"] });
  const abort = new AbortController();
  const rejected = assertRejects(() => w.registration.register({ signal: abort.signal }));
  await w.clock.settle();
  assertEquals(ids(w.connection), ["old"]);
  abort.abort();
  await rejected;
});

Deno.test("Registration.recoverOrphans() asks for every runtime and minds no refusal", async () => {
  const asked: string[] = [];
  const w = world({
    recoverOrphans: (id) => {
      asked.push(id);
      return Promise.resolve(id === "b" ? refused(404, "runtime") : ok({ orphaned: 2, retried: 1 }));
    },
  }, { known: ["a", "b", "c"] });
  assertEquals([await w.registration.recoverOrphans({ signal }), asked], [4, ["a", "b", "c"]]);
  assertEquals(w.log.said("warn"), ["recovering orphans failed", "tasks of an earlier process were recovered"]);
});

Deno.test("Registration.recoverOrphans() asks again while the server is in trouble, before anything is claimed", async () => {
  const answers = [refused(500), LOST, ok({ orphaned: 1, retried: 1 })];
  const w = world({ recoverOrphans: () => Promise.resolve(answers.shift()!) }, { known: ["a"] });
  const recovered = w.registration.recoverOrphans({ signal });
  await w.clock.advance(5_000);
  assertEquals([await recovered, answers.length, w.clock.waiting], [1, 0, 0]);
});

Deno.test("Registration.heal() registers once for many calls, and recovers the orphans of ids that are new only", async () => {
  let registrations = 0;
  const recovered: string[] = [];
  const w = world({
    register: async () => {
      registrations++;
      await w.clock.sleep(100);
      return ok({
        runtimes: ["same", "new"].map((id) => ({ id, name: id, provider: "claude", status: "online" })),
        server_capabilities: [],
      });
    },
    recoverOrphans: (id) => {
      recovered.push(id);
      return Promise.resolve(ok({ orphaned: 0, retried: 0 }));
    },
  }, { known: ["same", "gone"] });
  const heals = [w.registration.heal({ signal }), w.registration.heal({ signal })];
  await w.clock.advance(50);
  heals.push(w.registration.heal({ signal }));
  await w.clock.advance(50);
  await Promise.all(heals);
  // A task runs on "same": recovering its orphans would fail it.
  assertEquals([registrations, recovered, ids(w.connection)], [1, ["new"], ["same", "new"]]);
  const later = w.registration.heal({ signal });
  await w.clock.advance(100);
  await later;
  assertEquals(registrations, 2);
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
