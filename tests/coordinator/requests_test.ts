/** Requests to daemons: handed out once, answered or timed out, seen by who asked, and gone in the end. */
import { assertEquals, assertMatch } from "@std/assert";
import { beatAnswer } from "../../lib/coordinator/requests.ts";
import { createRandom } from "../../lib/host/random.ts";
import { newPlace } from "./stores.ts";
import { type Machine, Team } from "./team.ts";

const UNKNOWN = "0".repeat(32);

async function setUp(): Promise<{ team: Team; ada: string; machine: Machine; runtime: string }> {
  const team = await Team.create();
  const ada = await team.person("Ada");
  const machine = await team.machine(ada);
  return { team, ada, machine, runtime: machine.runtimes[0]! };
}

// deno-lint-ignore no-explicit-any
function beat(team: Team, { token, runtimes }: Machine, batch = true): Promise<any> {
  const body = { runtime_id: runtimes[0], supports_batch_import: batch };
  return team.ok("POST /api/daemon/heartbeat", token, body);
}

/** What each kind is asked with, comes as in a heartbeat, is answered with, and is called when there is none. */
const KINDS = {
  update: {
    wish: { target_version: "v2.0.0" },
    comes: (id: string) => ({ pending_update: { id, target_version: "v2.0.0" } }),
    result: { output: "updated", error: "" },
    unknown: "update not found",
    pendingS: 120,
    runningS: 150,
    keptS: 300,
  },
  models: {
    wish: {},
    comes: (id: string) => ({ pending_model_list: { id } }),
    result: { models: [{ id: "m1", label: "M1" }], supported: true, fallback: false, error: "" },
    unknown: "request not found",
    pendingS: 30,
    runningS: 60,
    keptS: 120,
  },
  "local-skills": {
    wish: {},
    comes: (id: string) => ({ pending_local_skills: { id } }),
    result: { skills: [{ key: "pdf" }], supported: true, mcp_servers: [], mcp_supported: false, error: "" },
    unknown: "request not found",
    pendingS: 180,
    runningS: 60,
    keptS: 300,
  },
  "local-skills/import": {
    wish: { skill_key: "pdf" },
    comes: (id: string) => ({
      pending_local_skill_import: { id, skill_key: "pdf" },
      pending_local_skill_imports: [{ id, skill_key: "pdf" }],
    }),
    result: { skill: { name: "pdf", content: "read" }, error: "" },
    unknown: "request not found",
    pendingS: 180,
    runningS: 60,
    keptS: 300,
  },
};

for (const [path, { wish, comes, result, unknown, pendingS, runningS, keptS }] of Object.entries(KINDS)) {
  Deno.test(`${path}: asked, handed out once, answered once`, async () => {
    const { team, ada, machine, runtime } = await setUp();
    await using _team = team;
    const asked = await team.ok(`POST /api/runtimes/${runtime}/${path}`, ada, wish);
    assertMatch(asked.id, /^[0-9a-f]{32}$/);
    assertEquals([asked.status, asked.runtime_id], ["pending", runtime]);
    assertEquals(await beat(team, machine), { status: "ok", ...comes(asked.id) });
    assertEquals(await beat(team, machine), { status: "ok" });
    const view = () => team.ok(`GET /api/runtimes/${runtime}/${path}/${asked.id}`, ada);
    assertEquals((await view()).status, "running");
    const report = (body: unknown) =>
      team.ok(`POST /api/daemon/runtimes/${runtime}/${path}/${asked.id}/result`, ada, body);
    assertEquals(await report({ status: "running" }), { status: "ok" });
    assertEquals((await view()).status, "running");
    await report({ status: "completed", ...result });
    await report({ status: "failed", error: "too late" });
    const { created_at: _created, updated_at: _updated, ...seen } = await view();
    assertEquals(seen, { ...wish, ...result, id: asked.id, runtime_id: runtime, status: "completed" });
  });

  Deno.test(`${path}: times out while it waits and while it is worked on, and is forgotten`, async () => {
    const { team, ada, machine, runtime } = await setUp();
    await using _team = team;
    const ask = async () => (await team.ok(`POST /api/runtimes/${runtime}/${path}`, ada, wish)).id;
    const status = async (id: string) => (await team.ok(`GET /api/runtimes/${runtime}/${path}/${id}`, ada)).status;
    const waiting = await ask();
    await team.clock.advance(pendingS * 1_000 - 1);
    assertEquals(await status(waiting), "pending");
    await team.clock.advance(1);
    assertEquals(await beat(team, machine), { status: "ok" }, "too late to begin with it");
    assertEquals(await status(waiting), "timeout");
    const worked = await ask();
    await beat(team, machine);
    await team.clock.advance(runningS * 1_000);
    await team.ok(`POST /api/daemon/runtimes/${runtime}/${path}/${worked}/result`, ada, { status: "completed" });
    assertEquals(await status(worked), "timeout", "a late answer changes nothing");
    await team.clock.advance(keptS * 1_000);
    await team.sweep();
    const gone = await team.call(`GET /api/runtimes/${runtime}/${path}/${worked}`, ada);
    assertEquals([gone.status, gone.body], [404, { error: unknown }]);
  });

  Deno.test(`${path}: an unknown one, one of another runtime and one of another kind are not found`, async () => {
    const { team, ada, runtime } = await setUp();
    await using _team = team;
    const other = await team.machine(ada, { daemon: "d2" });
    const { id } = await team.ok(`POST /api/runtimes/${other.runtimes[0]}/${path}`, ada, wish);
    const [another] = Object.keys(KINDS).filter((one) => one !== path);
    for (const [of, kind, which] of [[runtime, path, UNKNOWN], [runtime, path, id], [other.runtimes[0], another, id]]) {
      for (
        const [call, body] of [
          [`GET /api/runtimes/${of}/${kind}/${which}`, undefined],
          [`POST /api/daemon/runtimes/${of}/${kind}/${which}/result`, { status: "completed" }],
        ] as const
      ) {
        const answer = await team.call(call, ada, body);
        assertEquals([answer.status, answer.body], [404, { error: KINDS[kind as keyof typeof KINDS].unknown }], call);
      }
    }
  });
}

