/** Two workspaces with everything in them that a route may name, and a token of every kind that may come along. */
import type { Deps, Shared } from "../../lib/coordinator/deps.ts";
import { createHandler } from "../../lib/coordinator/handler.ts";
import { Hub } from "../../lib/coordinator/hub.ts";
import { openShared } from "../../lib/coordinator/open_shared.ts";
import { createPublicApi } from "../../lib/coordinator/public_api.ts";
import { submitTask } from "../../lib/coordinator/submit.ts";
import { callerOf, createToken, type NewToken, revokeToken } from "../../lib/coordinator/tokens.ts";
import { createUserApi } from "../../lib/coordinator/user_api.ts";
import type { Store } from "../../lib/coordinator/store.ts";
import type { Fetch, Logger } from "../../lib/core/ports.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { newDatabase, storeKind } from "./stores.ts";
import { type Answer, countingRandom, SILENT } from "./world.ts";

/** Who may come along, in the order in which they are tried: those who are let in come last. */
export const CALLERS = [
  "no token",
  "a header that is not well formed",
  "an unknown token",
  "an expired token",
  "a revoked token",
  "a user of another workspace",
  "a daemon of another workspace",
  "another daemon",
  "another task",
  "the task",
  "the daemon",
  "the user",
] as const;
export type CallerName = typeof CALLERS[number];

const TABLES = {
  sqlite: "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
  postgres: "SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename",
};
const DAEMON = "d1";

export class AccessWorld implements AsyncDisposable {
  readonly #headers = new Map<CallerName, string>();
  /** What routes name, all of it in the workspace `home`, on the daemon `d1`. */
  readonly home: string;
  readonly runtime: string;
  /** Claimed, not started. */
  readonly task: string;
  readonly issue: string;
  readonly profile: string;
  readonly agent: string;
  /** What somebody has asked of the runtime's daemon, by its kind. */
  readonly requests: ReadonlyMap<string, string>;

  private constructor(
    readonly shared: Shared,
    /** What a listener serves: both interfaces. */
    readonly fetch: Fetch,
    /** All of both, as `METHOD /path/:parameter`. */
    readonly routes: readonly string[],
    readonly disposeDatabase: () => PromiseLike<void>,
    made: Made,
  ) {
    ({
      home: this.home,
      runtime: this.runtime,
      task: this.task,
      issue: this.issue,
      profile: this.profile,
      agent: this.agent,
      requests: this.requests,
    } = made);
    this.#headers = made.headers;
  }

  static async create(log: Logger = SILENT): Promise<AccessWorld> {
    const own = await newDatabase();
    const random = countingRandom();
    const shared = await openShared({ database: own.database, clock: new FakeClock(), random, log });
    const authenticate = (token: string) => callerOf(shared, token);
    const hub = new Hub(shared, () => new Response("upgraded"));
    const api = createHandler(shared, authenticate, hub);
    const fetch = createPublicApi(shared, { authenticate, handler: (request) => api.fetch(request) });
    const peoples = createUserApi(shared, () => Promise.reject(new Error("Only its routes are asked for")));
    const routes = [...routesOf(api), ...routesOf(peoples)];
    const made = await furnish(shared, fetch);
    return new AccessWorld(shared, fetch, routes, () => own[Symbol.asyncDispose](), made);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.shared.wakeups.close();
    this.shared.topics.close();
    await this.shared.store.close();
    await this.disposeDatabase();
  }

  /** The header that this caller sends; `undefined` for none. */
  header(caller: CallerName): string | undefined {
    return this.#headers.get(caller);
  }

  /** Every row of every table, or those that name `about`; only when a token was used last is left out. */
  async dump(about = ""): Promise<Record<string, string[]>> {
    const { store } = this.shared;
    const dump: Record<string, string[]> = {};
    const tables = await store.all<{ name: string }>(TABLES[storeKind()]);
    for (const { name, row } of await rowsOf(store, tables.map(({ name }) => name))) {
      const { used_at: _, ...rest } = JSON.parse(row);
      if (row.includes(about)) (dump[name] ??= []).push(JSON.stringify(rest));
    }
    for (const rows of Object.values(dump)) rows.sort();
    return dump;
  }
}

/** Each as JSON; PostgreSQL is asked once, since that is most of its time. */
async function rowsOf(store: Store, tables: readonly string[]): Promise<{ name: string; row: string }[]> {
  if (storeKind() === "postgres") {
    const each = tables.map((name) => `SELECT '${name}' AS name, to_jsonb(${name})::text AS row FROM ${name}`);
    return await store.all(each.join(" UNION ALL "));
  }
  const rows = [];
  for (const name of tables) {
    for (const row of await store.all(`SELECT * FROM ${name}`)) rows.push({ name, row: JSON.stringify(row) });
  }
  return rows;
}

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Those of a handler; what stands before all of them is none. */
function routesOf({ routes }: { readonly routes: readonly { method: string; path: string }[] }): string[] {
  return routes.filter(({ method }) => method !== "ALL").map(({ method, path }) => `${method} ${path}`);
}

