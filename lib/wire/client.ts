/** One connection's calls to a server of the Multica daemon protocol: request, deadline, decode; no retries here. */
import type * as z from "zod/mini";
import type { Clock, Fetch } from "../core/ports.ts";
import type { RuntimeProfile } from "../core/runtime_profile.ts";
import type { AgentMessage } from "../core/message.ts";
import { redactText } from "../core/redact.ts";
import {
  type CancelAckRequest,
  type ClaimedTask,
  ClaimResponse,
  type CompleteRequest,
  type FailRequest,
  RecoverResponse,
  type RegisterRequest,
  RegisterResponse,
  SingleClaimResponse,
  StatusResponse,
  TaskRow,
  type WireMessage,
  type WireUsage,
  type WorkspaceList,
} from "./payloads.ts";
import { BeatAnswer } from "./frames.ts";
import { createWorkspaceLister } from "./workspace_list.ts";
import { readProfiles } from "./profiles.ts";
import { readBody } from "./response_body.ts";
import { type CallResult, goneFrom } from "./retry.ts";

/** Deadlines in ms (wire protocol 0.6). */
const DEADLINE = { normal: 30_000, claim: 5_000, quick: 5_000, lease: 10_000 } as const;

const MAX_QUOTE = 300;

export interface ConnectionOptions {
  /** Shown in status and kept in the outbox: `embedded`, or the server's URL. */
  readonly name: string;
  readonly baseUrl: string;
  /** Asked for before each call. */
  readonly token: () => string;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly version: string;
  readonly os: string;
  readonly capabilities: readonly string[];
}

type Call<T> = Promise<CallResult<T>>;
type Waiting = { signal?: AbortSignal };

export interface WireClient {
  readonly name: string;
  call<T>(spec: Spec<T>, options?: Waiting): Call<T>;
  workspaces(options?: Waiting): Call<WorkspaceList>;
  /** A server of April 2026, as far as it has shown itself. */
  readonly old: boolean;
  /** A 404 is a server without them. */
  profiles(workspaceId: string, options?: Waiting): Call<readonly RuntimeProfile[]>;
  register(body: RegisterRequest, options?: Waiting): Call<RegisterResponse>;
  heartbeat(runtimeId: string, options?: Waiting): Call<BeatAnswer>;
  deregister(runtimeIds: readonly string[], options?: Waiting): Call<unknown>;
  recoverOrphans(runtimeId: string, options?: Waiting): Call<z.infer<typeof RecoverResponse>>;
  claim(
    body: { daemonId: string; runtimeIds: readonly string[]; maxTasks: number; submittedTo?: string },
    options?: Waiting,
  ): Call<readonly ClaimedTask[]>;
  /** Of a server without the call above. */
  claimOne(runtimeId: string, options?: Waiting): Call<ClaimedTask | null>;
  prepareLease(runtimeId: string, taskId: string, options?: Waiting): Call<unknown>;
  /** Another task works in its directory. */
  waitForDirectory(taskId: string, reason: string, options?: Waiting): Call<unknown>;
  start(taskId: string, options?: Waiting): Call<TaskRow>;
  status(taskId: string, options?: Waiting): Call<string>;
  progress(taskId: string, summary: string, options?: Waiting): Call<unknown>;
  messages(taskId: string, messages: readonly WireMessage[], options?: Waiting): Call<unknown>;
  usage(taskId: string, usage: readonly WireUsage[], options?: Waiting): Call<unknown>;
  session(taskId: string, body: { session_id: string; work_dir: string }, options?: Waiting): Call<unknown>;
  complete(taskId: string, body: Partial<CompleteRequest>, options?: Waiting): Call<TaskRow>;
  fail(taskId: string, body: Partial<FailRequest>, options?: Waiting): Call<TaskRow>;
  cancelAck(taskId: string, body: Partial<z.infer<typeof CancelAckRequest>>, options?: Waiting): Call<unknown>;
}

/** One call, for the parts of the protocol that have a file of their own. */
export interface Spec<T> {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: unknown;
  readonly deadlineMs?: number;
  /** Instead of the daemon's own, for calls in the name of a task. */
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly onHeaders?: (headers: Headers) => void;
  /** A longer answer is none: what is asked for with this goes into a prompt or onto the disk. */
  readonly maxBytes?: number;
  readonly decode?: (value: unknown) => T;
}

