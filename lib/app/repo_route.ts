/** `POST /repo/checkout`, on the control socket and the health port: what is read of the request, and the answer of each ending. */
import * as z from "zod/mini";
import { checkoutForTask, type RepoCheckoutOptions } from "../daemon/repo_checkout.ts";
import { RepoError } from "../daemon/repo_cache.ts";
import type { ControlError } from "../wire/control.ts";

const Body = z.lazy(() =>
  z.object({
    url: z.string().check(z.minLength(1)),
    workspace_id: z.string().check(z.minLength(1)),
    workdir: z.string().check(z.minLength(1)),
    ref: z.optional(z.string()),
    task_id: z.optional(z.string()),
    checkout_mode: z.optional(z.enum(["", "isolated"])),
  })
);

const STATUS = { invalid: 400, unauthorized: 401, forbidden: 403, failed: 500, busy: 503 } as const;
const RETRY_AFTER_S = "2";
/** Addresses and paths are short; whoever sends more means no good. */
const MAX_BODY = 64 * 1024;

/** `undefined` for a request that is about something else. */
export function answerCheckout(
  request: Request,
  options: RepoCheckoutOptions & { signal: AbortSignal },
): Promise<Response> | undefined {
  if (new URL(request.url).pathname !== "/repo/checkout") return undefined;
  if (request.method !== "POST") {
    return Promise.resolve(refused(405, "Cannot answer: a checkout is asked for with POST", { allow: "POST" }));
  }
  return checkout(request, options);
}

async function checkout(request: Request, options: RepoCheckoutOptions & { signal: AbortSignal }): Promise<Response> {
  const token = /^Bearer (\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
  // Before anything is read of somebody who may be anybody.
  if (!options.running.byToken(token)) return refused(401, "Cannot check out: the token is of no task that runs here");
  const text = await request.text();
  const body = Body.safeParse(text.length <= MAX_BODY ? parsed(text) : undefined);
  if (!body.success) {
    return refused(400, "Cannot check out: the body must be an object with url, workspace_id and workdir");
  }
  const { url, workspace_id, workdir, ref, task_id, checkout_mode } = body.data;
  try {
    const { path, branch, existed, stale } = await checkoutForTask(token, {
      url,
      workdir,
      workspaceId: workspace_id,
      ...(task_id ? { taskId: task_id } : {}),
      ...(ref ? { ref } : {}),
      isolated: checkout_mode === "isolated",
    }, options);
    return Response.json({ path, branch_name: branch, existed, ...(stale ? { stale } : {}) });
  } catch (error) {
    if (!(error instanceof RepoError)) throw error;
    const busy = { "retry-after": RETRY_AFTER_S, "x-multica-retryable": "repo-busy" };
    return refused(STATUS[error.kind], error.message, error.kind === "busy" ? busy : {});
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refused(status: number, message: string, headers: Record<string, string> = {}): Response {
  const code = status === 503 ? "busy" : status === 500 ? "checkout_failed" : "invalid_request";
  const body: ControlError = { error: { code, message } };
  return Response.json(body, { status, headers });
}