Deno.test("one update of a runtime at a time, until it is over or has timed out", async () => {
  const { team, ada, machine, runtime } = await setUp();
  await using _team = team;
  const ask = () => team.call(`POST /api/runtimes/${runtime}/update`, ada, { target_version: "v2" });
  const both = await Promise.all([ask(), ask()]);
  assertEquals(both.map(({ status }) => status).sort(), [201, 409]);
  const { pending_update: { id } } = await beat(team, machine);
  assertEquals((await ask()).status, 409);
  const result = `POST /api/daemon/runtimes/${runtime}/update/${id}/result`;
  assertEquals((await team.call(result, ada, { status: "begun" })).status, 400);
  await team.ok(result, ada, { status: "failed", error: "no" });
  assertEquals((await ask()).status, 201);
  await team.clock.advance(120_000);
  assertEquals((await ask()).status, 201);
  assertEquals((await team.call(`POST /api/runtimes/${runtime}/update`, ada, { target_version: "" })).status, 400);
});

Deno.test("imports come ten at a time, the oldest first, and one at a time to who knows no lists", async () => {
  const { team, ada, machine, runtime } = await setUp();
  await using _team = team;
  for (let n = 1; n <= 13; n++) {
    await team.ok(`POST /api/runtimes/${runtime}/local-skills/import`, ada, { skill_key: `s${n}` });
  }
  const keys = (list: { skill_key: string }[]) => list.map(({ skill_key }) => skill_key).join(" ");
  const first = await beat(team, machine, false);
  assertEquals([first.pending_local_skill_import.skill_key, first.pending_local_skill_imports], ["s1", undefined]);
  assertEquals(keys((await beat(team, machine)).pending_local_skill_imports), "s2 s3 s4 s5 s6 s7 s8 s9 s10 s11");
  const last = await beat(team, machine);
  assertEquals([last.pending_local_skill_import.skill_key, keys(last.pending_local_skill_imports)], ["s12", "s12 s13"]);
  assertEquals(await beat(team, machine), { status: "ok" });
});

Deno.test("who does not own a runtime imports nothing from it; models are not asked of one that is offline", async () => {
  const { team, ada, runtime } = await setUp();
  await using _team = team;
  const eve = await team.person("Eve");
  const imported = await team.call(`POST /api/runtimes/${runtime}/local-skills/import`, eve, { skill_key: "pdf" });
  assertEquals(imported.status, 403);
  assertEquals((await team.call(`POST /api/runtimes/${runtime}/local-skills`, eve)).status, 201);
  await team.clock.advance(151_000);
  const models = await team.call(`POST /api/runtimes/${runtime}/models`, ada);
  assertEquals([models.status, models.body], [503, { error: "runtime is offline" }]);
});

Deno.test("of beats that come at the same moment one takes the request", async () => {
  const { team, ada, runtime } = await setUp();
  await using _team = team;
  for (let round = 0; round < 3; round++) {
    await team.ok(`POST /api/runtimes/${runtime}/models`, ada);
    const beats = Array.from({ length: 4 }, () => beatAnswer(team.shared, runtime, { batchImport: true }));
    const answers = await Promise.all(beats);
    assertEquals(answers.filter((answer) => answer?.pending_model_list).length, 1, JSON.stringify(answers));
  }
});

Deno.test("of beats over both ways and several processes, one takes the request", async () => {
  await using place = await newPlace();
  await using here = await Team.create({ database: place.database, random: createRandom() });
  const options = { database: place.database, random: createRandom(), clock: here.clock };
  await using there = await Team.create(options);
  const ada = await here.person("Ada");
  const machine = await here.machine(ada);
  const [runtime] = machine.runtimes as [string];
  const line = await here.connect(machine);
  for (let round = 0; round < 5; round++) {
    await here.ok(`POST /api/runtimes/${runtime}/models`, ada);
    assertEquals(await line.next("pending_work"), { runtime_id: runtime });
    line.beat(runtime);
    const answers = await Promise.all([beat(here, machine), beat(there, machine), line.next("heartbeat_ack")]);
    assertEquals(answers.filter((answer) => answer.pending_model_list).length, 1, JSON.stringify(answers));
  }
});
