/** To whom a task goes when several machines have the agent that it is for. */
import { assertEquals } from "@std/assert";
import { World } from "./world.ts";

Deno.test("submit() of a task for an agent that several machines have gives it to the one with the least to do", async () => {
  await using world = await World.with(["claude"]);
  const other = await world.daemon("/api/daemon/register", {
    workspace_id: world.workspaceId,
    daemon_id: "d2",
    device_name: "other",
    runtimes: [{ type: "claude", version: "1.0.0" }],
  });
  const mine = world.runtime("claude");
  const [{ id: theirs }] = other.body.runtimes;
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
