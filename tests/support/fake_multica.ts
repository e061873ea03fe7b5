/** A strict fake of a Multica server: answers as the protocol says, refuses every illegal move and writes it down, in its HEAD and its April dialect. */
import { FakeHub } from "./fake_multica_hub.ts";
import { type FakeTask, FakeTasks } from "./fake_multica_tasks.ts";

export type Dialect = "head" | "april";

export interface FakeRuntime {
  readonly id: string;
  readonly workspace_id: string;
  readonly daemon_id: string;
  provider: string;
  profile_id: string | null;
  name: string;
  status: "online" | "offline";
  beats: number;
}

export interface FakeProfile {
  readonly id: string;
  readonly display_name: string;
  readonly protocol_family: string;
  readonly command_name: string;
  readonly fixed_args?: readonly string[];
  enabled?: boolean;
}

export interface FakeCall {
  /** `POST /api/daemon/heartbeat`; over the WebSocket `WS daemon:heartbeat`. */
  readonly route: string;
  // deno-lint-ignore no-explicit-any
  readonly body: any;
  readonly headers: Headers;
}

/** What stands before a call: an answer in its place, or `undefined` to let it pass. */
export type FakeFault = (
  call: FakeCall,
  real: () => Promise<Response>,
) => Response | Promise<Response> | undefined;

/** What a heartbeat hands out once; the key is the field of the answer. */
export type Pending = "pending_update" | "pending_model_list" | "pending_local_skills" | "pending_ping";

// deno-lint-ignore no-explicit-any
type Body = any;
type Params = readonly string[];
type Route = readonly [method: string, path: RegExp, answer: (params: Params, body: Body) => Response];

export interface FakeMulticaOptions {
  readonly dialect?: Dialect;
  readonly now?: () => number;
  /** Absent: one workspace `w1`. */
  readonly workspaces?: readonly string[];
}

const ok = (value: unknown = { status: "ok" }, headers: Record<string, string> = {}) =>
  Response.json(value, { headers });
const no = (status: number, error: string) => Response.json({ error }, { status });
const NO_ROUTE = () => new Response("404 page not found\n", { status: 404 });

export class FakeMultica {
  readonly dialect: Dialect;
  /** The one credential that is let in; change it to revoke the old one. */
  token = `mul_${"0123456789abcdef".repeat(3).slice(0, 40)}`;
  workspaces: { id: string; name: string }[];
  readonly runtimes = new Map<string, FakeRuntime>();
  readonly profiles = new Map<string, FakeProfile[]>();
  readonly tasks: FakeTasks;
  readonly calls: FakeCall[] = [];
  /** What no daemon may ever do; empty at the end of a good test. */
  readonly violations: string[] = [];
  readonly hub: FakeHub;
  fault: FakeFault | undefined;
  /** Runtime id to what its next heartbeats bring. */
  readonly #pending = new Map<string, Record<string, unknown>[]>();
  /** Results of asked things by id; `undefined` while there is none. */
  readonly results = new Map<string, Record<string, unknown>[]>();
  readonly #routes: readonly Route[];
  #server: Deno.HttpServer<Deno.NetAddr> | undefined;

  constructor({ dialect = "head", now = () => performance.now(), workspaces = ["w1"] }: FakeMulticaOptions = {}) {
    this.dialect = dialect;
    this.workspaces = workspaces.map((id) => ({ id, name: `name of ${id}` }));
    this.hub = new FakeHub(this);
    this.tasks = new FakeTasks({ now, old: dialect === "april", onEnd: (task) => this.#wake(task) });
    this.#routes = this.#makeRoutes();
  }

  /** The server as the `Fetch` of a connection, without any network. */
  readonly fetch = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    const text = await request.text();
    const body = text === "" ? undefined : JSON.parse(text);
    return await this.handle({ route: `${request.method} ${pathname}`, body, headers: request.headers });
  };

  /** On 127.0.0.1, with its WebSocket; the base URL. */
  listen(): string {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
      if (request.headers.get("upgrade") !== "websocket") return this.fetch(request);
      return this.hub.refusal(request.url, request.headers) ?? this.hub.upgrade(request);
    });
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async close(): Promise<void> {
    this.hub.cut();
    await this.#server?.shutdown();
  }

