/** The daemon protocol as HTTP routes: who may call, what is decoded, and which answer each outcome has (wire protocol 1). */
import { Hono } from "hono";
import { statesBefore, type TaskState } from "../core/task_state.ts";
import * as payloads from "../wire/payloads.ts";
import { RPC } from "../wire/frames.ts";
import { ResolveRequest } from "../wire/issue_calls.ts";
import { DailyUsageRequest } from "../wire/upkeep.ts";
import { type Api, type ApiContext, type ApiEnv, capabilitiesOf, mayEnter, Routes } from "./access.ts";
import { addAgentRoutes } from "./agents.ts";
import type { Caller } from "./caller.ts";
import { claimBatch, refuseOtherDaemon, refuseTooMany } from "./claim_batch.ts";
import { putDailyUsage } from "./daily_usage.ts";
import type { Shared } from "./deps.ts";
import { addGcRoutes } from "./gc_check.ts";
import { addHubRoute, type Hub } from "./hub.ts";
import { addIssueRoutes } from "./issue_routes.ts";
import { addPeopleRoutes } from "./people_routes.ts";
import { claimTasks } from "./queue.ts";
import { type TaskRecord, wireTask } from "./records.ts";
import { Refusal, ROUTE_MISSING, RUNTIME_GONE, TASK_GONE } from "./refusal.ts";
import { acknowledgeCancel, addMessages, pinSession, putUsage } from "./reports.ts";
import { BadBody, readBody } from "./request_body.ts";
import { wireProfiles } from "./runtime_profiles.ts";
import { addRequestRoutes } from "./request_routes.ts";
import { beatAnswer } from "./requests.ts";
import { deregisterRuntimes, ProfileGone, registerRuntimes, wireRuntime } from "./runtimes.ts";
import { isPending } from "./sql.ts";
import { recoverOrphans } from "./sweeper.ts";
import { renewToken } from "./tokens.ts";
import { completeTask, failTask, type Moved, renewLease, startTask, waitForDirectory } from "./transitions.ts";
import { UserRefusal } from "./user_refusal.ts";
import { canonicalUuid } from "./uuid.ts";
import { listWorkspaces, wireUser } from "./workspaces.ts";

/** Who holds this token; `undefined` for nobody. */
export type Authenticate = (token: string) => Promise<Caller | undefined>;

const PENDING = `SELECT * FROM tasks WHERE runtime_id = :runtime AND ${isPending()} ORDER BY created_at, rowid`;
/** What rows are found by; an index of PostgreSQL takes no more than some kilobytes. */
const NAME_LENGTH = 200;
/** Of one machine in one workspace. Nobody else is served while they are written, so a call may not have any number. */
const MAX_RUNTIMES = 500;
/** The first ones count. */
const MAX_LEGACY_IDS = 100;
/** SHA-256 of nothing: the version of an empty list of repositories. */
const NO_REPOS = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/**
 * Everything under `/api/`. Who calls is what the token says and nothing else, so `X-User-ID` and its kind have no effect
 * whatever a client puts into them.
 */
