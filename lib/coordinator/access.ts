/** Where a call takes place: what it names is looked up, and only who may enter its workspace gets something to work with (wire protocol 0.3). */
import type { Context, Hono } from "hono";
import { type Caller, type CallerScope, DAEMON_SCOPES, mayUse, OWNER_SCOPES, PEOPLE_SCOPES } from "./caller.ts";
import type { Deps, Shared } from "./deps.ts";
import type { TaskRecord } from "./records.ts";
import { NOT_YOURS, Refusal, RUNTIME_GONE, TASK_GONE, WORKSPACE_GONE } from "./refusal.ts";
import { canonicalUuid } from "./uuid.ts";
import { chooseWorkspace, WORKSPACE_HEADER } from "./workspace_choice.ts";
import { listWorkspaces } from "./workspaces.ts";

// deno-lint-ignore no-explicit-any -- Hono's own default for a context whose path is not known
export type ApiContext = Context<ApiEnv, any>;
export interface ApiEnv {
  readonly Variables: { caller: Caller };
}
export type Api = Hono<ApiEnv>;

export type TaskHead = Pick<TaskRecord, "id" | "runtime_id" | "workspace_id" | "thread_id" | "status">;

/** What every handler gets besides the request. */
interface Here {
  readonly caller: Caller;
}
export interface InWorkspace extends Here {
  readonly deps: Deps;
}
export interface InRuntime extends InWorkspace {
  readonly runtime: string;
}
export interface InTask extends InWorkspace {
  readonly task: TaskHead;
}
export interface InIssue extends InWorkspace {
  readonly issue: string;
}
export interface InAgent extends InWorkspace {
  readonly agent: string;
}
/** Of no place that the path names: the handler enters what the body names. */
export interface AtLarge extends Here {
  readonly shared: Shared;
  enterWorkspace(id: string): Deps;
  enterRuntime(id: string): Promise<InRuntime>;
}

