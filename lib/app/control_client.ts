/** The control socket's client: who listens on a socket, and all that can be asked of it. */
import { DroverError, type ErrorCode } from "../core/drover_error.ts";
import type { Clock, Fetch, Host, UnixClient } from "../core/ports.ts";
import type { AgentList, CreateTask, LaunchView, MessageView, TaskView } from "../wire/control.ts";
import type { CreateProfile, ProfileView } from "../wire/profiles.ts";
import type { AnswerPermission, PermissionView } from "../wire/permissions.ts";
import { type Hello, readHello } from "../wire/hello.ts";
import type { FreedItem, FreeRequest } from "./disk.ts";

/** Loaded with the first answer that needs it: status does not, and has to be quick. */
const shapes = () => import("../wire/control.ts");

const permissionShapes = () => import("../wire/permissions.ts");
const profileShapes = () => import("../wire/profiles.ts");

const HELLO_MS = 2_000;
const CALL_MS = 30_000;
/** To remove a hundred gigabytes takes minutes; what takes longer hangs. */
const FREE_MS = 15 * 60_000;
/** The other side gives a sign of life every 5 s; a longer silence than this is a daemon that hangs. */
const STALL_MS = 20_000;
const BASE = "http://drover.local";

export type FollowEvent =
  | { readonly kind: "task"; readonly task: TaskView }
  | { readonly kind: "message"; readonly message: MessageView }
  | { readonly kind: "end"; readonly task: TaskView };

/** The user API, whoever answers: a daemon, an in-process run, or the store itself. */
export interface UserApi extends Disposable {
  /** False for the store itself: tasks can be looked at and cancelled, and none of them runs. */
  readonly live: boolean;
  createTask(body: CreateTask): Promise<TaskView>;
  listTasks(options?: { status?: string; limit?: number }): Promise<readonly TaskView[]>;
  showTask(id: string): Promise<TaskView>;
  messages(id: string, options?: { since?: number }): Promise<readonly MessageView[]>;
  cancelTask(id: string): Promise<TaskView>;
  /** What its agent asks now; nothing where no task can run. */
  permissions(id: string): Promise<readonly PermissionView[]>;
  /** Throws `not_asked` when there is no such question any more. */
  answerPermission(id: string, request: string, answer: AnswerPermission): Promise<PermissionView>;
  agents(): Promise<ReturnType<typeof AgentList.parse>["agents"]>;
  profiles(): Promise<readonly ProfileView[]>;
  addProfile(body: CreateProfile): Promise<ProfileView>;
  enableProfile(nameOrId: string, enabled: boolean): Promise<ProfileView>;
  removeProfile(nameOrId: string): Promise<ProfileView>;
  /** Ends after `end`; throws `not_running` when the other side goes away before. */
  follow(id: string, options: { since: number; signal: AbortSignal }): AsyncIterable<FollowEvent>;
  /** Open tasks submitted through this instance, and queued ones that are not its business. */
  queue(): Promise<{ mine: number; others: number }>;
}

export interface ControlConnection extends UserApi {
  readonly hello: Hello;
  status(): Promise<Record<string, unknown>>;
  stop(mode: "drain" | "now"): Promise<void>;
  cancelDrain(): Promise<void>;
  /** Gives an agent tasks again that is paused; false when it was not. Throws `agent_unknown`. */
  resumeAgent(name: string): Promise<boolean>;
  /** No more tasks are claimed until then, or until that is taken back. */
  pauseClaims(pause: { until: number | null; reason: string }): Promise<void>;
  /** False when it was not paused. */
  resumeClaims(): Promise<boolean>;
  /** How it was started: what a restart gives its successor. Secrets included; never to be shown or stored. */
  launch(): Promise<LaunchView>;
  /** Has it take settings and login as they stand in their files by now; resolves with its status. */
  reloadConfig(): Promise<Record<string, unknown>>;
  /** Has it remove what nobody needs, which may take minutes. */
  freeDisk(wish: FreeRequest): Promise<readonly FreedItem[]>;
  /** Has it write its record again, which proves that it is of this home: nobody else may write there. */
  adopt(): Promise<void>;
}

export type Reached =
  | { readonly kind: "answers"; readonly connection: ControlConnection }
  /** It takes connections and says nothing in time, or nothing of ours. */
  | { readonly kind: "silent" }
  | { readonly kind: "absent" };

/** `status`: its answer begins with the hello, so that who wants both asks once. */
export interface ReachOptions {
  readonly ask?: "hello" | "status";
}

