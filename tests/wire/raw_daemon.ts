/** A daemon by hand, written from the protocol alone: each call as bytes on the wire, in the dialect of HEAD or of April. */
import { assertEquals } from "@std/assert";
import { RawSocket } from "./raw_socket.ts";

export type Dialect = "head" | "april";

// deno-lint-ignore no-explicit-any
export type Json = any;

export interface RawAnswer {
  readonly status: number;
  /** Parsed where it is JSON; else the text, `""` for none. */
  readonly body: Json;
  readonly headers: Headers;
}

export interface Where {
  readonly baseUrl: string;
  readonly token: string;
}

/** One call; `body` is sent as JSON, a string as it is. */
export async function call(
  { baseUrl, token }: Where,
  route: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<RawAnswer> {
  const [method = "", path = ""] = route.split(" ");
  const response = await fetch(baseUrl + path, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
    ...(method === "GET" ? {} : { body: typeof body === "string" ? body : JSON.stringify(body ?? {}) }),
  });
  const text = await response.text();
  return { status: response.status, body: parsed(text), headers: response.headers };
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export interface RawDaemonOptions extends Where {
  readonly workspace: string;
  readonly dialect: Dialect;
  /** What it is and has; absent: a daemon of its own with one CLI that nobody else has. */
  readonly daemonId?: string;
  readonly providers?: readonly string[];
}

/** So that tests of one workspace do not meet: an agent is called after its CLI. */
export function newName(prefix: string): string {
  return `${prefix}-${crypto.randomUUID().slice(0, 8)}`;
}

export class RawDaemon {
  readonly where: Where;
  readonly workspace: string;
  readonly dialect: Dialect;
  readonly daemonId: string;
  readonly providers: readonly string[];
  /** As the server calls them, in the order of the providers. */
  runtimes: string[] = [];

  constructor(options: RawDaemonOptions) {
    this.where = options;
    this.workspace = options.workspace;
    this.dialect = options.dialect;
    this.daemonId = options.daemonId ?? crypto.randomUUID();
    this.providers = options.providers ?? [newName("cli")];
  }

  /** Registered and heard of. */
  static async started(options: RawDaemonOptions): Promise<RawDaemon> {
    const daemon = new RawDaemon(options);
    await daemon.register();
    for (const id of daemon.runtimes) await daemon.beat(id);
    return daemon;
  }

  get headers(): Record<string, string> {
    return {
      "x-client-platform": "daemon",
      "x-client-version": this.dialect === "head" ? "0.4.24" : "0.2.20",
      "x-client-os": "linux",
      ...(this.dialect === "head" ? { "x-client-capabilities": "coalesced-comments-v1,rpc-v1" } : {}),
    };
  }

  get runtime(): string {
    return this.runtimes[0]!;
  }

  call(route: string, body?: unknown, headers: Readonly<Record<string, string>> = {}): Promise<RawAnswer> {
    return call(this.where, route, body, { ...this.headers, ...headers });
  }

  /** What the caller says in place of the usual fields. */
  async register(fields: Record<string, unknown> = {}): Promise<RawAnswer> {
    const answer = await this.call("POST /api/daemon/register", {
      workspace_id: this.workspace,
      daemon_id: this.daemonId,
      device_name: "raw box",
      cli_version: this.dialect === "head" ? "0.4.24" : "0.2.20",
      launched_by: "",
      runtimes: this.providers.map((type) => ({ name: `${type} (raw box)`, type, version: "1.0", status: "online" })),
      ...fields,
    });
    if (answer.status === 200) this.runtimes = answer.body.runtimes.map(({ id }: Json) => id);
    return answer;
  }

  beat(runtime_id: string = this.runtime): Promise<RawAnswer> {
    const batch = this.dialect === "head" ? { supports_batch_import: true } : {};
    return this.call("POST /api/daemon/heartbeat", { runtime_id, ...batch });
  }

  /** The tasks of one claim: of the batch, or of one claim after another as April's daemons do it. */
  async claim(max = 1, runtimes: readonly string[] = this.runtimes): Promise<Json[]> {
    if (this.dialect === "head") {
      const body = { daemon_id: this.daemonId, runtime_ids: runtimes, max_tasks: max };
      const answer = await this.call("POST /api/daemon/tasks/claim", body);
      assertEquals(answer.status, 200, JSON.stringify(answer.body));
      return answer.body.tasks;
    }
    const tasks = [];
    for (const runtime of runtimes) {
      if (tasks.length >= max) break;
      const answer = await this.call(`POST /api/daemon/runtimes/${runtime}/tasks/claim`);
      assertEquals(answer.status, 200, JSON.stringify(answer.body));
      if (answer.body.task) tasks.push(answer.body.task);
    }
    return tasks;
  }

  /** The one task that has to be there. */
  async claimOne(): Promise<Json> {
    const tasks = await this.claim();
    assertEquals(tasks.length, 1, "there is a task to claim");
    return tasks[0];
  }

  /** `verb` is the end of the path: `start`, `complete`, … */
  task(id: string, verb: string, body: unknown = {}): Promise<RawAnswer> {
    return this.call(`POST /api/daemon/tasks/${id}/${verb}`, body);
  }

  async status(id: string): Promise<string> {
    return (await this.call(`GET /api/daemon/tasks/${id}/status`)).body.status;
  }

  lease(id: string, runtime: string = this.runtime): Promise<RawAnswer> {
    return this.call(`POST /api/daemon/runtimes/${runtime}/tasks/${id}/prepare-lease`);
  }

  recover(runtime: string = this.runtime): Promise<RawAnswer> {
    return this.call(`POST /api/daemon/runtimes/${runtime}/recover-orphans`);
  }

  deregister(ids: readonly string[] = this.runtimes): Promise<RawAnswer> {
    return this.call("POST /api/daemon/deregister", { runtime_ids: ids });
  }

  /** Throws `Refused`. */
  connect(ids: readonly string[] = this.runtimes, token: string = this.where.token): Promise<RawSocket> {
    const url = `${this.where.baseUrl}/api/daemon/ws?runtime_ids=${[...ids].sort().join(",")}`;
    return RawSocket.open(url, { authorization: `Bearer ${token}`, ...this.headers });
  }
}
