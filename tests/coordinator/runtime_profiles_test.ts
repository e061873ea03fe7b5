/** Runtime profiles in the coordinator: adding, changing and removing them, what daemons fetch, and what becomes of their runtimes. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { RuntimeProfile } from "../../lib/core/runtime_profile.ts";
import { USER_ERRORS } from "../../lib/wire/control.ts";
import { readProfiles } from "../../lib/wire/profiles.ts";
import { World } from "./world.ts";

const PROFILE = {
  display_name: "house",
  protocol_family: "codex",
  command_name: "acme-codex",
  fixed_args: ["serve", "--fast"],
  env: { KEY: "secret" },
};

// deno-lint-ignore no-explicit-any
async function call(
  world: World,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: any }> {
  const request = new Request(`http://drover.local/v1/runtime-profiles${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer = await world.coordinator.userApi(request);
  return { status: answer.status, body: await answer.json() };
}

async function added(world: World, changes: Record<string, unknown> = {}): Promise<string> {
  const answer = await call(world, "POST", "", { ...PROFILE, ...changes });
  assertEquals(answer.status, 201, JSON.stringify(answer.body));
  return answer.body.id;
}

async function fetched(world: World): Promise<readonly RuntimeProfile[]> {
  return readProfiles((await world.daemon(`/api/daemon/workspaces/${world.workspaceId}/runtime-profiles`)).body);
}

/** A daemon registers a runtime of the profile; its id, or the HTTP status of a refusal. */
async function registered(world: World, profile: string): Promise<string | number> {
  const answer = await world.daemon("/api/daemon/register", {
    workspace_id: world.workspaceId,
    daemon_id: "d1",
    device_name: "box",
    runtimes: [{ type: "codex", name: "house (box)", version: "1", profile_id: profile }],
  });
  return answer.status === 200 ? answer.body.runtimes[0].id : answer.status;
}

async function refusal(world: World, method: string, path: string, body?: unknown): Promise<string> {
  const answer = await call(world, method, path, body);
  const { code } = answer.body.error;
  assertEquals(answer.status, USER_ERRORS[code as keyof typeof USER_ERRORS]);
  return code;
}

Deno.test("addProfile() keeps what was said, shows of the environment only the names, and hands it to daemons", async () => {
  await using world = await World.with([]);
  const id = await added(world);
  const { body } = await call(world, "GET", "");
  assertEquals(body.profiles.length, 1);
  assertEquals([body.profiles[0].env, body.profiles[0].enabled, body.profiles[0].visibility], [
    ["KEY"],
    true,
    "workspace",
  ]);
  assertEquals(JSON.stringify(body).includes("secret"), false);
  assertEquals(await fetched(world), [{
    id,
    displayName: "house",
    provider: "codex",
    command: "acme-codex",
    fixedArgs: ["serve", "--fast"],
    env: { KEY: "secret" },
    visibility: "workspace",
    enabled: true,
  }]);
});

const WRONG: [what: string, changes: Record<string, unknown>][] = [
  ["a command of two words", { command_name: "acme codex" }],
  ["no command", { command_name: "" }],
  ["a blank argument", { fixed_args: [" "] }],
  ["no name", { display_name: " " }],
  ["a name that is an option", { display_name: "--help" }],
  ["a family in capitals", { protocol_family: "Codex" }],
  ["a variable that is none", { env: { "A B": "x" } }],
];
for (const [what, changes] of WRONG) {
  Deno.test(`addProfile() refuses ${what}`, async () => {
    await using world = await World.with([]);
    assertEquals(await refusal(world, "POST", "", { ...PROFILE, ...changes }), "invalid_request");
    assertEquals(await fetched(world), []);
  });
}

Deno.test("addProfile() refuses a name that a profile or a plain agent has", async () => {
  await using world = await World.with(["claude"]);
  await added(world);
  assertEquals(await refusal(world, "POST", "", PROFILE), "profile_exists");
  assertEquals(await refusal(world, "POST", "", { ...PROFILE, display_name: "claude" }), "profile_exists");
});

Deno.test("a profile's runtime is an agent with the profile's name, beside the plain one", async () => {
  await using world = await World.with(["codex"]);
  await registered(world, await added(world));
  const { agents } = (await world.user("/v1/agents")).body;
  assertEquals(agents.map((agent: { name: string; provider: string }) => [agent.name, agent.provider]).toSorted(), [
    ["codex", "codex"],
    ["house", "codex"],
  ]);
});

Deno.test("a disabled profile is not handed out, cannot be registered, and comes back with its runtime's id", async () => {
  await using world = await World.with([]);
  const id = await added(world);
  const runtime = await registered(world, id);
  assertEquals((await call(world, "PATCH", "/house", { enabled: false })).body.enabled, false);
  assertEquals(await fetched(world), []);
  assertEquals(await registered(world, id), 409);
  await call(world, "PATCH", `/${id}`, { enabled: true });
  assertEquals(await registered(world, id), runtime);
});

Deno.test("removeProfile() leaves the tasks in the history and tells the daemon that the runtime is gone", async () => {
  await using world = await World.with([]);
  const id = await added(world);
  const runtime = await registered(world, id);
  const task = { prompt: "p", agent: "house", directory: { mode: "scratch" }, permission: "full" };
  const { body } = await world.user("/v1/tasks", task);
  assertEquals(await refusal(world, "DELETE", "/house"), "profile_busy");
  await world.user(`/v1/tasks/${body.id}/cancel`, {});
  assertEquals((await call(world, "DELETE", "/house")).status, 200);
  assertEquals((await world.user("/v1/agents")).body.agents, []);
  assertEquals((await world.user(`/v1/tasks/${body.id}`)).body.agent, "house");
  const beat = await world.daemon("/api/daemon/heartbeat", { runtime_id: runtime });
  assertEquals([beat.status, beat.body.error], [404, "runtime not found"]);
  assertEquals(await refusal(world, "DELETE", "/house"), "profile_unknown");
  await added(world);
});

Deno.test("every change of the profiles wakes the daemons", async () => {
  await using world = await World.with([]);
  const heard: string[] = [];
  const listening = (async () => {
    for await (const { kind } of world.coordinator.subscribe(new AbortController().signal)) heard.push(kind);
  })();
  await added(world);
  await call(world, "PATCH", "/house", { enabled: false });
  await call(world, "DELETE", "/house");
  await refusal(world, "DELETE", "/house");
  await world.coordinator.close();
  await listening;
  assertEquals(heard, ["profiles-changed", "profiles-changed", "profiles-changed"]);
});

Deno.test("the profiles of another workspace are not there", async () => {
  await using world = await World.with([]);
  const other = "00000000-0000-4000-8000-00000000abcd";
  const answer = await world.daemon(`/api/daemon/workspaces/${other}/runtime-profiles`);
  assertEquals(answer.status, 404);
  assertStringIncludes(answer.body.error, "workspace");
});