type Handler<Place> = (c: ApiContext, place: Place) => Response | Promise<Response>;
type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** Which scopes may come in where, as `METHOD /path`: the first that fits. */
const ENTRANCES: readonly (readonly [call: RegExp, scopes: ReadonlySet<CallerScope>])[] = [
  [/ \/api\/daemon\//, DAEMON_SCOPES],
  [/ \/api\/tokens\/current\//, new Set(["user", "daemon"])],
  // What the agent of a task may do besides, in its workspace and with its own issue.
  [/^GET \/api\/(workspaces|agents|agents\/[^/]+)$/, PEOPLE_SCOPES],
  [/^(GET|PUT|PATCH) \/api\/issues\/[^/]+$/, PEOPLE_SCOPES],
  [/^(GET|POST) \/api\/issues\/[^/]+\/comments$/, PEOPLE_SCOPES],
  [/ \/api\//, OWNER_SCOPES],
];

export function mayEnter(method: string, path: string, scope: CallerScope): boolean {
  return ENTRANCES.find(([call]) => call.test(`${method} ${path}`))?.[1].has(scope) ?? false;
}

/** What a daemon can take, as it says with each call (wire protocol 0.4). */
export function capabilitiesOf(c: ApiContext): ReadonlySet<string> {
  const header = c.req.header("x-client-capabilities") ?? "";
  return new Set(header.split(",").map((one) => one.trim()).filter(Boolean));
}

/** Adds routes, each within its kind of place: a handler gets no store but through that, so none can forget to ask. */
export class Routes {
  readonly #app: Api;
  readonly #shared: Shared;

  constructor(app: Api, shared: Shared) {
    this.#app = app;
    this.#shared = shared;
  }

  atLarge(method: Method, path: string, handler: Handler<AtLarge>): void {
    this.#app.on(method, path, (c) => {
      const caller = c.get("caller");
      return handler(c, {
        caller,
        shared: this.#shared,
        enterWorkspace: (id) => this.#enterWorkspace(caller, id),
        enterRuntime: (id) => this.#enterRuntime(caller, id),
      });
    });
  }

  /** `:wid` */
  inWorkspace(method: Method, path: string, handler: Handler<InWorkspace>): void {
    this.#app.on(method, path, (c) => {
      const caller = c.get("caller");
      return handler(c, { caller, deps: this.#enterWorkspace(caller, c.req.param("wid") ?? "") });
    });
  }

  /** Of the workspace that the header `X-Workspace-ID` names, or the only one. */
  inChosenWorkspace(method: Method, path: string, handler: Handler<InWorkspace>): void {
    this.#app.on(method, path, async (c) => {
      const caller = c.get("caller");
      const open = await listWorkspaces(this.#shared, caller.workspaces);
      // A task's token has but one, whatever its agent says.
      const named = caller.scope === "task" ? undefined : c.req.header(WORKSPACE_HEADER);
      return handler(c, { caller, deps: this.#within(chooseWorkspace(open, named ?? null).id) });
    });
  }

  /** `:rid` */
  inRuntime(method: Method, path: string, handler: Handler<InRuntime>): void {
    this.#app.on(
      method,
      path,
      async (c) => handler(c, await this.#enterRuntime(c.get("caller"), c.req.param("rid") ?? "")),
    );
  }

  /** `:tid` */
  inTask(method: Method, path: string, handler: Handler<InTask>): void {
    this.#app.on(
      method,
      path,
      async (c) => handler(c, await this.#enterTask(c.get("caller"), c.req.param("tid") ?? "")),
    );
  }

  /** `:rid` and `:tid`, which belong together. */
  inRuntimeTask(method: Method, path: string, handler: Handler<InRuntime & InTask>): void {
    this.#app.on(method, path, async (c) => {
      const runtime = await this.#enterRuntime(c.get("caller"), c.req.param("rid") ?? "");
      const task = await this.#enterTask(runtime.caller, c.req.param("tid") ?? "");
      if (task.task.runtime_id !== runtime.runtime) throw new Refusal(404, TASK_GONE);
      return handler(c, { ...task, runtime: runtime.runtime });
    });
  }

  /** `:iid`; of a task's token only the issue of that task. */
  inIssue(method: Method, path: string, handler: Handler<InIssue>): void {
    this.#app.on(method, path, async (c) => {
      const caller = c.get("caller");
      const issue = canonicalUuid(c.req.param("iid") ?? "");
      const sql = `SELECT workspace_id FROM threads WHERE id = :issue AND (
        CAST(:task AS TEXT) IS NULL OR id = (SELECT thread_id FROM tasks WHERE id = :task))`;
      const place = { issue: issue ?? "", task: caller.taskId ?? null };
      const row = issue && await this.#shared.store.get<{ workspace_id: string }>(sql, place);
      if (!issue || !row || !caller.workspaces.has(row.workspace_id)) throw new Refusal(404, "issue not found");
      return handler(c, { caller, deps: this.#within(row.workspace_id), issue });
    });
  }

  /** `:aid` */
  inAgent(method: Method, path: string, handler: Handler<InAgent>): void {
    this.#app.on(method, path, async (c) => {
      const caller = c.get("caller");
      const agent = canonicalUuid(c.req.param("aid") ?? "");
      const sql = "SELECT r.workspace_id FROM agents a JOIN runtimes r ON r.id = a.runtime_id WHERE a.id = :agent";
      const row = agent && await this.#shared.store.get<{ workspace_id: string }>(sql, { agent });
      if (!agent || !row || !caller.workspaces.has(row.workspace_id)) throw new Refusal(404, "agent not found");
      return handler(c, { caller, deps: this.#within(row.workspace_id), agent });
    });
  }

  #within(workspaceId: string): Deps {
    return { ...this.#shared, workspaceId };
  }

  #enterWorkspace(caller: Caller, id: string): Deps {
    const workspace = canonicalUuid(id);
    if (!workspace || !caller.workspaces.has(workspace)) throw new Refusal(404, WORKSPACE_GONE);
    return this.#within(workspace);
  }

  async #enterRuntime(caller: Caller, text: string): Promise<InRuntime> {
    const runtime = canonicalUuid(text);
    if (!runtime) throw new Refusal(400, text ? "invalid runtime_id" : "runtime_id is required");
    const row = await this.#shared.store.get<{ workspace_id: string; daemon_id: string }>(
      "SELECT workspace_id, daemon_id FROM runtimes WHERE id = :runtime AND removed_at IS NULL",
      { runtime },
    );
    if (!row) throw new Refusal(404, RUNTIME_GONE);
    if (!mayUse(caller, row)) throw new Refusal(404, NOT_YOURS);
    return { caller, runtime, deps: this.#within(row.workspace_id) };
  }

  async #enterTask(caller: Caller, text: string): Promise<InTask> {
    const id = canonicalUuid(text);
    if (!id) throw new Refusal(400, "invalid task id");
    const row = await this.#shared.store.get<TaskHead & { daemon_id: string }>(
      `SELECT t.id, t.runtime_id, t.workspace_id, t.thread_id, t.status, r.daemon_id
       FROM tasks t JOIN runtimes r ON r.id = t.runtime_id WHERE t.id = :id`,
      { id },
    );
    if (!row) throw new Refusal(404, TASK_GONE);
    if (!mayUse(caller, row)) throw new Refusal(404, NOT_YOURS);
    return { caller, task: row, deps: this.#within(row.workspace_id) };
  }
}
