/** The server under test: our coordinator on 127.0.0.1 with a clock that stands still, or one that is named by its URL. */
import { assertEquals } from "@std/assert";
import { callerOf, createToken } from "../../lib/coordinator/tokens.ts";
import { createHandler } from "../../lib/coordinator/handler.ts";
import { Hub } from "../../lib/coordinator/hub.ts";
import { openShared } from "../../lib/coordinator/open_shared.ts";
import { createPublicApi } from "../../lib/coordinator/public_api.ts";
import { sweep } from "../../lib/coordinator/sweeper.ts";
import type { Logger } from "../../lib/core/ports.ts";
import { createRandom } from "../../lib/host/random.ts";
import { createUpgrade } from "../../lib/host/websocket_server.ts";
import { SILENT } from "../coordinator/world.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { call, type Dialect, type Json, newName, type RawAnswer, RawDaemon, type Where } from "./raw_daemon.ts";

export const DIALECTS: readonly Dialect[] = ["head", "april"];

const URL_OF_SERVER = Deno.env.get("DROVER_TEST_SERVER_URL");
const TOKEN_OF_SERVER = Deno.env.get("DROVER_TEST_SERVER_TOKEN") ?? "";

export class TestServer implements AsyncDisposable {
  readonly #issues = new Map<string, string>();

  private constructor(
    readonly where: Where,
    readonly workspace: string,
    /** Only of our own. */
    readonly mine: Own | undefined,
  ) {}

  static async started(): Promise<TestServer> {
    if (URL_OF_SERVER) {
      const where = { baseUrl: URL_OF_SERVER.replace(/\/$/, ""), token: TOKEN_OF_SERVER };
      const { body } = await call(where, "GET /api/workspaces");
      return new TestServer(where, body[0].id, undefined);
    }
    return await TestServer.own();
  }

  /** One of ours, whatever is named. */
  static async own(options: OwnOptions = {}): Promise<TestServer> {
    const own = await Own.started(options);
    const { token, workspaceId } = await own.token({ scope: "user", name: "ann", workspace: "home" });
    return new TestServer({ baseUrl: own.baseUrl, token }, workspaceId, own);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mine?.[Symbol.asyncDispose]();
  }

  /** Registered, with CLIs that nobody else has. */
  daemon(
    dialect: Dialect = "head",
    more: Partial<ConstructorParameters<typeof RawDaemon>[0]> = {},
  ): Promise<RawDaemon> {
    return RawDaemon.started({ ...this.where, workspace: this.workspace, dialect, ...more });
  }

  /** A call of a person. */
  user(route: string, body?: unknown): Promise<RawAnswer> {
    return call(this.where, route, body, { "x-workspace-id": this.workspace });
  }

  /** The agent of this daemon's CLI, made where runtimes have none of their own. */
  async agent(daemon: RawDaemon, cli = 0): Promise<Json> {
    const runtime = daemon.runtimes[cli]!;
    const { body } = await this.user("GET /api/agents");
    const known = body.find((agent: Json) => agent.runtime_id === runtime);
    if (known) return known;
    const made = await this.user("POST /api/agents", { name: newName("agent"), runtime_id: runtime });
    assertEquals(made.status, 201, JSON.stringify(made.body));
    return made.body;
  }

  /** Queues a task for this daemon's agent, with an issue of its own; the task's id. */
  async enqueue(daemon: RawDaemon, { cli = 0, fields = {} }: Enqueued = {}): Promise<string> {
    const agent_id = (await this.agent(daemon, cli)).id;
    await this.moment();
    const issue = await this.user("POST /api/issues", { title: "Look", description: "around", agent_id, ...fields });
    assertEquals(issue.status, 201, JSON.stringify(issue.body));
    const [task] = await this.tasksOf(issue.body.id);
    this.#issues.set(task.id, issue.body.id);
    return task.id;
  }

  /** All of an issue, the newest first. */
  async tasksOf(issue: string): Promise<Json[]> {
    return (await this.user(`GET /api/issues/${issue}/tasks`)).body;
  }

  issueOf(task: string): string {
    return this.#issues.get(task)!;
  }

  /** Somebody says more about the task's issue: the id of the task that is queued for it then. */
  async comment(task: string): Promise<string> {
    const issue = this.issueOf(task);
    await this.moment();
    const { status, body } = await this.user(`POST /api/issues/${issue}/comments`, { content: "And look again" });
    assertEquals(status, 201, JSON.stringify(body));
    const pending = (await this.tasksOf(issue)).filter((one) => one.status === "queued" || one.status === "dispatched");
    assertEquals(pending.length, 1, "one is pending, and no more");
    this.#issues.set(pending[0].id, issue);
    return pending[0].id;
  }

