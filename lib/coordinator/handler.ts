/** The daemon protocol as HTTP routes: who may call, what is decoded, and which answer each outcome has (wire protocol 1). */
import { type Context, Hono } from "hono";
import * as payloads from "../wire/payloads.ts";
import { DailyUsageRequest } from "../wire/upkeep.ts";
import { putDailyUsage } from "./daily_usage.ts";
import type { Deps } from "./deps.ts";
import { addGcRoutes } from "./gc_check.ts";
import { claimTasks } from "./queue.ts";
import { type TaskRecord, wireTask } from "./records.ts";
import { acknowledgeCancel, addMessages, pinSession, putUsage } from "./reports.ts";
import { BadBody, readBody } from "./request_body.ts";
import { wireProfiles } from "./runtime_profiles.ts";
import {
  deregisterRuntimes,
  heartbeat,
  ProfileGone,
  registerRuntimes,
  runtimeExists,
  wireRuntime,
} from "./runtimes.ts";
import { recoverOrphans } from "./sweeper.ts";
import { completeTask, failTask, type Moved, renewLease, startTask, waitForDirectory } from "./transitions.ts";
import { canonicalUuid } from "./uuid.ts";

/** A call that is answered with an error. Daemons match on the text of a 404, so it is part of the protocol. */
class Refusal extends Error {
  override readonly name = "Refusal";
  constructor(readonly status: 400 | 404, readonly text: string) {
    super(text);
  }
}

type TaskHead = Pick<TaskRecord, "id" | "runtime_id" | "status">;

const ROUTE_MISSING = "404 page not found";
const RUNTIME_GONE = "runtime not found";
const TASK_GONE = "task not found";
/** More free slots than this are served by the next call. */
const CLAIM_LIMIT = 32;
/** SHA-256 of nothing: the version of an empty list of repositories. */
const NO_REPOS = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/**
 * Everything under `/api/`. There is one user, the holder of `token`; identity is never read from another header, so
 * `X-User-ID` and its kind have no effect whatever a client puts into them.
 */
export function createHandler(deps: Deps, token: string): Hono {
  const app = new Hono();
  const authorization = `Bearer ${token}`;
  app.use("/api/*", async (c, next) => {
    if (c.req.header("authorization") !== authorization) return c.json({ error: "invalid or missing token" }, 401);
    await next();
  });
  app.notFound((c) => c.json({ error: ROUTE_MISSING }, 404));
  app.onError((error, c) => {
    if (error instanceof Refusal) return c.json({ error: error.text }, error.status);
    if (error instanceof ProfileGone) return c.json({ error: error.message }, 409);
    if (error instanceof BadBody) return c.json({ error: error.message }, 400);
    // Never a 404: a daemon gives up its runtimes and tasks on one.
    deps.log.error("A call of a daemon failed", { method: c.req.method, path: c.req.path, error });
    return c.json({ error: `database error: ${error.message}` }, 500);
  });
  addWorkspaceRoutes(app, deps);
  addRuntimeRoutes(app, deps);
  addClaimRoutes(app, deps);
  addMoveRoutes(app, deps);
  addReportRoutes(app, deps);
  addGcRoutes(app, deps);
  return app;
}