export function createHandler(shared: Shared, authenticate: Authenticate, hub?: Hub): Api {
  const app: Api = new Hono<ApiEnv>();
  const authenticateOf = (c: ApiContext) => {
    const token = bearerOf(c.req.header("authorization"));
    return () => authenticate(token);
  };
  app.use("/api/*", async (c, next) => {
    const caller = await authenticateOf(c)();
    if (!caller || !mayEnter(c.req.method, c.req.path, caller.scope)) {
      return c.json({ error: "invalid or missing token" }, 401);
    }
    c.set("caller", caller);
    await next();
  });
  app.notFound((c) => c.json({ error: ROUTE_MISSING }, 404));
  app.onError((error, c) => {
    if (error instanceof Refusal) return c.json({ error: error.text }, error.status);
    if (error instanceof ProfileGone) return c.json({ error: error.message }, error.status);
    if (error instanceof UserRefusal) return c.json({ error: error.message, code: error.code }, error.status as 400);
    if (error instanceof BadBody) return c.json({ error: error.message }, error.status);
    // Never a 404: a daemon gives up its runtimes and tasks on one.
    shared.log.error("A call of a daemon failed", { method: c.req.method, path: c.req.path, error });
    // A database's own words tell where it is: they are for this machine, and for the log.
    const own = c.get("caller")?.scope === "machine";
    return c.json({ error: own ? `database error: ${error.message}` : "database error" }, 500);
  });
  const routes = new Routes(app, shared);
  addWorkspaceRoutes(routes);
  addRuntimeRoutes(routes, hub ? [payloads.MESSAGE_DEDUP, RPC] : [payloads.MESSAGE_DEDUP]);
  addClaimRoutes(routes);
  addMoveRoutes(routes);
  addReportRoutes(routes);
  addGcRoutes(routes);
  addRequestRoutes(routes);
  addIssueRoutes(routes);
  addAgentRoutes(routes);
  addPeopleRoutes(routes);
  if (hub) addHubRoute(routes, hub, authenticateOf);
  return app;
}

/** Exactly `Bearer TOKEN`; everything else is no token. */
export function bearerOf(header: string | undefined): string {
  return header?.startsWith("Bearer ") ? header.slice("Bearer ".length) : "";
}