  async handle(call: FakeCall): Promise<Response> {
    this.calls.push(call);
    const real = () => Promise.resolve(this.answer(call));
    return await (this.fault?.(call, real) ?? real());
  }

  answer({ route, body, headers }: FakeCall): Response {
    const [method = "", path = ""] = route.split(" ");
    if (path.startsWith("/api/issues/")) return this.#issue(path, headers);
    if (headers.get("authorization") !== `Bearer ${this.token}`) return no(401, "invalid token");
    for (const [verb, pattern, answer] of this.#routes) {
      const match = verb === method ? pattern.exec(path) : null;
      if (match) return path === "/api/daemon/workspaces" ? this.#listed(headers) : answer(match.slice(1), body);
    }
    return NO_ROUTE();
  }

  /** How often a route was called; a part of its text is enough. */
  count(route: string): number {
    return this.calls.filter((call) => call.route.includes(route)).length;
  }

  enqueue(runtimeId: string, more: Record<string, unknown> = {}): FakeTask {
    const { workspace_id } = this.runtimes.get(runtimeId)!;
    const task = this.tasks.add({ runtime_id: runtimeId, workspace_id }, more);
    this.hub.send("daemon:task_available", { runtime_id: runtimeId, task_id: task.id });
    return task;
  }

  /** What waited for the end of this task. */
  #wake({ agent_id }: FakeTask): void {
    const waiting = [...this.tasks.all.values()].find((one) => one.agent_id === agent_id && one.status === "queued");
    if (!waiting) return;
    const { runtime_id, id } = waiting;
    this.hub.send("daemon:task_available", { runtime_id, task_id: id });
  }

  runtimeOf(provider: string, workspace = this.workspaces[0]!.id): FakeRuntime {
    const found = [...this.runtimes.values()].find((one) =>
      one.provider === provider && one.workspace_id === workspace
    );
    if (!found) throw new Error(`The fake server has no runtime ${provider} of ${workspace}`);
    return found;
  }

  /** As when its owner deletes it. */
  forget(runtimeId: string): void {
    this.runtimes.delete(runtimeId);
  }

  setProfiles(workspace: string, profiles: readonly FakeProfile[]): void {
    this.profiles.set(workspace, [...profiles]);
    this.hub.send("daemon:runtime_profiles_changed", { workspace_id: workspace });
  }

  /** Handed out once, with the next beat of the runtime; its id, by which `results` has what comes back. */
  ask(runtimeId: string, kind: Pending, more: Record<string, unknown> = {}): string {
    const id = crypto.randomUUID().replaceAll("-", "");
    this.results.set(id, []);
    this.#pending.set(runtimeId, [...this.#pending.get(runtimeId) ?? [], { [kind]: { id, ...more } }]);
    return id;
  }

  askImports(runtimeId: string, keys: readonly string[]): string[] {
    const items = keys.map((skill_key) => ({ id: crypto.randomUUID().replaceAll("-", ""), skill_key }));
    for (const { id } of items) this.results.set(id, []);
    const both = { pending_local_skill_import: items[0], pending_local_skill_imports: items };
    this.#pending.set(runtimeId, [...this.#pending.get(runtimeId) ?? [], both]);
    return items.map(({ id }) => id);
  }

  /** The answer to a beat, over either transport; `undefined` for a row that is not there. */
  beat(runtimeId: string): Record<string, unknown> | undefined {
    const runtime = this.runtimes.get(runtimeId);
    if (!runtime) return undefined;
    runtime.beats++;
    runtime.status = "online";
    const [pending = {}, ...rest] = this.#pending.get(runtimeId) ?? [];
    this.#pending.set(runtimeId, rest);
    return { status: "ok", ...pending };
  }

  claim(body: Body): Response {
    if (typeof body?.daemon_id !== "string" || body.daemon_id === "") return no(400, "daemon_id is required");
    if (!Number.isInteger(body.max_tasks) || body.max_tasks < 0) return no(400, "max_tasks is invalid");
    const known = (body.runtime_ids as string[]).filter((id) => this.#isThere(id));
    const tasks = this.tasks.claim(known, Math.min(body.max_tasks, 32));
    return ok({ tasks: tasks.map((task) => this.tasks.payload(task)) });
  }

  #isThere(id: string): boolean {
    return this.runtimes.get(id)?.status === "online";
  }

  violation(what: string): void {
    this.violations.push(what);
  }

  #listed(headers: Headers): Response {
    const text = JSON.stringify(this.workspaces);
    const etag = `W/"${[...text].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) >>> 0, 7).toString(16)}"`;
    if (headers.get("if-none-match") === etag) return new Response(null, { status: 304, headers: { etag } });
    return ok(this.workspaces, { etag });
  }

  #register(body: Body): Response {
    if (!this.workspaces.some(({ id }) => id === body.workspace_id)) return no(404, "workspace not found");
    if (!body.daemon_id) return no(400, "daemon_id is required");
    if (body.runtimes.length + (body.failed_profiles ?? []).length === 0) {
      this.violation("register with nothing");
      return no(400, "at least one runtime or failed profile is required");
    }
    const rows: FakeRuntime[] = [];
    for (const { type, name, profile_id = null } of body.runtimes) {
      const profile = profile_id && this.profiles.get(body.workspace_id)?.find(({ id }) => id === profile_id);
      if (profile_id && !profile) return no(400, `unknown runtime profile: ${profile_id}`);
      if (profile && profile.enabled === false) return no(409, `runtime profile is disabled: ${profile_id}`);
      rows.push(this.#upsert(body, profile ? profile.protocol_family : type, profile_id, name));
    }
    return ok({ runtimes: rows, repos: [], repos_version: "e3b0c442", settings: {} });
  }

  #upsert(body: Body, provider: string, profileId: string | null, name: string): FakeRuntime {
    const same = [...this.runtimes.values()].find((one) =>
      one.workspace_id === body.workspace_id && one.daemon_id === body.daemon_id &&
      (profileId ? one.profile_id === profileId : !one.profile_id && one.provider === provider)
    );
    const row: FakeRuntime = same ?? {
      id: crypto.randomUUID(),
      workspace_id: body.workspace_id,
      daemon_id: body.daemon_id,
      provider,
      profile_id: profileId,
      name,
      status: "online",
      beats: 0,
    };
    row.status = "online";
    this.runtimes.set(row.id, row);
    return row;
  }

  /** For agents: only a task's own token is let in. */
  #issue(path: string, headers: Headers): Response {
    const token = headers.get("authorization")?.replace("Bearer ", "") ?? "";
    // Where tasks have no token the daemon reads for them.
    const own = token === this.token && this.dialect === "april";
    if (token === this.token && !own) this.violation("the daemon's own token asked for an issue");
    if (!own && ![...this.tasks.all.values()].some((task) => task.token !== "" && task.token === token)) {
      return no(401, "invalid token");
    }
    const [, , , id, rest] = path.split("/");
    return rest === "comments"
      ? ok([])
      : ok({ id, title: "A title", description: "What is to be done.", status: "todo" });
  }

  #task(id: string, answer: (task: FakeTask) => Response): Response {
    const task = this.tasks.all.get(id);
    return task ? answer(task) : no(404, "task not found");
  }

  #move(id: string, what: string, move: (task: FakeTask) => boolean): Response {
    return this.#task(id, (task) => {
      if (move(task)) return ok(this.tasks.payload(task));
      if (what === "start") this.violation(`${what} of a task that is ${task.status}`);
      return no(400, `cannot ${what} a task that is ${task.status}`);
    });
  }

  #messages(task: FakeTask, messages: { seq: number; type: string }[]): Response {
    for (const message of messages) {
      const last = task.messages.at(-1)?.seq ?? 0;
      // A batch may be lost, but never come twice or out of order.
      if (message.seq <= last) this.violation(`message ${message.seq} of a task follows ${last}`);
      task.messages.push(message);
    }
    return ok();
  }

  #result(id: string, body: Body): Response {
    const results = this.results.get(id);
    if (!results) return no(404, "request not found");
    if (results.some(({ status }) => status !== "running")) this.violation(`a second result of ${id}`);
    results.push(body);
    return ok();
  }

  #makeRoutes(): Route[] {
    const task = "^/api/daemon/tasks/([^/]+)";
    const runtime = "^/api/daemon/runtimes/([^/]+)";
    const gone = (id: string) => this.runtimes.has(id) ? undefined : no(404, "runtime not found");
    const both: Route[] = [
      ["POST", /^\/api\/daemon\/register$/, (_, body) => this.#register(body)],
      ["POST", /^\/api\/daemon\/heartbeat$/, (_, { runtime_id }) => {
        const answer = this.beat(runtime_id);
        return answer ? ok(answer) : no(404, "runtime not found");
      }],
      ["POST", /^\/api\/daemon\/deregister$/, (_, { runtime_ids }) => {
        if (runtime_ids.length === 0) return no(400, "runtime_ids is required");
        for (const id of runtime_ids) if (this.runtimes.has(id)) this.runtimes.get(id)!.status = "offline";
        return ok();
      }],
      ["GET", /^\/api\/workspaces$/, () => ok(this.workspaces)],
      [
        "POST",
        new RegExp(`${runtime}/tasks/claim$`),
        ([id]) =>
          gone(id!) ?? ok({ task: this.tasks.claim([id!], 1).map((one) => this.tasks.payload(one))[0] ?? null }),
      ],
      [
        "POST",
        new RegExp(`${runtime}/recover-orphans$`),
        ([id]) => gone(id!) ?? ok({ orphaned: this.tasks.recover(id!), retried: 0 }),
      ],
      ["POST", new RegExp(`${runtime}/(?:ping|update|models|local-skills|local-skills/import)/([^/]+)/result$`), (
        [, id],
        body,
      ) => this.#result(id!, body)],
      ["POST", new RegExp(`${task}/start$`), ([id]) => this.#move(id!, "start", (one) => this.tasks.start(one))],
      [
        "POST",
        new RegExp(`${task}/complete$`),
        ([id], body) => this.#task(id!, (one) => (this.tasks.complete(one, body), ok(this.tasks.payload(one)))),
      ],
      [
        "POST",
        new RegExp(`${task}/fail$`),
        ([id], body) => this.#task(id!, (one) => (this.tasks.fail(one, body), ok(this.tasks.payload(one)))),
      ],
      ["GET", new RegExp(`${task}/status$`), ([id]) => this.#task(id!, ({ status }) => ok({ status }))],
      [
        "POST",
        new RegExp(`${task}/messages$`),
        ([id], { messages }) => this.#task(id!, (one) => this.#messages(one, messages)),
      ],
      [
        "POST",
        new RegExp(`${task}/usage$`),
        ([id], { usage }) => this.#task(id!, (one) => (this.tasks.use(one, usage), ok())),
      ],
      ["POST", new RegExp(`${task}/session$`), ([id], body) =>
        this.#task(id!, (one) => {
          if (!body.session_id && !body.work_dir) return no(400, "session_id or work_dir is required");
          this.tasks.pin(one, body);
          return new Response(null, { status: 204 });
        })],
      ["POST", new RegExp(`${task}/progress$`), ([id]) => this.#task(id!, () => ok())],
    ];
    if (this.dialect === "april") return both;
    return [
      ...both,
      ["GET", /^\/api\/daemon\/workspaces$/, () => ok(this.workspaces)],
      ["POST", /^\/api\/daemon\/tasks\/claim$/, (_, body) => this.claim(body)],
      ["GET", /^\/api\/daemon\/workspaces\/([^/]+)\/runtime-profiles$/, ([id]) =>
        ok({
          workspace_id: id,
          runtime_profiles: (this.profiles.get(id!) ?? []).filter(({ enabled = true }) => enabled),
        })],
      [
        "POST",
        new RegExp(`${runtime}/tasks/([^/]+)/prepare-lease$`),
        ([, id]) => this.#move(id!, "renew the lease of", (one) => this.tasks.lease(one)),
      ],
      [
        "POST",
        new RegExp(`${task}/wait-local-directory$`),
        ([id]) => this.#move(id!, "wait with", (one) => this.tasks.wait(one)),
      ],
      ["POST", new RegExp(`${task}/cancel-ack$`), ([id]) => this.#task(id!, (one) => (one.cancelAcks++, ok()))],
      ["POST", /^\/api\/tokens\/current\/renew$/, () => ok({ expires_at: "", renewed: false })],
    ];
  }
}