  async cancel(task: string): Promise<RawAnswer> {
    return await this.user(`POST /api/tasks/${task}/cancel`);
  }

  /** All of the task that people see. */
  async view(task: string): Promise<Json> {
    return (await this.user(`GET /api/tasks/${task}`)).body;
  }

  /** The task that is tried again in place of this one. */
  async retryOf(task: string): Promise<Json | undefined> {
    const issue = (await this.view(task)).issue_id;
    return (await this.tasksOf(issue)).find(({ parent_task_id }) => parent_task_id === task);
  }

  /** Enough time for what comes now to be later than what was. */
  async moment(): Promise<void> {
    if (this.mine) await this.mine.clock.advance(10);
    else await new Promise((resolve) => setTimeout(resolve, 5));
  }

  /** Seconds pass; only with a clock of ours. */
  async pass(seconds: number): Promise<void> {
    await this.mine!.clock.advance(seconds * 1_000);
  }
}

export interface Enqueued {
  readonly cli?: number;
  readonly fields?: Readonly<Record<string, unknown>>;
}

export interface OwnOptions {
  readonly log?: Logger;
  readonly clock?: FakeClock;
  /** Of the database; absent: in memory. */
  readonly path?: string;
  /** Hears of each call, as `METHOD /path`. */
  readonly heard?: (route: string) => void;
}

class Own implements AsyncDisposable {
  readonly clock: FakeClock;
  #stop!: AbortController;
  #shared!: Awaited<ReturnType<typeof openShared>>;
  #hub!: Hub;
  #http!: Deno.HttpServer<Deno.NetAddr>;
  readonly #options: OwnOptions;

  private constructor(options: OwnOptions) {
    this.#options = options;
    this.clock = options.clock ?? new FakeClock();
  }

  static async started(options: OwnOptions): Promise<Own> {
    const own = new Own(options);
    await own.#start(0);
    return own;
  }

  /** Ends as a process ends, and is there again at the same address with what it had stored. */
  async restart(): Promise<void> {
    const { port } = this.#http.addr;
    await this.#end();
    await this.#start(port);
  }

  /** How many daemons are connected. */
  get sockets(): number {
    return this.#hub.size;
  }

  async #start(port: number): Promise<void> {
    const { log = SILENT, path = ":memory:", heard } = this.#options;
    const database = { kind: "sqlite", path } as const;
    const shared = await openShared({ database, clock: this.clock, random: createRandom(), log });
    this.#shared = shared;
    this.#hub = new Hub(shared, createUpgrade());
    this.#stop = new AbortController();
    const authenticate = (token: string) => callerOf(shared, token);
    const handler = createHandler(shared, authenticate, this.#hub);
    const publicApi = createPublicApi(shared, { authenticate, handler: (request) => handler.fetch(request) });
    const address = { hostname: "127.0.0.1", port, signal: this.#stop.signal, onListen() {} };
    this.#http = Deno.serve(address, async (request) => {
      heard?.(`${request.method} ${new URL(request.url).pathname}`);
      return await publicApi(request);
    });
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${this.#http.addr.port}`;
  }

  token(wanted: Parameters<typeof createToken>[1]): ReturnType<typeof createToken> {
    return createToken(this.#shared, wanted);
  }

  sweep(): Promise<void> {
    return sweep(this.#shared);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#end();
  }

  async #end(): Promise<void> {
    this.#hub.close();
    this.#shared.wakeups.close();
    this.#shared.topics.close();
    this.#stop.abort();
    await this.#http.finished;
    await this.#shared.store.close();
  }
}

export interface Needs {
  /** Time has to pass, or a token to be made: not with a server that is named by its URL. */
  readonly own?: boolean;
}

/** A test of the server's side of the protocol. */
export function conformance(name: string, run: (server: TestServer) => Promise<void>, needs: Needs = {}): void {
  const ignore = URL_OF_SERVER !== undefined && needs.own === true;
  Deno.test({
    name: `Server: ${name}`,
    ignore,
    async fn() {
      await using server = await TestServer.started();
      await run(server);
    },
  });
}

/** Status and text of a refusal. */
export function refusal({ status, body }: RawAnswer): [number, string] {
  return [status, body.error];
}