function addWorkspaceRoutes(routes: Routes): void {
  routes.atLarge("GET", "/api/workspaces", async (c, { shared, caller }) => {
    return c.json(await listWorkspaces(shared, caller.workspaces));
  });
  routes.atLarge("GET", "/api/me", async (c, { shared, caller }) => {
    return c.json(await wireUser(shared, caller.userId));
  });
  routes.atLarge("GET", "/api/daemon/workspaces", async (c, { shared, caller }) => {
    const workspaces = await listWorkspaces(shared, caller.workspaces);
    const etag = `W/"${await versionOf(workspaces)}"`;
    c.header("ETag", etag);
    c.header("Cache-Control", "private, no-cache");
    const known = (c.req.header("if-none-match") ?? "").split(",").map((one) => one.trim().replace(/^W\//, ""));
    if (known.includes("*") || known.includes(etag.slice(2))) return c.body(null, 304);
    return c.json(workspaces);
  });
  routes.inWorkspace("GET", "/api/daemon/workspaces/:wid/runtime-profiles", async (c, { deps }) => {
    return c.json({ workspace_id: deps.workspaceId, runtime_profiles: await wireProfiles(deps) });
  });
  routes.inWorkspace("GET", "/api/daemon/workspaces/:wid/repos", (c, { deps }) => {
    return c.json({ workspace_id: deps.workspaceId, repos: [], repos_version: NO_REPOS, settings: {} });
  });
  routes.atLarge("POST", "/api/tokens/current/renew", async (c, { shared, caller }) => {
    if (caller.scope !== "user" || caller.tokenId === undefined) throw new Refusal(400, "not a personal access token");
    const { expiresAt, renewed } = await renewToken(shared, caller.tokenId);
    return c.json({ expires_at: expiresAt === null ? "" : new Date(expiresAt).toISOString(), renewed });
  });
}

/** Changes with what it is made from. */
async function versionOf(value: unknown): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex().slice(0, 32);
}

/** `capabilities`: what a daemon may rely on beyond the protocol. */
function addRuntimeRoutes(routes: Routes, capabilities: readonly string[]): void {
  routes.atLarge("POST", "/api/daemon/register", async (c, { caller, enterWorkspace }) => {
    const request = await readBody(c.req.raw, payloads.RegisterRequest);
    if (!request.workspace_id) throw new Refusal(400, "workspace_id is required");
    const workspace = canonicalUuid(request.workspace_id);
    if (!workspace) throw new Refusal(400, "invalid workspace_id");
    if (!request.daemon_id) throw new Refusal(400, "daemon_id is required");
    const count = request.runtimes.length + request.failed_profiles.length;
    if (count === 0) throw new Refusal(400, "at least one runtime or failed profile is required");
    if (count > MAX_RUNTIMES) throw new Refusal(400, `at most ${MAX_RUNTIMES} runtimes at once`);
    const named = [request.daemon_id, ...request.runtimes.map(({ type }) => type)];
    if (named.some((name) => name.length > NAME_LENGTH)) throw new Refusal(400, "daemon_id or type is too long");
    const deps = enterWorkspace(workspace);
    refuseOtherDaemon(caller, request.daemon_id);
    const registered = await registerRuntimes(deps, {
      request,
      // A token of one daemon is good for that one, whatever it says that it was called.
      legacyIds: caller.daemonId === undefined ? request.legacy_daemon_ids.slice(0, MAX_LEGACY_IDS) : [],
      capabilities: [...capabilitiesOf(c)],
      owner: caller.userId ?? null,
    });
    return c.json({
      runtimes: registered.map(wireRuntime),
      repos: [],
      repos_version: NO_REPOS,
      settings: {},
      server_capabilities: capabilities,
    });
  });
  routes.atLarge("POST", "/api/daemon/heartbeat", async (c, { enterRuntime }) => {
    const request = await readBody(c.req.raw, payloads.HeartbeatRequest);
    const { deps, runtime } = await enterRuntime(request.runtime_id);
    const answer = await beatAnswer(deps, runtime, { batchImport: request.supports_batch_import });
    if (!answer) throw new Refusal(404, RUNTIME_GONE);
    return c.json(answer);
  });
  routes.atLarge("POST", "/api/daemon/deregister", async (c, { shared, caller }) => {
    const request = await readBody(c.req.raw, payloads.DeregisterRequest);
    if (request.runtime_ids.length === 0) throw new Refusal(400, "runtime_ids is required");
    refuseTooMany(request.runtime_ids);
    const ids = request.runtime_ids.map(canonicalUuid);
    if (ids.includes(undefined)) throw new Refusal(400, "invalid runtime id");
    await deregisterRuntimes(shared, { ids: ids as string[], caller });
    return c.json({ status: "ok" });
  });
  routes.inRuntime(
    "POST",
    "/api/daemon/runtimes/:rid/recover-orphans",
    async (c, { deps, runtime }) => c.json(await recoverOrphans(deps, runtime)),
  );
  routes.inRuntime("POST", "/api/daemon/runtimes/:rid/usage", async (c, { deps, runtime }) => {
    const { entries } = await readBody(c.req.raw, DailyUsageRequest);
    await putDailyUsage(deps, runtime, entries);
    return c.json({ status: "ok" });
  });
}

function addClaimRoutes(routes: Routes): void {
  // The second is the other name of the first.
  for (const path of ["/api/daemon/tasks/claim", "/api/daemon/claim"]) {
    routes.atLarge("POST", path, async (c, { shared, caller }) => {
      const request = await readBody(c.req.raw, payloads.ClaimRequest);
      return c.json(await claimBatch(shared, { caller, capabilities: capabilitiesOf(c) }, request));
    });
  }
  routes.inRuntime("POST", "/api/daemon/runtimes/:rid/tasks/claim", async (c, { deps, caller, runtime }) => {
    const query = { caller, capabilities: capabilitiesOf(c), runtimeIds: [runtime], max: 1 };
    const [task = null] = await claimTasks(deps, query);
    return c.json({ task });
  });
  routes.inRuntime("GET", "/api/daemon/runtimes/:rid/tasks/pending", async (c, { deps, runtime }) => {
    return c.json((await deps.store.all<TaskRecord>(PENDING, { runtime })).map(wireTask));
  });
  routes.inRuntimeTask("POST", "/api/daemon/runtimes/:rid/tasks/:tid/skill-bundles/resolve", async (c, { task }) => {
    const { skills } = await readBody(c.req.raw, ResolveRequest);
    if (!isPreparing(task.status)) throw new Refusal(409, "task is not preparing");
    // Ours come with the claim, whole.
    if (skills?.length) throw new Refusal(404, "skill bundle not found");
    return c.json({ bundles: [] });
  });
}

/** Claimed and not started. */
function isPreparing(status: TaskState): boolean {
  return statesBefore("prepare-lease").includes(status);
}

function addMoveRoutes(routes: Routes): void {
  /** For moves that only make sense once: too late is an error. */
  const strict = (c: ApiContext, moved: Moved) => {
    if (moved.kind === "unchanged") {
      throw new Refusal(400, `invalid task state: the task is ${moved.task.status}`);
    }
    return lenient(c, moved);
  };
  /** For reports that may be sent again: too late is answered with the row as it is. */
  const lenient = (c: ApiContext, moved: Moved) => {
    if (moved.kind === "no-such-task") throw new Refusal(404, TASK_GONE);
    return c.json(wireTask(moved.task));
  };
  routes.inTask("POST", "/api/daemon/tasks/:tid/start", async (c, { deps, task }) => {
    return strict(c, await startTask(deps, task.id));
  });
  routes.inTask("POST", "/api/daemon/tasks/:tid/complete", async (c, { deps, task }) => {
    const request = await readBody(c.req.raw, payloads.CompleteRequest);
    return lenient(c, await completeTask(deps, task.id, { request }));
  });
  routes.inTask("POST", "/api/daemon/tasks/:tid/fail", async (c, { deps, task }) => {
    const report = await readBody(c.req.raw, payloads.FailRequest);
    const reason = report.failure_reason || "agent_error.unknown";
    return lenient(c, await failTask(deps, { id: task.id, event: "fail", reason, error: report.error, report }));
  });
  routes.inTask("POST", "/api/daemon/tasks/:tid/wait-local-directory", async (c, { deps, task }) => {
    const { reason } = await readBody(c.req.raw, payloads.WaitRequest);
    return strict(c, await waitForDirectory(deps, { id: task.id, reason }));
  });
  routes.inRuntimeTask("POST", "/api/daemon/runtimes/:rid/tasks/:tid/prepare-lease", async (c, { deps, task }) => {
    return strict(c, await renewLease(deps, task.id));
  });
}

function addReportRoutes(routes: Routes): void {
  const ok = { status: "ok" };
  routes.inTask("GET", "/api/daemon/tasks/:tid/status", (c, { task }) => c.json({ status: task.status }));
  routes.inTask("POST", "/api/daemon/tasks/:tid/messages", async (c, { deps, task }) => {
    const { messages } = await readBody(c.req.raw, payloads.MessagesRequest);
    await addMessages(deps, task.id, { messages });
    return c.json(ok);
  });
  routes.inTask("POST", "/api/daemon/tasks/:tid/usage", async (c, { deps, task }) => {
    const { usage } = await readBody(c.req.raw, payloads.UsageRequest);
    await putUsage(deps, task.id, { usage });
    return c.json(ok);
  });
  routes.inTask("POST", "/api/daemon/tasks/:tid/session", async (c, { deps, task }) => {
    const { session_id, work_dir } = await readBody(c.req.raw, payloads.SessionRequest);
    if (!session_id && !work_dir) throw new Refusal(400, "session_id or work_dir is required");
    await pinSession(deps, task.id, { sessionId: session_id, workDir: work_dir });
    return c.body(null, 204);
  });
  routes.inTask("POST", "/api/daemon/tasks/:tid/progress", async (c, { deps, task }) => {
    const { summary } = await readBody(c.req.raw, payloads.ProgressRequest);
    if (task.status === "running") deps.progress.set(task.id, summary);
    return c.json(ok);
  });
  routes.inTask("POST", "/api/daemon/tasks/:tid/cancel-ack", async (c, { deps, task }) => {
    // The agent has stopped, and that is what counts: details that cannot be read are no reason to refuse the news.
    const ack = await readBody(c.req.raw, payloads.CancelAckRequest).catch((error) => {
      if (error instanceof BadBody) return payloads.CancelAckRequest.parse({});
      throw error;
    });
    await acknowledgeCancel(deps, task.id, { ack });
    return c.json(ok);
  });
}