export function createClient(options: ConnectionOptions): WireClient {
  const call = <T>(spec: Spec<T>, waiting: Waiting = {}) => send(options, spec, waiting.signal);
  const post = <T>(path: string, body: unknown, more: Partial<Spec<T>>, waiting?: Waiting) =>
    call<T>({ method: "POST", path, body, ...more }, waiting);
  const task = (id: string, verb: string) => `/api/daemon/tasks/${encodeURIComponent(id)}/${verb}`;
  const runtime = (id: string, rest: string) => `/api/daemon/runtimes/${encodeURIComponent(id)}/${rest}`;
  const lister = createWorkspaceLister(call);
  const quick = { deadlineMs: DEADLINE.quick };
  return {
    name: options.name,
    call,
    workspaces: lister.list,
    get old() {
      return lister.old;
    },
    profiles: (id, waiting) =>
      call({
        method: "GET",
        path: `/api/daemon/workspaces/${encodeURIComponent(id)}/runtime-profiles`,
        decode: readProfiles,
      }, waiting),
    register: (body, waiting) =>
      post("/api/daemon/register", body, { decode: (value) => RegisterResponse.parse(value) }, waiting),
    heartbeat: (id, waiting) =>
      post("/api/daemon/heartbeat", { runtime_id: id, supports_batch_import: true }, {
        decode: (value) => BeatAnswer.parse(value),
      }, waiting),
    deregister: (ids, waiting) => post("/api/daemon/deregister", { runtime_ids: ids }, quick, waiting),
    recoverOrphans: (id, waiting) =>
      post(runtime(id, "recover-orphans"), {}, { decode: (value) => RecoverResponse.parse(value) }, waiting),
    claim: (body, waiting) =>
      post("/api/daemon/tasks/claim", {
        daemon_id: body.daemonId,
        runtime_ids: body.runtimeIds,
        max_tasks: body.maxTasks,
        ...(body.submittedTo === undefined ? {} : { submitted_to: body.submittedTo }),
      }, {
        deadlineMs: DEADLINE.claim,
        decode: (value) => ClaimResponse.parse(value).tasks,
      }, waiting),
    claimOne: (id, waiting) =>
      post(runtime(id, "tasks/claim"), {}, {
        deadlineMs: DEADLINE.claim,
        decode: (value) => SingleClaimResponse.parse(value).task,
      }, waiting),
    prepareLease: (runtimeId, taskId, waiting) =>
      post(runtime(runtimeId, `tasks/${encodeURIComponent(taskId)}/prepare-lease`), {}, {
        deadlineMs: DEADLINE.lease,
      }, waiting),
    waitForDirectory: (id, reason, waiting) => post(task(id, "wait-local-directory"), { reason }, quick, waiting),
    start: (id, waiting) => post(task(id, "start"), {}, rowOf(id), waiting),
    status: (id, waiting) =>
      call({
        method: "GET",
        path: task(id, "status"),
        deadlineMs: DEADLINE.quick,
        decode: (value) => StatusResponse.parse(value).status,
      }, waiting),
    progress: (id, summary, waiting) => post(task(id, "progress"), { summary, step: 0, total: 0 }, quick, waiting),
    messages: (id, messages, waiting) => post(task(id, "messages"), { messages }, quick, waiting),
    usage: (id, usage, waiting) => post(task(id, "usage"), { usage }, quick, waiting),
    session: (id, body, waiting) => post(task(id, "session"), body, quick, waiting),
    complete: (id, body, waiting) => post(task(id, "complete"), body, rowOf(id), waiting),
    fail: (id, body, waiting) => post(task(id, "fail"), body, rowOf(id), waiting),
    cancelAck: (id, body, waiting) => post(task(id, "cancel-ack"), body, quick, waiting),
  };
}

/** What is about no task or another one was said by something in between: nobody knows what the server did. */
function rowOf(id: string): { decode: (value: unknown) => TaskRow } {
  return {
    decode(value) {
      const row = TaskRow.parse(value);
      if (row.id.toLowerCase() === id.toLowerCase()) return row;
      throw new Error("The answer is not about the task");
    },
  };
}

