/** The control socket's routes about permissions: which questions of a running task are open, and the way of an answer to them. */
import type { Fetch } from "../core/ports.ts";
import type { PendingPermission, PermissionAnswer } from "../daemon/permissions.ts";
import type { ControlError } from "../wire/control.ts";
import { AnswerPermission, type PermissionView } from "../wire/permissions.ts";

export interface PermissionSources {
  /** The tasks that run here, with what their agents wait for. */
  readonly runs: () => readonly { readonly task: string; readonly asks: readonly PendingPermission[] }[];
  /** False when it is not asked any more. */
  readonly answer: (task: string, requestId: string, answer: PermissionAnswer) => boolean;
  /** Knows the tasks that do not run. */
  readonly userApi: Fetch;
}

const ROUTE = /^\/v1\/tasks\/([^/]+)\/permissions(?:\/([^/]+))?$/;
/** As many as it takes to name a task elsewhere. */
const MIN_PREFIX = 4;

/** `undefined` for a request that is about something else. Ids may be cut short as far as they are unambiguous. */
export async function answerAboutPermissions(
  request: Request,
  sources: PermissionSources,
): Promise<Response | undefined> {
  const { pathname } = new URL(request.url);
  const [, task, wanted] = ROUTE.exec(pathname)?.map((part) => part && decodeURIComponent(part)) ?? [];
  const isQuestion = request.method === "GET" && wanted === undefined;
  const isAnswer = request.method === "POST" && wanted !== undefined;
  if (task === undefined || !(isQuestion || isAnswer)) return undefined;
  const found = sources.runs().filter((run) => names(task, run.task));
  if (found.length > 1) {
    return refusal(409, "task_ambiguous", `Cannot tell which task is meant: "${task}" begins ${found.length} ids`);
  }
  const run = found[0] ?? await absent(task, sources);
  if (run instanceof Response) return run;
  if (!isAnswer) return Response.json({ task_id: run.task, permissions: run.asks.map(viewOf) });
  return await answer(request, { run, wanted: wanted!, sources });
}

type Run = ReturnType<PermissionSources["runs"]>[number];

/** It does not run here: nothing is asked, if it is there at all. */
async function absent(task: string, { userApi }: PermissionSources): Promise<Run | Response> {
  const response = await userApi(new Request(`http://drover.local/v1/tasks/${encodeURIComponent(task)}`));
  if (!response.ok) return response;
  const { id } = await response.json() as { id: string };
  return { task: id, asks: [] };
}

async function answer(
  request: Request,
  { run, wanted, sources }: { run: Run; wanted: string; sources: PermissionSources },
): Promise<Response> {
  const body = AnswerPermission.safeParse(await request.json().catch(() => undefined));
  if (!body.success) {
    return refusal(400, "invalid_request", 'Cannot answer: the body must be {"allow": true} or {"allow": false}');
  }
  const { allow, always = false, why = allow ? "allowed by a person" : "denied by a person" } = body.data;
  const found = run.asks.filter(({ requestId }) => names(wanted, requestId));
  if (found.length > 1) {
    return refusal(409, "not_asked", `Cannot tell which question is meant: "${wanted}" begins ${found.length} ids`);
  }
  const [asked] = found;
  if (asked && sources.answer(run.task, asked.requestId, { allow, why, always })) return Response.json(viewOf(asked));
  return refusal(
    409,
    "not_asked",
    `Cannot answer ${wanted}: task ${run.task} does not ask that, or not any more`,
    `what it asks: drover tasks show ${run.task}`,
  );
}

function names(text: string, id: string): boolean {
  return text === id || (text.length >= MIN_PREFIX && id.startsWith(text.toLowerCase()));
}

function viewOf({ requestId, tool, title, since, until }: PendingPermission): PermissionView {
  const time = (ms: number) => new Date(ms).toISOString();
  return { request_id: requestId, tool, title, asked_at: time(since), expires_at: time(until) };
}

function refusal(status: number, code: string, message: string, hint?: string): Response {
  const body: ControlError = { error: { code, message, ...(hint ? { hint } : {}) } };
  return Response.json(body, { status });
}
