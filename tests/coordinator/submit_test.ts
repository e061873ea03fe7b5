/** To whom a task goes when several machines have the agent that it is for. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import * as act from "./actions.ts";
import { type Answer, World } from "./world.ts";

/** Of another machine's `claude`. */
async function otherMachine(world: World): Promise<string> {
  const { body } = await world.daemon("/api/daemon/register", {
    workspace_id: world.workspaceId,
    daemon_id: "d2",
    device_name: "other",
    runtimes: [{ type: "claude", version: "1.0.0" }],
  });
  return body.runtimes[0].id;
}

async function claimOf(world: World, daemon_id: string, runtime: string): Promise<string[]> {
  const body = { daemon_id, runtime_ids: [runtime], max_tasks: 5 };
  return (await world.daemon("/api/daemon/tasks/claim", body)).body.tasks.map(({ id }: { id: string }) => id);
}

/** What came before, over and done. */
async function endedTask(world: World, agent: string): Promise<string> {
  await act.submit("before", { agent }).run(world);
  await act.claim().run(world);
  await act.start("before").run(world);
  await act.complete("before").run(world);
  return await world.id("before");
}

function resume(world: World, task: string): Promise<Answer> {
  const body = { prompt: "Go on", resume: task, directory: { mode: "scratch" }, permission: "full" };
  return world.user("/v1/tasks", body);
}

Deno.test("submit() of a task for an agent that several machines have gives it to the one with the least to do", async () => {
  await using world = await World.with(["claude"]);
  const mine = world.runtime("claude");
  const theirs = await otherMachine(world);
  const submit = async () => {
    const body = { prompt: "p", agent: "claude", directory: { mode: "scratch" }, permission: "full" };
    const { id } = (await world.user("/v1/tasks", body)).body;
    const pending = async (runtime: string) =>
      (await world.daemon(`/api/daemon/runtimes/${runtime}/tasks/pending`)).body;
    return (await pending(mine)).some((task: { id: string }) => task.id === id) ? mine : theirs;
  };
  assertEquals([await submit(), await submit(), await submit()], [mine, theirs, mine]);
  await world.daemon("/api/daemon/tasks/claim", { daemon_id: "d1", runtime_ids: [mine], max_tasks: 1 });
  assertEquals(await submit(), theirs);
});

Deno.test("submit() with resume goes where the agent is now, not where it was", async () => {
  await using world = await World.with(["claude"]);
  const theirs = await otherMachine(world);
  const { id } = (await world.daemon("/api/agents", { name: "mover", runtime_id: world.runtime() })).body;
  const before = await endedTask(world, "mover");
  assertEquals((await world.ask(`PATCH /api/agents/${id}`, { runtime_id: theirs })).status, 200);
  const { status, body } = await resume(world, before);
  assertEquals(status, 201);
  assertEquals(await claimOf(world, "d2", theirs), [body.id]);
});

Deno.test("submit() with resume of a task whose runtime was taken away finds another agent of the name, or says that there is none", async () => {
  await using world = await World.with(["claude"]);
  const before = await endedTask(world, "claude");
  const theirs = await otherMachine(world);
  assertEquals((await world.ask(`DELETE /api/runtimes/${world.runtime()}`)).status, 204);
  const { status, body } = await resume(world, before);
  assertEquals(status, 201);
  assertEquals(await claimOf(world, "d2", theirs), [body.id]);
  await world.user(`/v1/tasks/${body.id}/cancel`, {});
  assertEquals((await world.ask(`DELETE /api/runtimes/${theirs}`)).status, 204);
  assertEquals((await resume(world, before)).body.error.code, "no_agent");
  await world.register(["codex"]);
  const { error } = (await resume(world, before)).body;
  assertEquals(error.code, "agent_unknown");
  assertStringIncludes(error.message, '"claude"; there are: codex');
});

Deno.test("submit() with resume of an issue's task says to comment on the issue", async () => {
  await using world = await World.with(["claude"]);
  const issue = (await world.daemon("/api/issues", { title: "Fix the door", agent: "claude" })).body;
  const { tasks: [task] } = (await world.user("/v1/tasks")).body;
  await world.user(`/v1/tasks/${task.id}/cancel`, {});
  const { status, body: { error } } = await resume(world, task.id);
  assertEquals([status, error.code], [400, "invalid_request"]);
  assertStringIncludes(error.hint, `POST /api/issues/${issue.id}/comments`);
  assertEquals((await world.user("/v1/tasks")).body.tasks.length, 1);
});