async function send<T>(options: ConnectionOptions, spec: Spec<T>, outer: AbortSignal | undefined): Call<T> {
  const what = `${spec.method} ${spec.path}`;
  if (outer?.aborted) return { kind: "failed", code: "aborted", status: 0, detail: `${what}: aborted` };
  const abort = new AbortController();
  const onOuter = () => abort.abort(outer?.reason);
  outer?.addEventListener("abort", onOuter, { once: true });
  const deadlineMs = spec.deadlineMs ?? DEADLINE.normal;
  // By this name those below know that the line was silent, and that nobody just lost interest.
  const silent = () => abort.abort(new DOMException(`No answer within ${deadlineMs} ms`, "TimeoutError"));
  using _deadline = options.clock.after(deadlineMs, silent);
  try {
    const request = new Request(options.baseUrl + spec.path, {
      method: spec.method,
      headers: { ...identityHeaders(options, spec.token), ...spec.headers },
      body: spec.body === undefined ? undefined : JSON.stringify(spec.body),
      signal: abort.signal,
    });
    // A handler in the same process does not watch the request's signal by itself.
    const response = await raced(options.fetch(request), abort.signal);
    spec.onHeaders?.(response.headers);
    const body = await raced(readBody(response, spec.maxBytes), abort.signal);
    if (!response.ok) {
      return {
        kind: "failed",
        code: "status",
        status: response.status,
        gone: goneFrom(response.status, body),
        detail: `${what}: status ${response.status}, ${quote(body)}`,
      };
    }
    return decoded(what, response.status, body, spec.decode);
  } catch (error) {
    const detail = `${what}: ${whyOf(error)}`;
    return { kind: "failed", code: outer?.aborted ? "aborted" : "transport", status: 0, detail };
  } finally {
    outer?.removeEventListener("abort", onOuter);
  }
}

/** With the innermost cause, which is the one that says it; the address in it says nothing new and may hold a password. */
function whyOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  let cause: Error = error;
  while (cause.cause instanceof Error) cause = cause.cause;
  const why = error.message.includes(cause.message) ? error.message : `${error.message}: ${cause.message}`;
  return redactText(why.replaceAll(/ for url \(\S*\)/g, ""));
}

function raced<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    // Listened to in any case: a promise that loses and rejects later must not count as unhandled.
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
  });
}

function decoded<T>(what: string, status: number, body: string, decode?: (value: unknown) => T): CallResult<T> {
  if (!decode) return { kind: "ok", value: undefined as T };
  try {
    return { kind: "ok", value: decode(JSON.parse(body)) };
  } catch {
    return { kind: "failed", code: "decode", status, detail: `${what}: cannot read the answer ${quote(body)}` };
  }
}

/** Who we are, on every call and on the WebSocket's first (wire protocol 0.2). */
export function identityHeaders(
  options: Pick<ConnectionOptions, "token" | "version" | "os" | "capabilities">,
  token: string = options.token(),
): Record<string, string> {
  return {
    "authorization": `Bearer ${token}`,
    "content-type": "application/json",
    "x-client-platform": "daemon",
    "x-client-version": options.version,
    "x-client-os": options.os === "darwin" ? "macos" : options.os,
    ...(options.capabilities.length > 0 ? { "x-client-capabilities": options.capabilities.join(",") } : {}),
  };
}

function quote(body: string): string {
  const text = body.trim();
  return text === "" ? "empty body" : JSON.stringify(text.length > MAX_QUOTE ? text.slice(0, MAX_QUOTE) + "…" : text);
}

/** An agent's message as the protocol's message types; `undefined` for those that travel by calls of their own. */
export function toWireMessage(message: AgentMessage, seq: number): WireMessage | undefined {
  const base = { seq, tool: "", content: "", output: "", input: null, call_id: "" };
  switch (message.kind) {
    case "text":
    case "thinking":
      return { ...base, type: message.kind, content: message.text };
    case "error":
      return { ...base, type: "error", content: message.text };
    case "tool-use":
      return { ...base, type: "tool_use", tool: message.tool, input: { ...message.input }, call_id: message.callId };
    case "tool-result":
      return { ...base, type: "tool_result", tool: message.tool, output: message.output, call_id: message.callId };
    case "permission-request":
      return {
        ...base,
        type: "permission_request",
        tool: message.tool,
        content: message.title,
        input: { ...message.input },
        call_id: message.requestId,
      };
    case "permission-answer":
      return {
        ...base,
        type: "permission_answer",
        content: message.why,
        output: message.allow ? "allowed" : "denied",
        call_id: message.requestId,
      };
    case "session":
    case "usage":
      return undefined;
  }
}
