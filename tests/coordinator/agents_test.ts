/** Agents and runtimes as people see and change them: names, caps over all tasks, moves, and a runtime that is taken away. */
import { assertEquals, assertNotEquals } from "@std/assert";
import { type Machine, Team } from "./team.ts";

Deno.test("an agent is made of a runtime, and its tasks carry what was said of it", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const machine = await team.machine(ada);
  const [runtime] = machine.runtimes as [string];
  const made = await team.call("POST /api/agents", ada, {
    name: " Reviewer ",
    runtime_id: runtime.toUpperCase(),
    instructions: "Be kind.",
    model: "m1",
  });
  assertEquals(made.status, 201);
  const { id, workspace_id: _, ...rest } = made.body;
  assertEquals(rest, {
    runtime_id: runtime,
    name: "Reviewer",
    provider: "claude",
    instructions: "Be kind.",
    model: "m1",
    max_concurrent_tasks: 6,
    status: "online",
    own: false,
  });
  const agents = await team.ok("GET /api/agents", ada);
  assertEquals(agents.map(({ name, own }: { name: string; own: boolean }) => [name, own]).sort(), [
    ["Reviewer", false],
    ["claude", true],
  ]);
  await team.ok("POST /api/issues", ada, { title: "Look", agent: "Reviewer" });
  const [task] = await team.claim(machine);
  assertEquals([task.agent_id, task.agent.name, task.agent.instructions, task.agent.model], [
    id,
    "Reviewer",
    "Be kind.",
    "m1",
  ]);
});

Deno.test("POST and PATCH /api/agents refuse what cannot be", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const eve = await team.person("Eve", "elsewhere");
  const { runtimes: [runtime] } = await team.machine(ada);
  const { runtimes: [away] } = await team.machine(eve, { workspace: "elsewhere" });
  const { id } = await team.ok("POST /api/agents", ada, { name: "one", runtime_id: runtime });
  const [own] = (await team.ok("GET /api/agents", ada)).filter((agent: { own: boolean }) => agent.own);
  const create = { name: "two", runtime_id: runtime };
  const refusals: [string, unknown, number][] = [
    ["POST /api/agents", { ...create, name: " " }, 400],
    ["POST /api/agents", { ...create, name: "a\nb" }, 400],
    ["POST /api/agents", { ...create, max_concurrent_tasks: 0 }, 400],
    ["POST /api/agents", { ...create, max_concurrent_tasks: 51 }, 400],
    ["POST /api/agents", { ...create, runtime_id: away }, 404],
    ["POST /api/agents", { ...create, runtime_id: "none" }, 404],
    ["POST /api/agents", { ...create, name: "one" }, 409],
    [`PATCH /api/agents/${id}`, { name: "claude" }, 409],
    [`PATCH /api/agents/${id}`, { runtime_id: away }, 404],
    [`PATCH /api/agents/${own.id}`, { name: "mine" }, 400],
    [`PATCH /api/agents/${away}`, {}, 404],
  ];
  for (const [call, body, status] of refusals) {
    assertEquals((await team.call(call, ada, body)).status, status, `${call} ${JSON.stringify(body)}`);
  }
  assertEquals((await team.call(`PATCH /api/agents/${id}`, eve, { name: "hers" })).status, 404);
  const changed = await team.ok(`PATCH /api/agents/${own.id}`, ada, {
    max_concurrent_tasks: 2,
    instructions: "Short.",
  });
  assertEquals([changed.name, changed.max_concurrent_tasks, changed.instructions], ["claude", 2, "Short."]);
});

Deno.test("an agent's cap holds over all its tasks, and another agent of the same runtime has its own", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const machine = await team.machine(ada);
  const [runtime_id] = machine.runtimes;
  for (const name of ["narrow", "wide"]) {
    await team.ok("POST /api/agents", ada, { name, runtime_id, max_concurrent_tasks: name === "narrow" ? 2 : 6 });
    for (let n = 1; n <= 3; n++) await team.ok("POST /api/issues", ada, { title: `${name} ${n}`, agent: name });
  }
  const names: string[] = [];
  const ids = new Map<string, string>();
  for (let call = 0; call < 4; call++) {
    for (const task of await team.claim(machine)) {
      names.push(task.thread_name);
      ids.set(task.thread_name, task.id);
    }
  }
  assertEquals(names.sort(), ["narrow 1", "narrow 2", "wide 1", "wide 2", "wide 3"]);
  await team.start(machine, ids.get("narrow 1")!);
  assertEquals(await team.claim(machine), []);
  await team.complete(machine, ids.get("narrow 1")!);
  assertEquals((await team.claim(machine)).map(({ thread_name }) => thread_name), ["narrow 3"]);
});

Deno.test("an agent that moves takes along what waits for it, and does not move while it works", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const first = await team.machine(ada);
  const second = await team.machine(ada, { daemon: "d2" });
  const { id } = await team.ok("POST /api/agents", ada, { name: "mover", runtime_id: first.runtimes[0] });
  for (const title of ["one", "two"]) await team.ok("POST /api/issues", ada, { title, agent_id: id });
  const [task] = await team.claim(first, 1);
  const move = () => team.call(`PATCH /api/agents/${id}`, ada, { runtime_id: second.runtimes[0] });
  assertEquals((await move()).status, 409);
  await team.start(first, task.id);
  await team.complete(first, task.id);
  assertEquals((await move()).body.runtime_id, second.runtimes[0]);
  assertEquals(await team.claim(first), []);
  const [moved] = await team.claim(second);
  assertEquals([moved.thread_name, moved.runtime_id], ["two", second.runtimes[0]]);
});

