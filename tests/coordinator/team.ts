/** A coordinator of a team in this process: people, daemons and agents with tokens of their own, and WebSockets without a network. */
import { assertEquals } from "@std/assert";
import type { Caller } from "../../lib/coordinator/caller.ts";
import type { Database } from "../../lib/coordinator/database.ts";
import type { Shared } from "../../lib/coordinator/deps.ts";
import { createHandler } from "../../lib/coordinator/handler.ts";
import { Hub } from "../../lib/coordinator/hub.ts";
import { openShared } from "../../lib/coordinator/open_shared.ts";
import { sweep } from "../../lib/coordinator/sweeper.ts";
import { callerOf, createToken, revokeToken } from "../../lib/coordinator/tokens.ts";
import type { Random } from "../../lib/core/ports.ts";
import type { ServerSocket, UpgradeHandlers } from "../../lib/core/upgrade_port.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { newDatabase } from "./stores.ts";
import { type Answer, countingRandom, SILENT } from "./world.ts";

// deno-lint-ignore no-explicit-any
type Json = any;

/** The daemon's end of a WebSocket, as the hub's end is driven. */
export class Line implements ServerSocket {
  readonly heard: { type: string; payload: Json }[] = [];
  /** Why the server closed it. */
  closed: string | undefined;
  /** What the other side does not take. */
  waiting = 0;

  constructor(readonly handlers: UpgradeHandlers) {}

  send(frame: string): void {
    this.heard.push(JSON.parse(frame));
  }

  close(why: string): void {
    this.closed = why;
    this.handlers.closed(why);
  }

  say(type: string, payload: unknown): void {
    this.handlers.text(JSON.stringify({ type, payload }));
  }

  beat(runtime_id: string): void {
    this.say("daemon:heartbeat", { runtime_id, supports_batch_import: true });
  }

  claim(request_id: string, body: Record<string, unknown>, timeout_ms = 5_000): void {
    this.say("daemon:rpc_request", { request_id, method: "tasks.claim", body, timeout_ms });
  }

  /** Those frames of the type that came so far; they are heard once. */
  take(type: string): Json[] {
    const taken = this.heard.filter((frame) => frame.type === `daemon:${type}`);
    for (const frame of taken) this.heard.splice(this.heard.indexOf(frame), 1);
    return taken.map(({ payload }) => payload);
  }

  /** The next of the type, once it has come. */
  async next(type: string): Promise<Json> {
    for (let turn = 0; turn < 2_000; turn++) {
      const at = this.heard.findIndex((frame) => frame.type === `daemon:${type}`);
      if (at >= 0) return this.heard.splice(at, 1)[0]!.payload;
      await new Promise((resolve) => setTimeout(resolve, turn < 50 ? 0 : 5));
    }
    throw new Error(`No ${type} came; there is ${JSON.stringify(this.heard)}, closed: ${this.closed}`);
  }
}

export interface Machine {
  readonly daemon: string;
  readonly token: string;
  readonly runtimes: readonly string[];
}

export class Team implements AsyncDisposable {
  /** Called whenever somebody shows a token. */
  onAuthenticate: () => unknown = () => {};
  readonly hub: Hub;
  readonly #handler: ReturnType<typeof createHandler>;
  #line: Line | undefined;

  private constructor(
    readonly shared: Shared,
    readonly clock: FakeClock,
    readonly disposeDatabase: () => PromiseLike<void>,
  ) {
    this.hub = new Hub(shared, (request, handlers) => {
      if (request.headers.get("upgrade") !== "websocket") return undefined;
      this.#line = new Line(handlers);
      return new Response("upgraded");
    });
    const authenticate = async (token: string): Promise<Caller | undefined> => {
      await this.onAuthenticate();
      return await callerOf(shared, token);
    };
    this.#handler = createHandler(shared, authenticate, this.hub);
  }

