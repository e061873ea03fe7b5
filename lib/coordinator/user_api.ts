/** The user API as HTTP routes under `/v1/`: what people and scripts ask of the embedded coordinator (shapes in wire/control). */
import { type Context, Hono } from "hono";
import { TASK_STATES } from "../core/task_state.ts";
import { CreateTask } from "../wire/control.ts";
import { ChangeProfile, CreateProfile } from "../wire/profiles.ts";
import { addUsageView } from "./daily_usage.ts";
import type { Deps, Shared } from "./deps.ts";
import { followTask } from "./follow.ts";
import type { TaskRecord } from "./records.ts";
import { BadBody, readBody } from "./request_body.ts";
import { addProfile, listProfiles, removeProfile, setProfileEnabled } from "./runtime_profiles.ts";
import { isActive } from "./sql.ts";
import { submitTask } from "./submit.ts";
import { cancelTask } from "./transitions.ts";
import { UserRefusal } from "./user_refusal.ts";
import { listAgents, listMessages, listTasks, resolveTask, viewTask } from "./views.ts";

const LIST_DEFAULT = 50;
const LIST_LIMIT = 1_000;

/** How many tasks of an instance are not over yet, and how many queued tasks it will not claim. */
const QUEUE = `
WITH open AS (
  SELECT status, submitted_to, workspace_id FROM tasks INDEXED BY tasks_queue WHERE status = 'queued'
  UNION ALL SELECT status, submitted_to, workspace_id FROM tasks INDEXED BY tasks_deferred WHERE status = 'deferred'
  UNION ALL SELECT status, submitted_to, workspace_id FROM tasks INDEXED BY tasks_active WHERE ${isActive()})
SELECT
  count(*) FILTER (WHERE submitted_to = :instance) AS mine,
  count(*) FILTER (WHERE submitted_to IS DISTINCT FROM CAST(:instance AS TEXT) AND status = 'queued') AS others
FROM open WHERE workspace_id = :workspace`;

export interface UserEnv {
  readonly Variables: { deps: Deps };
}
export type UserApi = Hono<UserEnv>;
type UserContext = Context<UserEnv>;

/** In which workspace a call takes place. Throws `UserRefusal` for one that may not come in. */
export type Enter = (request: Request) => Deps | Promise<Deps>;
/** Of an interface that others can reach. */
export interface Outside {
  /** Whether who asked may still see what is of that workspace, for answers that go on for long. */
  readonly mayStay: (request: Request, workspaceId: string) => Promise<boolean>;
}

/** Without `outside` everybody is the owner of this machine: who came in stays, and hears why something failed. */
export function createUserApi(shared: Shared, enter: Enter, outside?: Outside): UserApi {
  const app: UserApi = new Hono<UserEnv>();
  app.use("/v1/*", async (c, next) => {
    c.set("deps", await enter(c.req.raw));
    await next();
  });
  app.notFound((c) =>
    refuse(c, new UserRefusal("invalid_request", `There is no ${c.req.method} ${c.req.path} here`), 404)
  );
  app.onError((error, c) => {
    if (error instanceof UserRefusal) return refuse(c, error);
    if (error instanceof BadBody) {
      return refuse(c, new UserRefusal("invalid_request", error.message), error.status);
    }
    shared.log.error("A call of a user failed", { method: c.req.method, path: c.req.path, error });
    return refuse(c, storeFailed(outside ? undefined : error.message));
  });
  addTaskRoutes(app);
  addFollowRoute(app, outside);
  addProfileRoutes(app);
  addUsageView(app);
  app.get("/v1/agents", async (c) => c.json({ agents: await listAgents(c.get("deps")) }));
  app.get(
    "/v1/queue",
    async (c) => {
      const { store, workspaceId: workspace } = c.get("deps");
      const instance = instanceOf(c);
      return c.json(await store.get<{ mine: number; others: number }>(QUEUE, { instance, workspace }));
    },
  );
  return app;
}