Deno.test("a runtime that is taken away ends its tasks; its daemon sees that and comes back under a new id", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const machine = await team.machine(ada);
  const [runtime] = machine.runtimes as [string];
  await team.ok("POST /api/agents", ada, { name: "kept", runtime_id: runtime });
  const issues = [];
  for (const agent of ["claude", "kept"]) {
    issues.push((await team.ok("POST /api/issues", ada, { title: agent, agent })).id);
  }
  const [running] = await team.claim(machine, 1);
  await team.start(machine, running.id);
  assertEquals((await team.call(`DELETE /api/runtimes/${runtime}`, ada)).status, 204);
  for (const issue of issues) {
    const [task] = await team.ok(`GET /api/issues/${issue}/tasks`, ada);
    assertEquals(task.status, "cancelled");
  }
  const status = await team.ok(`GET /api/daemon/tasks/${running.id}/status`, ada);
  assertEquals(status, { status: "cancelled" }, "the daemon can still ask for what it runs");
  const calls: [string, unknown][] = [
    ["POST /api/daemon/heartbeat", { runtime_id: runtime }],
    [`POST /api/daemon/runtimes/${runtime}/tasks/claim`, {}],
    [`DELETE /api/runtimes/${runtime}`, {}],
  ];
  for (const [call, body] of calls) {
    const { status, body: { error } } = await team.call(call, ada, body);
    assertEquals([status, error], [404, "runtime not found"], call);
  }
  assertEquals(await team.ok("GET /api/runtimes", ada), []);
  const [left] = await team.ok("GET /api/agents", ada);
  assertEquals([left.name, left.status], ["kept", "offline"]);
  const again = await team.machine(ada);
  assertNotEquals(again.runtimes[0], runtime);
  assertEquals((await team.machine(ada)).runtimes, again.runtimes);
  await team.ok(`PATCH /api/agents/${left.id}`, ada, { runtime_id: again.runtimes[0] });
  await team.ok("POST /api/issues", ada, { title: "Back", agent: "kept" });
  assertEquals((await team.claim(again)).map(({ thread_name }) => thread_name), ["Back"]);
});

Deno.test("a machine that is away for a week is not forgotten while an agent that somebody made is there", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const [away, empty, here] = await Promise.all(
    ["d1", "d2", "d3"].map((daemon) => team.machine(ada, { daemon })),
  ) as [Machine, Machine, Machine];
  await team.ok("POST /api/agents", ada, { name: "kept", runtime_id: away.runtimes[0] });
  // One whose past is on another machine.
  const worker = await team.ok("POST /api/agents", ada, { name: "worker", runtime_id: here.runtimes[0] });
  await team.ok("POST /api/issues", ada, { title: "Look", agent: "worker" });
  const [task] = await team.claim(here);
  await team.start(here, task.id);
  await team.complete(here, task.id);
  await team.ok(`PATCH /api/agents/${worker.id}`, ada, { runtime_id: away.runtimes[0] });
  const left = async () => {
    await team.sweep();
    const runtimes: { id: string }[] = await team.ok("GET /api/runtimes", ada);
    const agents: { name: string; own: boolean }[] = await team.ok("GET /api/agents", ada);
    return [runtimes.map(({ id }) => id).sort(), agents.flatMap(({ name, own }) => own ? [] : name).sort()];
  };
  await team.clock.advance(7 * 86_400_000 + 1_000);
  await team.sweep();
  const kept = [away.runtimes[0]!, here.runtimes[0]!].sort();
  assertEquals(await left(), [kept, ["kept", "worker"]], `without ${empty.runtimes[0]}`);
  for (const { id, own } of await team.ok("GET /api/agents", ada)) {
    if (!own) await team.ok(`PATCH /api/agents/${id}`, ada, { runtime_id: here.runtimes[0] });
  }
  assertEquals(await left(), [[here.runtimes[0]], ["kept", "worker"]]);
});

Deno.test("profiles are made and changed by people of the workspace, and daemons of it fetch those that are on", async () => {
  await using team = await Team.create();
  const ada = await team.person("Ada");
  const eve = await team.person("Eve", "elsewhere");
  const [{ id: workspace }] = await team.ok("GET /api/workspaces", ada);
  const path = `/api/workspaces/${workspace}/runtime-profiles`;
  const profile = { display_name: "Mine", protocol_family: "claude", command_name: "my-claude", fixed_args: ["--x"] };
  assertEquals((await team.call(`POST ${path}`, eve, profile)).status, 404);
  const { id } = await team.ok(`POST ${path}`, ada, profile);
  assertEquals((await team.call(`POST ${path}`, ada, profile)).status, 409);
  const fetched = async () =>
    (await team.ok(`GET /api/daemon/workspaces/${workspace}/runtime-profiles`, ada)).runtime_profiles;
  assertEquals((await fetched()).map(({ id, fixed_args }: Record<string, unknown>) => [id, fixed_args]), [[id, [
    "--x",
  ]]]);
  await team.ok(`PATCH ${path}/${id}`, ada, { enabled: false });
  assertEquals(await fetched(), []);
  assertEquals((await team.ok(`GET ${path}`, ada)).runtime_profiles.length, 1);
  assertEquals((await team.call(`DELETE ${path}/${id}`, ada)).status, 204);
  const again = await team.call(`DELETE ${path}/${id}`, ada);
  assertEquals([again.status, again.body.code], [404, "profile_unknown"]);
});