/** The answer; a body that is no JSON, and that of a stream, is `undefined`. */
export async function answerTo(
  fetch: Fetch,
  { method, path, body, headers = {} }: Call,
  authorization: string | undefined,
): Promise<Answer> {
  const response = await fetch(
    new Request(`http://coordinator${path}`, {
      method,
      headers: { ...(authorization === undefined ? {} : { authorization }), ...headers },
      ...(method === "GET" || method === "HEAD" ? {} : { body: JSON.stringify(body ?? {}) }),
    }),
  );
  if (method !== "HEAD" && response.headers.get("content-type")?.startsWith("application/json")) {
    return { status: response.status, body: await response.json() };
  }
  await response.body?.cancel();
  return { status: response.status, body: undefined };
}

type Made = Pick<AccessWorld, "home" | "runtime" | "task" | "issue" | "profile" | "agent" | "requests"> & {
  readonly headers: Map<CallerName, string>;
};

async function furnish(shared: Shared, fetch: Fetch): Promise<Made> {
  const clock = shared.clock as FakeClock;
  const made = (wanted: NewToken) => createToken(shared, wanted);
  const expired = await made({ scope: "user", name: "ann", workspace: "home", days: 1 });
  await clock.advance(2 * 86_400_000);
  const user = await made({ scope: "user", name: "ann", workspace: "home" });
  const revoked = await made({ scope: "user", name: "ann", workspace: "home" });
  await revokeToken(shared, revoked.id);
  const daemon = await made({ scope: "daemon", name: "box", workspace: "home", daemonId: DAEMON });
  const other = await made({ scope: "daemon", name: "shed", workspace: "home", daemonId: "d2" });
  const stranger = await made({ scope: "user", name: "bob", workspace: "away" });
  const strange = await made({ scope: "daemon", name: "away box", workspace: "away", daemonId: DAEMON });

  const home: Deps = { ...shared, workspaceId: user.workspaceId };
  const profile = await shared.random.uuid();
  await shared.store.run(
    `INSERT INTO runtime_profiles (id, workspace_id, display_name, provider, command_name, fixed_args, env, visibility,
       enabled, created_at, updated_at)
     VALUES (:id, :home, 'mine', 'claude', 'my-claude', '[]', '{}', 'workspace', 1, 0, 0)`,
    { id: profile, home: home.workspaceId },
  );
  const send = async (call: Call, token: string) => {
    const { status, body } = await answerTo(fetch, call, `Bearer ${token}`);
    if (status !== 200) throw new Error(`${call.path}: ${status} ${JSON.stringify(body)}`);
    return body;
  };
  const register = (token: string, workspace: string, daemon_id: string) =>
    send({
      method: "POST",
      path: "/api/daemon/register",
      body: { workspace_id: workspace, daemon_id, runtimes: [{ type: "claude" }, { type: "codex" }] },
    }, token);
  const { runtimes } = await register(user.token, home.workspaceId, DAEMON);
  await register(other.token, home.workspaceId, "d2");
  await register(strange.token, strange.workspaceId, DAEMON);
  const ids: string[] = runtimes.map(({ id }: { id: string }) => id);

  const tasks = [];
  for (const runtime of ids) {
    const agent = await shared.store.get<{ id: string; name: string }>(
      "SELECT id, name FROM agents WHERE runtime_id = :runtime",
      { runtime },
    );
    const id = await submitTask(home, {
      prompt: "Look around",
      agent: agent!.name,
      directory: { mode: "scratch" },
      permission: "full",
    }, { instance: null, resumed: undefined });
    // Two daemons have an agent of that name.
    await shared.store.run("UPDATE tasks SET runtime_id = :runtime, agent_id = :agent WHERE id = :id", {
      id,
      runtime,
      agent: agent!.id,
    });
    const path = `/api/daemon/runtimes/${runtime}/tasks/claim`;
    const { task } = await send({ method: "POST", path }, daemon.token);
    tasks.push({ ...task, agent: agent!.id });
  }
  const requests = new Map<string, string>();
  for (const kind of ["update", "models", "local-skills", "import"]) {
    const id = shared.random.hex(16);
    requests.set(kind, id);
    await shared.store.run(
      `INSERT INTO requests (id, runtime_id, kind, status, input, result, created_at, handed_at)
       VALUES (:id, :runtime, :kind, :status, '{}', NULL, :now, :now)`,
      { id, kind, runtime: ids[0]!, status: kind === "update" ? "completed" : "running", now: clock.now() },
    );
  }
  const [task, second] = tasks;
  const bearer = (token: string) => `Bearer ${token}`;
  const headers = new Map<CallerName, string>([
    ["a header that is not well formed", `bearer ${user.token}`],
    ["an unknown token", `Bearer mul_${"0".repeat(40)}`],
    ["an expired token", bearer(expired.token)],
    ["a revoked token", bearer(revoked.token)],
    ["a user of another workspace", bearer(stranger.token)],
    ["a daemon of another workspace", bearer(strange.token)],
    ["another daemon", bearer(other.token)],
    ["another task", bearer(second.auth_token)],
    ["the task", bearer(task.auth_token)],
    ["the daemon", bearer(daemon.token)],
    ["the user", bearer(user.token)],
  ]);
  return {
    home: home.workspaceId,
    runtime: ids[0]!,
    task: task.id,
    issue: task.issue_id,
    profile,
    agent: task.agent,
    requests,
    headers,
  };
}