function addTaskRoutes(app: UserApi): void {
  app.post("/v1/tasks", async (c) => {
    const deps = c.get("deps");
    const request = await readBody(c.req.raw, CreateTask);
    const resumed = request.resume === undefined ? undefined : await resolveTask(deps, request.resume);
    const id = await submitTask(deps, request, { instance: instanceOf(c), resumed });
    return c.json(await viewTask(deps, id), 201);
  });
  app.get("/v1/tasks", async (c) => {
    const deps = c.get("deps");
    const limit = wholeNumber(c, "limit", { fallback: LIST_DEFAULT, min: 1, max: LIST_LIMIT });
    return c.json({ tasks: await listTasks(deps, { statuses: statusesOf(c), limit }) });
  });
  app.get("/v1/tasks/:id", async (c) => c.json(await viewTask(c.get("deps"), (await named(c)).id)));
  app.get("/v1/tasks/:id/messages", async (c) => {
    const deps = c.get("deps");
    const since = wholeNumber(c, "since", { fallback: 0, min: 0 });
    return c.json({ messages: await listMessages(deps, { id: (await named(c)).id, since }) });
  });
  app.post("/v1/tasks/:id/cancel", async (c) => {
    const deps = c.get("deps");
    const { id } = await named(c);
    await cancelTask(deps, id);
    return c.json(await viewTask(deps, id));
  });
}

function addFollowRoute(app: UserApi, outside: Outside | undefined): void {
  app.get("/v1/tasks/:id/follow", async (c) => {
    const deps = c.get("deps");
    const request = c.req.raw;
    const { id } = await named(c);
    const since = wholeNumber(c, "since", { fallback: lastEventId(c), min: 0 });
    const stays = outside && { mayStay: () => outside.mayStay(request, deps.workspaceId) };
    return new Response(followTask(deps, { id, since }, { signal: request.signal, ...stays }), {
      // The last for proxies that would keep back what they have until it is much.
      headers: { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" },
    });
  });
}

function addProfileRoutes(app: UserApi): void {
  const path = "/v1/runtime-profiles";
  app.get(path, async (c) => c.json({ profiles: await listProfiles(c.get("deps")) }));
  app.post(path, async (c) => c.json(await addProfile(c.get("deps"), await readBody(c.req.raw, CreateProfile)), 201));
  app.patch(`${path}/:name`, async (c) => {
    const deps = c.get("deps");
    const { enabled } = await readBody(c.req.raw, ChangeProfile);
    return c.json(await setProfileEnabled(deps, c.req.param("name"), enabled));
  });
  app.delete(`${path}/:name`, async (c) => c.json(await removeProfile(c.get("deps"), c.req.param("name"))));
}

/** A database's own words tell where it is and as whom it is used, which is nobody else's business. */
function storeFailed(why: string | undefined): UserRefusal {
  if (why === undefined) {
    const hint = "Try again in a moment; why is in the server's log";
    return new UserRefusal("store_failed", "The server cannot use its database", hint);
  }
  const hint = "Nothing was changed; check free space and permissions, then try again";
  return new UserRefusal("store_failed", `Using the task database failed: ${why}`, hint);
}

function refuse(c: UserContext, refusal: UserRefusal, status: number = refusal.status): Response {
  return c.json(refusal.body, status as 400);
}

function named(c: UserContext): Promise<TaskRecord> {
  return resolveTask(c.get("deps"), c.req.param("id") ?? "");
}

/** Which process the caller talks to, as far as it says. */
function instanceOf(c: UserContext): string | null {
  return c.req.header("x-drover-instance") || null;
}

function statusesOf(c: UserContext): string[] | undefined {
  const wanted = c.req.query("status")?.split(",").map((one) => one.trim()).filter(Boolean);
  if (!wanted?.length) return undefined;
  const unknown = wanted.find((one) => !(TASK_STATES as readonly string[]).includes(one));
  if (unknown !== undefined) {
    throw new UserRefusal(
      "invalid_request",
      `Listing tasks failed: "${unknown}" is no status; use ${TASK_STATES.join(", ")}`,
    );
  }
  return wanted;
}

/** A browser-style client that reconnects says where it was. Nonsense counts as nothing. */
function lastEventId(c: UserContext): number {
  const seq = Number(c.req.header("last-event-id") ?? 0);
  return Number.isSafeInteger(seq) && seq > 0 ? seq : 0;
}

function wholeNumber(c: UserContext, name: string, rule: { fallback: number; min: number; max?: number }): number {
  const text = c.req.query(name);
  if (text === undefined) return rule.fallback;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  const max = rule.max ?? Number.MAX_SAFE_INTEGER;
  if (value >= rule.min && value <= max) return value;
  throw new UserRefusal("invalid_request", `Invalid ${name}: "${text}"; use a whole number from ${rule.min} to ${max}`);
}
