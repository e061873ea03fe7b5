/** What each route answers to each kind of caller. A route that is not here fails the test: nobody can add one and forget to ask who comes. */
import { type AccessWorld, type Call, type CallerName, CALLERS } from "./access_world.ts";

/** Let in; or an answer that is the same whether or not there is such a thing, and that changes nothing. */
export type Expected = "in" | readonly [status: number, body?: unknown];
export type Expectations = Readonly<Record<CallerName, Expected>>;

export interface Row {
  readonly who: Expectations;
  /** What is asked for, besides method and path; `path` only where it has a query or other parameters. */
  readonly call?: (w: AccessWorld) => Partial<Call>;
  /** For the first who is let in. */
  readonly ok?: number;
  /** For the others, where it can be done only once. */
  readonly again?: number;
  /** Those of another workspace may do the same there. */
  readonly elsewhere?: boolean;
}

const no = (status: number, error: string): Expected => [status, { error }];
const NOBODY = no(401, "invalid or missing token");
const HIDDEN = no(404, "not found");

const STRANGERS = {
  "no token": NOBODY,
  "a header that is not well formed": NOBODY,
  "an unknown token": NOBODY,
  "an expired token": NOBODY,
  "a revoked token": NOBODY,
} as const;

/** As daemons call: no task's token comes in, and those of another workspace and another daemon as given. */
function daemons(foreign: Expected, neighbour: Expected, more: Partial<Expectations> = {}): Expectations {
  return {
    ...STRANGERS,
    "a user of another workspace": foreign,
    "a daemon of another workspace": foreign,
    "another daemon": neighbour,
    "another task": NOBODY,
    "the task": NOBODY,
    "the daemon": "in",
    "the user": "in",
    ...more,
  };
}

/** As people and their agents call: no daemon's token comes in. */
function people(foreign: Expected, task: Expected, otherTask: Expected): Expectations {
  return {
    ...STRANGERS,
    "a user of another workspace": foreign,
    "a daemon of another workspace": NOBODY,
    "another daemon": NOBODY,
    "another task": otherTask,
    "the task": task,
    "the daemon": NOBODY,
    "the user": "in",
  };
}

/** Of a runtime, or a task of it. */
const OWN = daemons(HIDDEN, HIDDEN);
const WORKSPACE = daemons(no(404, "workspace not found"), "in");
const ISSUE = daemons(no(404, "issue not found"), "in");

const send = (body: unknown) => () => ({ body });
const MISMATCH = no(403, "daemon_id mismatch");

const CLAIM: Row = {
  // A daemon of that very id in another workspace has nothing there; one of another id is told so.
  who: daemons([200, { tasks: [] }], MISMATCH),
  call: (w) => ({ body: { daemon_id: "d1", runtime_ids: [w.runtime], max_tasks: 5 } }),
};

const DAEMON_ROUTES: Readonly<Record<string, Row>> = {
  "GET /api/daemon/workspaces": { who: daemons([200], "in") },
  "GET /api/daemon/workspaces/:wid/runtime-profiles": { who: WORKSPACE },
  "GET /api/daemon/workspaces/:wid/repos": { who: WORKSPACE },
  "POST /api/daemon/workspaces/:wid/issues/gc-check": {
    who: WORKSPACE,
    call: (w) => ({ body: { issue_ids: [w.issue] } }),
  },
  "POST /api/daemon/register": {
    who: daemons(no(404, "workspace not found"), MISMATCH),
    call: (w) => ({ body: { workspace_id: w.home, daemon_id: "d1", runtimes: [{ type: "claude" }] } }),
  },
  "GET /api/daemon/ws": { who: OWN, call: (w) => ({ path: `/api/daemon/ws?runtime_ids=${w.runtime}` }) },
  "POST /api/daemon/heartbeat": { who: OWN, call: (w) => ({ body: { runtime_id: w.runtime } }) },
  "POST /api/daemon/deregister": {
    // What is not theirs is passed over without a word.
    who: daemons([200, { status: "ok" }], [200, { status: "ok" }]),
    call: (w) => ({ body: { runtime_ids: [w.runtime] } }),
  },
  "POST /api/daemon/claim": CLAIM,
  "POST /api/daemon/tasks/claim": CLAIM,
  "POST /api/daemon/runtimes/:rid/tasks/claim": { who: OWN },
  "POST /api/daemon/runtimes/:rid/recover-orphans": { who: OWN },
  "POST /api/daemon/runtimes/:rid/usage": { who: OWN, call: send({ entries: [] }) },
  "POST /api/daemon/runtimes/:rid/tasks/:tid/prepare-lease": { who: OWN },
  "POST /api/daemon/tasks/:tid/start": { who: OWN, again: 400 },
  "POST /api/daemon/tasks/:tid/complete": { who: OWN },
  "POST /api/daemon/tasks/:tid/fail": { who: OWN },
  "POST /api/daemon/tasks/:tid/wait-local-directory": { who: OWN, again: 400 },
  "GET /api/daemon/tasks/:tid/status": { who: OWN },
  "GET /api/daemon/runtimes/:rid/tasks/pending": { who: OWN },
  "POST /api/daemon/runtimes/:rid/tasks/:tid/skill-bundles/resolve": { who: OWN, call: send({ skills: [] }) },
  "GET /api/daemon/tasks/:tid/messages": { who: OWN },
  "POST /api/daemon/tasks/:tid/messages": { who: OWN, call: send({ messages: [{ seq: 1, type: "text" }] }) },
  "POST /api/daemon/tasks/:tid/usage": { who: OWN, call: send({ usage: [{ model: "m", input_tokens: 1 }] }) },
  "POST /api/daemon/tasks/:tid/session": { who: OWN, call: send({ session_id: "s1" }), ok: 204 },
  "POST /api/daemon/tasks/:tid/progress": { who: OWN, call: send({ summary: "at it" }) },
  "POST /api/daemon/tasks/:tid/cancel-ack": { who: OWN },
  "GET /api/daemon/tasks/:tid/gc-check": { who: OWN },
  "GET /api/daemon/issues/:iid/gc-check": { who: ISSUE },
};

