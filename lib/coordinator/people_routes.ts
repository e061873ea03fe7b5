/** The other routes under `/api/` for people: their runtimes, the tasks as the daemon protocol shows them, and runtime profiles. */
import { ChangeProfile, CreateProfile } from "../wire/profiles.ts";
import type { Routes } from "./access.ts";
import type { TaskRecord } from "./records.ts";
import { wireTask } from "./records.ts";
import { Refusal, TASK_GONE } from "./refusal.ts";
import { readBody } from "./request_body.ts";
import { addProfile, listProfiles, removeProfile, setProfileEnabled } from "./runtime_profiles.ts";
import { listRuntimes, removeRuntime } from "./runtimes.ts";
import { cancelTask, findTask } from "./transitions.ts";
import { listMessages, listUsage } from "./views.ts";
import type { Shared } from "./deps.ts";

export function addPeopleRoutes(routes: Routes): void {
  addRuntimeRoutes(routes);
  addTaskRoutes(routes);
  addProfileRoutes(routes);
}

function addRuntimeRoutes(routes: Routes): void {
  routes.inChosenWorkspace("GET", "/api/runtimes", async (c, { deps }) => c.json(await listRuntimes(deps)));
  routes.inRuntime("DELETE", "/api/runtimes/:rid", async (c, { deps, runtime }) => {
    await removeRuntime(deps, runtime);
    return c.body(null, 204);
  });
}

function addTaskRoutes(routes: Routes): void {
  routes.inTask("GET", "/api/tasks/:tid", async (c, { deps, task }) => {
    return c.json({ ...wireTask(await taskOf(deps, task.id)), usage: await listUsage(deps, task.id) });
  });
  routes.inTask("GET", "/api/tasks/:tid/usage", async (c, { deps, task }) => {
    return c.json({ usage: await listUsage(deps, task.id) });
  });
  routes.inTask("POST", "/api/tasks/:tid/cancel", async (c, { deps, task }) => {
    await cancelTask(deps, task.id);
    return c.json(wireTask(await taskOf(deps, task.id)));
  });
  // Daemons see what people see.
  for (const path of ["/api/tasks/:tid/messages", "/api/daemon/tasks/:tid/messages"]) {
    routes.inTask("GET", path, async (c, { deps, task }) => {
      const since = Number(c.req.query("since") ?? 0);
      if (!Number.isSafeInteger(since) || since < 0) throw new Refusal(400, "since must be a whole number from 0");
      const messages = await listMessages(deps, { id: task.id, since });
      return c.json(messages.map((message) => ({ task_id: task.id, issue_id: task.thread_id, ...message })));
    });
  }
}

async function taskOf(deps: Shared, id: string): Promise<TaskRecord> {
  const task = await findTask(deps, id);
  if (!task) throw new Refusal(404, TASK_GONE);
  return task;
}

/** Wire protocol 4.1; what is wrong is said by `UserRefusal`s. */
function addProfileRoutes(routes: Routes): void {
  const path = "/api/workspaces/:wid/runtime-profiles";
  routes.inWorkspace("GET", path, async (c, { deps }) => {
    return c.json({ workspace_id: deps.workspaceId, runtime_profiles: await listProfiles(deps) });
  });
  routes.inWorkspace("POST", path, async (c, { deps }) => {
    return c.json(await addProfile(deps, await readBody(c.req.raw, CreateProfile)), 201);
  });
  for (const method of ["PATCH", "PUT"] as const) {
    routes.inWorkspace(method, `${path}/:pid`, async (c, { deps }) => {
      const { enabled } = await readBody(c.req.raw, ChangeProfile);
      return c.json(await setProfileEnabled(deps, c.req.param("pid") ?? "", enabled));
    });
  }
  routes.inWorkspace("DELETE", `${path}/:pid`, async (c, { deps }) => {
    await removeProfile(deps, c.req.param("pid") ?? "");
    return c.body(null, 204);
  });
}