  static async create(options: { database?: Database; clock?: FakeClock; random?: Random } = {}): Promise<Team> {
    const own = options.database ? undefined : await newDatabase();
    const clock = options.clock ?? new FakeClock();
    const random = options.random ?? countingRandom();
    const shared = await openShared({ database: options.database ?? own!.database, clock, random, log: SILENT });
    return new Team(shared, clock, async () => await own?.[Symbol.asyncDispose]());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.hub.close();
    this.shared.wakeups.close();
    this.shared.topics.close();
    await this.shared.store.close();
    await this.disposeDatabase();
  }

  async person(name: string, workspace = "home"): Promise<string> {
    return (await createToken(this.shared, { scope: "user", name, workspace })).token;
  }

  revoke(name: string): Promise<unknown> {
    return revokeToken(this.shared, name);
  }

  sweep(): Promise<void> {
    return sweep(this.shared);
  }

  /** `call("GET /api/agents", token)`: the answer. */
  async call(
    call: string,
    token: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const [method = "", path = ""] = call.split(" ");
    const response = await this.#handler.fetch(
      new Request(`http://coordinator${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, ...headers },
        ...(method === "GET" ? {} : { body: JSON.stringify(body ?? {}) }),
      }),
    );
    const text = await response.text();
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
  }

  /** The body of an answer that has to be a good one. */
  async ok(call: string, token: string, body?: unknown, headers: Record<string, string> = {}): Promise<Json> {
    const answer = await this.call(call, token, body, headers);
    assertEquals(answer.status < 300, true, `${call}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** A machine of that person's in a workspace. */
  async machine(
    token: string,
    { daemon = "d1", providers = ["claude"], workspace = "home" }: {
      daemon?: string;
      providers?: readonly string[];
      workspace?: string;
    } = {},
  ): Promise<Machine> {
    const workspaces: Json[] = await this.ok("GET /api/workspaces", token);
    const { runtimes } = await this.ok("POST /api/daemon/register", token, {
      workspace_id: workspaces.find(({ name }) => name === workspace).id,
      daemon_id: daemon,
      device_name: "box",
      runtimes: providers.map((type) => ({ type, version: "1.0.0" })),
    });
    return { daemon, token, runtimes: runtimes.map(({ id }: { id: string }) => id) };
  }

  /** Tasks for a machine by HTTP. */
  async claim({ daemon, token, runtimes }: Machine, max_tasks = 5, capabilities = ""): Promise<Json[]> {
    const body = { daemon_id: daemon, runtime_ids: runtimes, max_tasks };
    return (await this.ok("POST /api/daemon/tasks/claim", token, body, { "x-client-capabilities": capabilities }))
      .tasks;
  }

  async start(machine: Machine, task: string): Promise<void> {
    await this.ok(`POST /api/daemon/tasks/${task}/start`, machine.token);
  }

  async complete(machine: Machine, task: string, output = "Done."): Promise<void> {
    await this.ok(`POST /api/daemon/tasks/${task}/complete`, machine.token, { output });
  }

  /** The answer to the handshake, and the line where it is open. */
  async dial(
    token: string,
    query: string,
    headers: Record<string, string> = {},
  ): Promise<{ answer: Answer; line: Line | undefined }> {
    this.#line = undefined;
    const response = await this.#handler.fetch(
      new Request(`http://coordinator/api/daemon/ws${query}`, {
        headers: { authorization: `Bearer ${token}`, upgrade: "websocket", ...headers },
      }),
    );
    const text = await response.text();
    const line = this.#line as Line | undefined;
    if (line) line.handlers.opened(line);
    return { answer: { status: response.status, body: line ? text : JSON.parse(text) }, line };
  }

  async connect({ token, runtimes }: Pick<Machine, "token" | "runtimes">, capabilities = ""): Promise<Line> {
    const { line, answer } = await this.dial(token, `?runtime_ids=${runtimes.join(",")}`, {
      "x-client-capabilities": capabilities,
    });
    if (!line) throw new Error(`The handshake was refused: ${JSON.stringify(answer)}`);
    return line;
  }
}