const NO_PAT = no(400, "not a personal access token");

/** Of people alone. */
const owner = (foreign: Expected) => people(foreign, NOBODY, NOBODY);
const ISSUE_GONE = no(404, "issue not found");
const WORKSPACE_GONE = no(404, "workspace not found");
/** A task's token opens its own issue and no other. */
const OWN_ISSUE = people(ISSUE_GONE, "in", ISSUE_GONE);
const AGENT: Row = { who: owner(no(404, "agent not found")), call: send({ max_concurrent_tasks: 3 }) };

/** What people ask of a daemon, what it answers, and what people then see. */
function asked(path: string, kind: string, wish: unknown, result: unknown, again = 201): Record<string, Row> {
  const at = (end: string) => (w: AccessWorld) => `/runtimes/${w.runtime}/${path}/${w.requests.get(kind)}${end}`;
  return {
    [`POST /api/runtimes/:rid/${path}`]: { who: owner(HIDDEN), call: send(wish), ok: 201, again },
    [`GET /api/runtimes/:rid/${path}/:qid`]: { who: owner(HIDDEN), call: (w) => ({ path: `/api${at("")(w)}` }) },
    [`POST /api/daemon/runtimes/:rid/${path}/:qid/result`]: {
      who: OWN,
      call: (w) => ({ path: `/api/daemon${at("/result")(w)}`, body: result }),
    },
  };
}

const REQUEST_ROUTES: Readonly<Record<string, Row>> = {
  ...asked("update", "update", { target_version: "v1.0.0" }, { status: "completed", output: "done" }, 409),
  ...asked("models", "models", {}, { status: "completed", models: [{ id: "m1" }], supported: true }),
  ...asked("local-skills", "local-skills", {}, { status: "completed", skills: [], supported: true }),
  ...asked("local-skills/import", "import", { skill_key: "pdf" }, { status: "failed", error: "no" }),
};