function addWorkspaceRoutes(app: Hono, deps: Deps): void {
  const workspaces = [{ id: deps.workspaceId, name: "local" }];
  const etag = `W/"${deps.workspaceId.replaceAll("-", "")}"`;
  app.get("/api/workspaces", (c) => c.json(workspaces));
  app.get("/api/daemon/workspaces", (c) => {
    c.header("ETag", etag);
    c.header("Cache-Control", "private, no-cache");
    const known = (c.req.header("if-none-match") ?? "").split(",").map((one) => one.trim().replace(/^W\//, ""));
    if (known.includes("*") || known.includes(etag.slice(2))) return c.body(null, 304);
    return c.json(workspaces);
  });
  app.get("/api/daemon/workspaces/:wid/runtime-profiles", async (c) => {
    if (canonicalUuid(c.req.param("wid")) !== deps.workspaceId) throw new Refusal(404, "workspace not found");
    return c.json({ workspace_id: deps.workspaceId, runtime_profiles: await wireProfiles(deps) });
  });
}

function addRuntimeRoutes(app: Hono, deps: Deps): void {
  app.post("/api/daemon/register", async (c) => {
    const request = await readBody(c.req.raw, payloads.RegisterRequest);
    if (!request.workspace_id) throw new Refusal(400, "workspace_id is required");
    const workspace = canonicalUuid(request.workspace_id);
    if (!workspace) throw new Refusal(400, "invalid workspace_id");
    if (!request.daemon_id) throw new Refusal(400, "daemon_id is required");
    if (request.runtimes.length + request.failed_profiles.length === 0) {
      throw new Refusal(400, "at least one runtime or failed profile is required");
    }
    if (workspace !== deps.workspaceId) throw new Refusal(404, "workspace not found");
    return c.json({
      runtimes: (await registerRuntimes(deps, request)).map((runtime) => wireRuntime(runtime, deps)),
      repos: [],
      repos_version: NO_REPOS,
      settings: {},
      server_capabilities: [payloads.MESSAGE_DEDUP],
    });
  });
  app.post("/api/daemon/heartbeat", async (c) => {
    const request = await readBody(c.req.raw, payloads.HeartbeatRequest);
    const id = canonicalUuid(request.runtime_id);
    if (!id) throw new Refusal(400, request.runtime_id ? "invalid runtime_id" : "runtime_id is required");
    if (!await heartbeat(deps, id)) throw new Refusal(404, RUNTIME_GONE);
    return c.json({ status: "ok" });
  });
  app.post("/api/daemon/deregister", async (c) => {
    const request = await readBody(c.req.raw, payloads.DeregisterRequest);
    if (request.runtime_ids.length === 0) throw new Refusal(400, "runtime_ids is required");
    const ids = request.runtime_ids.map(canonicalUuid);
    if (ids.includes(undefined)) throw new Refusal(400, "invalid runtime id");
    await deregisterRuntimes(deps, ids as string[]);
    return c.json({ status: "ok" });
  });
  app.post(
    "/api/daemon/runtimes/:rid/recover-orphans",
    async (c) => c.json(await recoverOrphans(deps, await knownRuntime(deps, c))),
  );
  app.post("/api/daemon/runtimes/:rid/usage", async (c) => {
    const runtime = await knownRuntime(deps, c);
    const { entries } = await readBody(c.req.raw, DailyUsageRequest);
    await putDailyUsage(deps, runtime, entries);
    return c.json({ status: "ok" });
  });
}

function addClaimRoutes(app: Hono, deps: Deps): void {
  app.post("/api/daemon/tasks/claim", async (c) => {
    const request = await readBody(c.req.raw, payloads.ClaimRequest);
    if (!request.daemon_id) throw new Refusal(400, "daemon_id is required");
    if (request.max_tasks < 0) throw new Refusal(400, "max_tasks must not be negative");
    const tasks = await claimTasks(deps, {
      daemonId: request.daemon_id,
      runtimeIds: request.runtime_ids.flatMap((id) => canonicalUuid(id) ?? []),
      max: Math.min(request.max_tasks, CLAIM_LIMIT),
      submittedTo: request.submitted_to,
    });
    return c.json({ tasks });
  });
  app.post("/api/daemon/runtimes/:rid/tasks/claim", async (c) => {
    const [task = null] = await claimTasks(deps, { runtimeIds: [await knownRuntime(deps, c)], max: 1 });
    return c.json({ task });
  });
}

function addMoveRoutes(app: Hono, deps: Deps): void {
  /** For moves that only make sense once: too late is an error. */
  const strict = (c: Context, moved: Moved) => {
    if (moved.kind === "unchanged") {
      throw new Refusal(400, `invalid task state: the task is ${moved.task.status}`);
    }
    return lenient(c, moved);
  };
  /** For reports that may be sent again: too late is answered with the row as it is. */
  const lenient = (c: Context, moved: Moved) => {
    if (moved.kind === "no-such-task") throw new Refusal(404, TASK_GONE);
    return c.json(wireTask(moved.task, deps.workspaceId));
  };
  app.post("/api/daemon/tasks/:tid/start", async (c) => strict(c, await startTask(deps, taskId(c))));
  app.post("/api/daemon/tasks/:tid/complete", async (c) => {
    const request = await readBody(c.req.raw, payloads.CompleteRequest);
    return lenient(c, await completeTask(deps, taskId(c), { request }));
  });
  app.post("/api/daemon/tasks/:tid/fail", async (c) => {
    const report = await readBody(c.req.raw, payloads.FailRequest);
    const reason = report.failure_reason || "agent_error.unknown";
    return lenient(c, await failTask(deps, { id: taskId(c), event: "fail", reason, error: report.error, report }));
  });
  app.post("/api/daemon/tasks/:tid/wait-local-directory", async (c) => {
    const { reason } = await readBody(c.req.raw, payloads.WaitRequest);
    return strict(c, await waitForDirectory(deps, { id: taskId(c), reason }));
  });
  app.post("/api/daemon/runtimes/:rid/tasks/:tid/prepare-lease", async (c) => {
    const runtime = await knownRuntime(deps, c);
    if ((await knownTask(deps, c)).runtime_id !== runtime) throw new Refusal(404, TASK_GONE);
    return strict(c, await renewLease(deps, taskId(c)));
  });
}

function addReportRoutes(app: Hono, deps: Deps): void {
  const ok = { status: "ok" };
  app.get("/api/daemon/tasks/:tid/status", async (c) => c.json({ status: (await knownTask(deps, c)).status }));
  app.post("/api/daemon/tasks/:tid/messages", async (c) => {
    const { messages } = await readBody(c.req.raw, payloads.MessagesRequest);
    await addMessages(deps, (await knownTask(deps, c)).id, { messages });
    return c.json(ok);
  });
  app.post("/api/daemon/tasks/:tid/usage", async (c) => {
    const { usage } = await readBody(c.req.raw, payloads.UsageRequest);
    await putUsage(deps, (await knownTask(deps, c)).id, { usage });
    return c.json(ok);
  });
  app.post("/api/daemon/tasks/:tid/session", async (c) => {
    const { session_id, work_dir } = await readBody(c.req.raw, payloads.SessionRequest);
    if (!session_id && !work_dir) throw new Refusal(400, "session_id or work_dir is required");
    await pinSession(deps, (await knownTask(deps, c)).id, { sessionId: session_id, workDir: work_dir });
    return c.body(null, 204);
  });
  app.post("/api/daemon/tasks/:tid/progress", async (c) => {
    const { summary } = await readBody(c.req.raw, payloads.ProgressRequest);
    const task = await knownTask(deps, c);
    if (task.status === "running") deps.progress.set(task.id, summary);
    return c.json(ok);
  });
  app.post("/api/daemon/tasks/:tid/cancel-ack", async (c) => {
    // The agent has stopped, and that is what counts: details that cannot be read are no reason to refuse the news.
    const ack = await readBody(c.req.raw, payloads.CancelAckRequest).catch((error) => {
      if (error instanceof BadBody) return payloads.CancelAckRequest.parse({});
      throw error;
    });
    await acknowledgeCancel(deps, (await knownTask(deps, c)).id, { ack });
    return c.json(ok);
  });
}

function taskId(c: Context): string {
  const id = canonicalUuid(c.req.param("tid") ?? "");
  if (!id) throw new Refusal(400, "invalid task id");
  return id;
}

async function knownTask(deps: Deps, c: Context): Promise<TaskHead> {
  const task = await deps.store.get<TaskHead>("SELECT id, runtime_id, status FROM tasks WHERE id = :id", {
    id: taskId(c),
  });
  if (!task) throw new Refusal(404, TASK_GONE);
  return task;
}

async function knownRuntime(deps: Deps, c: Context): Promise<string> {
  const id = canonicalUuid(c.req.param("rid") ?? "");
  if (!id) throw new Refusal(400, "invalid runtime id");
  if (!await runtimeExists(deps, id)) throw new Refusal(404, RUNTIME_GONE);
  return id;
}