/** Whoever listens on a control socket, in at most two seconds. To be disposed when it answers. */
export async function reachSocket(host: Host, path: string, { ask = "hello" }: ReachOptions = {}): Promise<Reached> {
  const unix = host.network.unixClient(path);
  try {
    const answer = await json(unix.fetch, { path: `/v1/${ask}` }, { clock: host.clock, timeoutMs: HELLO_MS });
    const hello = readHello(answer);
    const status = ask === "status" ? answer as Record<string, unknown> : undefined;
    if (hello) return { kind: "answers", connection: connectionOver(unix, { hello, status, clock: host.clock }) };
    unix[Symbol.dispose]();
    return { kind: "silent" };
  } catch (error) {
    unix[Symbol.dispose]();
    const absent = error instanceof DroverError && isNobody(error.cause);
    return { kind: absent ? "absent" : "silent" };
  }
}

/** Nobody listens: the socket is gone, or its owner is. */
function isNobody(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (/connection refused|no such file|os error (2|61|111)\b/i.test(at.message)) return true;
  }
  return false;
}

function connectionOver(
  unix: UnixClient,
  { hello, status, clock }: { hello: Hello; status: Record<string, unknown> | undefined; clock: Clock },
): ControlConnection {
  const call = (spec: Parameters<typeof json>[1]) => json(unix.fetch, spec, { clock, timeoutMs: CALL_MS });
  return {
    ...userApiOver(unix.fetch, clock),
    hello,
    status: async () => status ?? await call({ path: "/v1/status" }) as Record<string, unknown>,
    stop: async (mode) => void await call({ path: "/v1/stop", method: "POST", body: { mode } }),
    cancelDrain: async () => void await call({ path: "/v1/stop", method: "DELETE" }),
    async resumeAgent(name) {
      const path = `/v1/agents/${encodeURIComponent(name)}/resume`;
      return (await call({ path, method: "POST", body: {} }) as { resumed: boolean }).resumed;
    },
    pauseClaims: async (body) => void await call({ path: "/v1/pause", method: "POST", body }),
    resumeClaims: async () => (await call({ path: "/v1/pause", method: "DELETE" }) as { resumed: boolean }).resumed,
    launch: async () => (await shapes()).LaunchView.parse(await call({ path: "/v1/launch" })),
    reloadConfig: async () => await call({ path: "/v1/config", method: "POST", body: {} }) as Record<string, unknown>,
    async freeDisk(body) {
      const spec = { path: "/v1/disk/free", method: "POST", body };
      return (await json(unix.fetch, spec, { clock, timeoutMs: FREE_MS }) as { items: FreedItem[] }).items;
    },
    adopt: async () => void await call({ path: "/v1/record", method: "POST", body: {} }),
    [Symbol.dispose]: () => unix[Symbol.dispose](),
  };
}

/** What is said of the other side where it does not answer as it should. */
export interface OtherSide {
  unreachable(why: string, cause: unknown): DroverError;
  /** An answer, but none of ours. */
  unreadable(status: number, text: string): DroverError;
}

const DAEMON: OtherSide = {
  unreachable: (why, cause) => new DroverError("not_running", `Cannot reach the daemon: ${why}`, { cause }),
  unreadable: (status, text) =>
    new DroverError(
      "internal",
      status === 200
        ? `Cannot read the daemon's answer: ${JSON.stringify(text.slice(0, 200))}`
        : `The daemon answered with status ${status}: ${text.slice(0, 200)}`,
    ),
};

/** The calls of the user API over any fetch. Throws `DroverError`s with the server's code. */
export function userApiOver(
  fetch: Fetch,
  clock: Clock,
  { live = true, dispose = () => {}, other = DAEMON }: {
    live?: boolean;
    dispose?: () => void;
    other?: OtherSide;
  } = {},
): UserApi {
  const call = (path: string, more: { method?: string; body?: unknown } = {}) =>
    json(fetch, { path, ...more }, { clock, timeoutMs: CALL_MS, other });
  const task = (id: string, rest = "") => `/v1/tasks/${encodeURIComponent(id)}${rest}`;
  const profile = (name: string) => `/v1/runtime-profiles/${encodeURIComponent(name)}`;
  return {
    live,
    createTask: async (body) => (await shapes()).TaskView.parse(await call("/v1/tasks", { method: "POST", body })),
    async listTasks(options = {}) {
      const query = new URLSearchParams();
      if (options.status) query.set("status", options.status);
      if (options.limit) query.set("limit", String(options.limit));
      return (await shapes()).TaskList.parse(await call(`/v1/tasks?${query}`)).tasks;
    },
    showTask: async (id) => (await shapes()).TaskView.parse(await call(task(id))),
    messages: async (id, options = {}) =>
      (await shapes()).MessageList.parse(await call(task(id, `/messages?since=${options.since ?? 0}`))).messages,
    cancelTask: async (id) =>
      (await shapes()).TaskView.parse(await call(task(id, "/cancel"), { method: "POST", body: {} })),
    permissions: async (id) =>
      live ? (await permissionShapes()).PermissionList.parse(await call(task(id, "/permissions"))).permissions : [],
    answerPermission: async (id, request, body) =>
      (await permissionShapes()).PermissionView.parse(
        await call(task(id, `/permissions/${encodeURIComponent(request)}`), { method: "POST", body }),
      ),
    agents: async () => (await shapes()).AgentList.parse(await call("/v1/agents")).agents,
    profiles: async () => (await profileShapes()).ProfileList.parse(await call("/v1/runtime-profiles")).profiles,
    addProfile: async (body) =>
      (await profileShapes()).ProfileView.parse(await call("/v1/runtime-profiles", { method: "POST", body })),
    enableProfile: async (name, enabled) =>
      (await profileShapes()).ProfileView.parse(await call(profile(name), { method: "PATCH", body: { enabled } })),
    removeProfile: async (name) =>
      (await profileShapes()).ProfileView.parse(await call(profile(name), { method: "DELETE" })),
    queue: async () => await call("/v1/queue") as { mine: number; others: number },
    follow: (id, options) => follow(fetch, task(id, `/follow?since=${options.since}`), { ...options, clock, other }),
    [Symbol.dispose]: dispose,
  };
}

