/** What the coordinator tells daemons that clean up: a task by its state, a thread as open for as long as it is known. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { World } from "./world.ts";

const DAY = 86_400_000;
const GHOST = "00000000-0000-4000-8000-00000000dead";

Deno.test("gc checks tell the state of tasks, and of threads that they are open until they are forgotten", async () => {
  await using world = await World.with(["claude"]);
  const task = (await world.user("/v1/tasks", {
    ...{ agent: "claude", prompt: "x", directory: { mode: "scratch" }, permission: "full" },
  })).body;
  const check = (path: string) => world.daemon(`/api/daemon/${path}/gc-check`);
  assertEquals((await check(`tasks/${task.id}`)).body, { status: "queued", completed_at: null });
  assertEquals((await check(`issues/${task.thread_id}`)).body.status, "in_progress");
  await world.user(`/v1/tasks/${task.id}/cancel`, {});
  const ended = (await check(`tasks/${task.id}`)).body;
  assertEquals([ended.status, Date.parse(ended.completed_at)], ["cancelled", world.clock.now()]);
  const batch = await world.daemon(`/api/daemon/workspaces/${world.workspaceId}/issues/gc-check`, {
    issue_ids: [task.thread_id, GHOST, "none"],
  });
  assertEquals(batch.body.issues.map((issue: { found: boolean }) => issue.found), [true, false, false]);
  const none = await world.daemon(`/api/daemon/workspaces/${world.workspaceId}/issues/gc-check`, { issue_ids: null });
  assertEquals([none.status, none.body.issues], [200, []]);
  await world.coordinator.purge(world.clock.now() + 1);
  const gone = await check(`tasks/${task.id}`);
  assertEquals(gone.status, 404);
  assertStringIncludes(gone.body.error, "task not found");
  assertStringIncludes((await check(`issues/${task.thread_id}`)).body.error, "issue not found");
  assertEquals((await world.daemon(`/api/daemon/workspaces/${GHOST}/issues/gc-check`, { issue_ids: [] })).status, 404);
});

Deno.test("gc checks tell when an issue was last touched: by its task, or by a person after that", async () => {
  await using world = await World.with(["claude"]);
  const { id } = (await world.daemon("/api/issues", { title: "Fix the door", agent: "claude" })).body;
  const { tasks: [task] } = (await world.user("/v1/tasks")).body;
  const touched = async () => {
    const [issue] = (await world.daemon(`/api/daemon/workspaces/${world.workspaceId}/issues/gc-check`, {
      issue_ids: [id],
    })).body.issues;
    assertEquals((await world.daemon(`/api/daemon/issues/${id}/gc-check`)).body.updated_at, issue.updated_at);
    return Date.parse(issue.updated_at);
  };
  await world.clock.advance(DAY);
  await world.user(`/v1/tasks/${task.id}/cancel`, {});
  const ended = world.clock.now();
  await world.clock.advance(DAY);
  assertEquals(await touched(), ended);
  await world.ask(`PATCH /api/issues/${id}`, { title: "Fix both doors" });
  assertEquals(await touched(), world.clock.now());
});
