/** The control socket's client: finds the process that holds the home, makes sure it is the right one, and calls it. */
import { DroverError, type ErrorCode } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { Clock, Fetch, Host } from "../core/ports.ts";
import { type Pidfile, readPidfile } from "../lifecycle/pidfile.ts";
import { checkHome } from "./home_dir.ts";
import {
  AgentList,
  ControlError,
  type CreateTask,
  Hello,
  MessageList,
  MessageView,
  TaskList,
  TaskView,
} from "../wire/control.ts";

const HELLO_MS = 2_000;
const CALL_MS = 30_000;
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
  agents(): Promise<ReturnType<typeof AgentList.parse>["agents"]>;
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
}

/**
 * Connects to the holder of the home; `undefined` when nobody answers as the one the pidfile names. Never waits longer
 * than two seconds. Throws `home_unusable`.
 */
export async function connectControl(host: Host, home: Home): Promise<ControlConnection | undefined> {
  if (!await checkHome(host, home)) return undefined;
  const record = await readPidfile(host.files, home.pidfile);
  if (!record) return undefined;
  return await connectTo(host, record);
}

async function connectTo(host: Host, record: Pidfile): Promise<ControlConnection | undefined> {
  const unix = host.network.unixClient(record.controlSocket);
  try {
    const answer = await json(unix.fetch, { path: "/v1/hello" }, { clock: host.clock, timeoutMs: HELLO_MS });
    const hello = Hello.parse(answer);
    if (hello.instance === record.instance) {
      const call = (spec: Parameters<typeof json>[1]) =>
        json(unix.fetch, spec, { clock: host.clock, timeoutMs: CALL_MS });
      return {
        ...userApiOver(unix.fetch, host.clock),
        hello,
        status: async () => await call({ path: "/v1/status" }) as Record<string, unknown>,
        stop: async (mode) => void await call({ path: "/v1/stop", method: "POST", body: { mode } }),
        cancelDrain: async () => void await call({ path: "/v1/stop", method: "DELETE" }),
        [Symbol.dispose]: () => unix[Symbol.dispose](),
      };
    }
  } catch {
    // Nobody there, or somebody who does not speak our protocol: both are "not the holder".
  }
  unix[Symbol.dispose]();
  return undefined;
}

/** The calls of the user API over any fetch. Throws `DroverError`s with the server's code. */
export function userApiOver(
  fetch: Fetch,
  clock: Clock,
  { live = true, dispose = () => {} }: { live?: boolean; dispose?: () => void } = {},
): UserApi {
  const call = (path: string, more: { method?: string; body?: unknown } = {}) =>
    json(fetch, { path, ...more }, { clock, timeoutMs: CALL_MS });
  const task = (id: string, rest = "") => `/v1/tasks/${encodeURIComponent(id)}${rest}`;
  return {
    live,
    createTask: async (body) => TaskView.parse(await call("/v1/tasks", { method: "POST", body })),
    async listTasks(options = {}) {
      const query = new URLSearchParams();
      if (options.status) query.set("status", options.status);
      if (options.limit) query.set("limit", String(options.limit));
      return TaskList.parse(await call(`/v1/tasks?${query}`)).tasks;
    },
    showTask: async (id) => TaskView.parse(await call(task(id))),
    messages: async (id, options = {}) =>
      MessageList.parse(await call(task(id, `/messages?since=${options.since ?? 0}`))).messages,
    cancelTask: async (id) => TaskView.parse(await call(task(id, "/cancel"), { method: "POST", body: {} })),
    agents: async () => AgentList.parse(await call("/v1/agents")).agents,
    queue: async () => await call("/v1/queue") as { mine: number; others: number },
    follow: (id, options) => follow(fetch, task(id, `/follow?since=${options.since}`), options.signal),
    [Symbol.dispose]: dispose,
  };
}

async function json(
  fetch: Fetch,
  spec: { path: string; method?: string; body?: unknown },
  options: { clock: Clock; timeoutMs: number },
): Promise<unknown> {
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
    throw new DroverError("not_running", `Cannot reach the daemon: ${causeOf(error)}`, { cause: error });
  }
  if (response.ok) return parsed(text);
  throw errorFrom(response.status, text);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new DroverError("internal", `Cannot read the daemon's answer: ${JSON.stringify(text.slice(0, 200))}`);
  }
}

function errorFrom(status: number, text: string): DroverError {
  try {
    const { error } = ControlError.parse(JSON.parse(text));
    const code = error.code === "store_failed" ? "store_unusable" : error.code;
    return new DroverError(code as ErrorCode, error.message, { hint: error.hint });
  } catch {
    return new DroverError("internal", `The daemon answered with status ${status}: ${text.slice(0, 200)}`);
  }
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

/** Reads server-sent events; only the fields our server writes (`event`, `data`). */
async function* follow(fetch: Fetch, path: string, signal: AbortSignal): AsyncIterable<FollowEvent> {
  const gone = (why: string) => new DroverError("not_running", `Cannot follow the task: ${why}`);
  let response: Response;
  try {
    response = await fetch(new Request(BASE + path, { signal }));
  } catch (error) {
    signal.throwIfAborted();
    throw gone(causeOf(error));
  }
  if (!response.ok) throw errorFrom(response.status, await response.text());
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        signal.throwIfAborted();
        throw gone(causeOf(error));
      });
      if (done) throw gone("the connection was closed");
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop()!;
      for (const block of blocks) {
        const event = eventOf(block);
        if (event) yield event;
        if (event?.kind === "end") return;
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function eventOf(block: string): FollowEvent | undefined {
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