async function json(
  fetch: Fetch,
  spec: { path: string; method?: string; body?: unknown },
  options: { clock: Clock; timeoutMs: number; other?: OtherSide },
): Promise<unknown> {
  const { other = DAEMON } = options;
  const abort = new AbortController();
  using _limit = options.clock.after(options.timeoutMs, () => abort.abort(new Error("It did not answer in time")));
  const request = new Request(BASE + spec.path, {
    method: spec.method ?? "GET",
    signal: abort.signal,
    ...(spec.body === undefined
      ? {}
      : { body: JSON.stringify(spec.body), headers: { "content-type": "application/json" } }),
  });
  let response: Response;
  let text: string;
  try {
    response = await fetch(request);
    text = await response.text();
  } catch (error) {
    throw other.unreachable(causeOf(error), error);
  }
  if (!response.ok) throw await errorFrom(response.status, text, other);
  try {
    return JSON.parse(text);
  } catch {
    throw other.unreadable(response.status, text);
  }
}

async function errorFrom(status: number, text: string, other: OtherSide): Promise<DroverError> {
  const { ControlError } = await shapes();
  try {
    const { error } = ControlError.parse(JSON.parse(text));
    const code = error.code === "store_failed" ? "store_unusable" : error.code;
    return new DroverError(code as ErrorCode, error.message, { hint: error.hint });
  } catch {
    return other.unreadable(status, text);
  }
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

/** Said by a proxy while there is nobody behind it, or by a server that is ending. */
const BETWEEN: ReadonlySet<number> = new Set([502, 503, 504]);

/** Reads server-sent events; only the fields our server writes (`event`, `data`). */
async function* follow(
  fetch: Fetch,
  path: string,
  { clock, signal, other }: { clock: Clock; signal: AbortSignal; other: OtherSide },
): AsyncIterable<FollowEvent> {
  const gone = (why: string) => new DroverError("not_running", `Cannot follow the task: ${why}`);
  let response: Response;
  try {
    response = await fetch(new Request(BASE + path, { signal }));
  } catch (error) {
    signal.throwIfAborted();
    throw gone(causeOf(error));
  }
  if (!response.ok) {
    const text = await response.text();
    if (BETWEEN.has(response.status)) throw gone(`the answer was status ${response.status}`);
    throw await errorFrom(response.status, text, other);
  }
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  // From here on: how long a connection takes is not how long a daemon may be silent.
  let stalled = false;
  const armed = () => clock.after(STALL_MS, () => (stalled = true, void reader.cancel()));
  let stall = armed();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        signal.throwIfAborted();
        throw gone(causeOf(error));
      });
      if (stalled) throw gone(`the daemon has said nothing for ${STALL_MS / 1000} s`);
      stall[Symbol.dispose]();
      stall = armed();
      if (done) throw gone("the connection was closed");
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop()!;
      for (const block of blocks) {
        const event = await eventOf(block);
        if (event) yield event;
        if (event?.kind === "end") return;
      }
    }
  } finally {
    stall[Symbol.dispose]();
    await reader.cancel().catch(() => {});
  }
}

async function eventOf(block: string): Promise<FollowEvent | undefined> {
  const { MessageView, TaskView } = await shapes();
  const lines = block.split("\n");
  const field = (name: string) =>
    lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trimStart())
      .join("\n");
  const name = field("event");
  const data = field("data");
  if (name === "message") return { kind: "message", message: MessageView.parse(JSON.parse(data)) };
  if (name === "task" || name === "end") return { kind: name, task: TaskView.parse(JSON.parse(data)) };
  return undefined;
}