const PEOPLES_ROUTES: Readonly<Record<string, Row>> = {
  "GET /api/me": { who: people([200], NOBODY, NOBODY) },
  "GET /api/workspaces": { who: people([200], "in", "in") },
  "GET /api/agents": { who: people([200], "in", "in") },
  "POST /api/agents": {
    who: owner(no(404, "runtime not found")),
    call: (w) => ({ body: { name: "Rex", runtime_id: w.runtime } }),
    ok: 201,
  },
  "GET /api/agents/:aid": { who: people(no(404, "agent not found"), "in", "in") },
  "PATCH /api/agents/:aid": AGENT,
  "PUT /api/agents/:aid": AGENT,
  "GET /api/issues": { who: owner([200]) },
  "POST /api/issues": {
    who: owner(no(404, "agent not found")),
    call: (w) => ({ body: { title: "Look", description: "around", agent_id: w.agent } }),
    ok: 201,
  },
  "GET /api/issues/:iid": { who: OWN_ISSUE },
  "PUT /api/issues/:iid": { who: OWN_ISSUE, call: send({ status: "in_review" }) },
  "PATCH /api/issues/:iid": { who: OWN_ISSUE, call: send({ title: "Look again" }) },
  "GET /api/issues/:iid/comments": { who: OWN_ISSUE },
  "POST /api/issues/:iid/comments": { who: OWN_ISSUE, call: send({ content: "Well" }), ok: 201 },
  "GET /api/issues/:iid/tasks": { who: owner(ISSUE_GONE) },
  "POST /api/issues/:iid/tasks/cancel": { who: owner(ISSUE_GONE) },
  "GET /api/tasks/:tid": { who: owner(HIDDEN) },
  "GET /api/tasks/:tid/usage": { who: owner(HIDDEN) },
  "GET /api/tasks/:tid/messages": { who: owner(HIDDEN) },
  "POST /api/tasks/:tid/cancel": { who: owner(HIDDEN) },
  "GET /api/runtimes": { who: owner([200]) },
  "DELETE /api/runtimes/:rid": { who: owner(HIDDEN), ok: 204 },
  "GET /api/workspaces/:wid/runtime-profiles": { who: owner(WORKSPACE_GONE) },
  "POST /api/workspaces/:wid/runtime-profiles": {
    who: owner(WORKSPACE_GONE),
    call: send({ display_name: "new", protocol_family: "claude", command_name: "new-claude" }),
    ok: 201,
  },
  "PATCH /api/workspaces/:wid/runtime-profiles/:pid": { who: owner(WORKSPACE_GONE), call: send({ enabled: false }) },
  "PUT /api/workspaces/:wid/runtime-profiles/:pid": { who: owner(WORKSPACE_GONE), call: send({ enabled: false }) },
  "DELETE /api/workspaces/:wid/runtime-profiles/:pid": { who: owner(WORKSPACE_GONE), ok: 204 },
  "POST /api/tokens/current/renew": {
    who: {
      ...daemons(NO_PAT, NO_PAT),
      "the daemon": NO_PAT,
      "a user of another workspace": [200, { expires_at: "", renewed: false }],
    },
  },
};

const NO_LOGIN: Expected = [401];
/** Over TCP, by people alone; `foreign` is for those who name what is in a workspace that they cannot enter. */
function owners(foreign: Expected): Expectations {
  const nobody = Object.fromEntries(CALLERS.map((caller) => [caller, NO_LOGIN])) as Record<CallerName, Expected>;
  return { ...nobody, "a user of another workspace": foreign, "the user": "in" };
}

const THEIRS: Expected = [200];
const TASK_UNKNOWN: Expected = [404];
const one = (name: string) => (w: AccessWorld) => ({ path: `/v1/tasks/${w.task}${name}` });

const USER_ROUTES: Readonly<Record<string, Row>> = {
  "GET /v1/agents": { who: owners(THEIRS) },
  "GET /v1/queue": { who: owners(THEIRS) },
  "GET /v1/usage": { who: owners(THEIRS) },
  "GET /v1/tasks": { who: owners(THEIRS) },
  "POST /v1/tasks": {
    who: owners([404]),
    call: (w) => ({
      body: { prompt: "Go on", resume: w.task, directory: { mode: "scratch" }, permission: "full" },
    }),
    // Its place is taken, which only who is let in is told.
    ok: 409,
  },
  "GET /v1/tasks/:id": { who: owners(TASK_UNKNOWN), call: one("") },
  "GET /v1/tasks/:id/messages": { who: owners(TASK_UNKNOWN), call: one("/messages") },
  "GET /v1/tasks/:id/follow": { who: owners(TASK_UNKNOWN), call: one("/follow") },
  "POST /v1/tasks/:id/cancel": { who: owners(TASK_UNKNOWN), call: one("/cancel") },
  "GET /v1/runtime-profiles": { who: owners(THEIRS) },
  "POST /v1/runtime-profiles": {
    who: owners([201]),
    elsewhere: true,
    call: send({ display_name: "new", protocol_family: "claude", command_name: "new-claude" }),
    ok: 201,
  },
  "PATCH /v1/runtime-profiles/:name": {
    who: owners([404]),
    call: () => ({ path: "/v1/runtime-profiles/mine", body: { enabled: false } }),
  },
  "DELETE /v1/runtime-profiles/:name": { who: owners([404]), call: () => ({ path: "/v1/runtime-profiles/mine" }) },
};

export const TABLE: Readonly<Record<string, Row>> = {
  ...DAEMON_ROUTES,
  ...PEOPLES_ROUTES,
  ...REQUEST_ROUTES,
  ...USER_ROUTES,
};

/** The good call of a route. */
export function callOf(w: AccessWorld, route: string): Call {
  const [method = "", pattern = ""] = route.split(" ");
  const named: Record<string, string> = {
    wid: w.home,
    rid: w.runtime,
    tid: w.task,
    iid: w.issue,
    aid: w.agent,
    pid: w.profile,
  };
  const path = pattern.replaceAll(/:(\w+)/g, (whole, name) => named[name] ?? whole);
  return { method, path, ...TABLE[route]?.call?.(w) };
}
