/** Asking the daemon for a repository from inside a task: finds it by the task's environment, and comes again while it is busy. */
import { DroverError, type ErrorCode } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { Host } from "../core/ports.ts";
import { lookAtPidfile } from "../lifecycle/pidfile.ts";

export interface CheckedOut {
  readonly path: string;
  readonly branch_name: string;
  readonly existed: boolean;
  /** Why it may be old. */
  readonly stale?: string;
}

/** A large repository is fetched in minutes; somebody else may be at it first. */
const PATIENCE_MS = 12 * 60_000;
const DEFAULT_RETRY_MS = 2_000;
const MAX_RETRY_MS = 30_000;

/** Throws `usage` outside of a task, `not_running`, `busy`, and `checkout_failed` with the reason. */
export async function checkoutRepo(
  host: Host,
  home: Home,
  { url, ref, isolated, onWait }: { url: string; ref?: string; isolated: boolean; onWait: () => void },
): Promise<CheckedOut> {
  const { env, cwd } = host.system;
  if (!env.DROVER_TOKEN || !env.DROVER_TASK_ID || !env.DROVER_WORKSPACE_ID) {
    throw new DroverError("usage", "Cannot check out a repository: this is not inside a task of drover", {
      hint: "it is for agents, in a task's directory; elsewhere use git clone",
    });
  }
  const look = await lookAtPidfile(host.files, home.pidfile);
  if (look.kind !== "record") {
    throw new DroverError("not_running", `Cannot check out ${url}: no drover holds ${home.root}`);
  }
  const body = JSON.stringify({
    url,
    workdir: cwd,
    workspace_id: env.DROVER_WORKSPACE_ID,
    task_id: env.DROVER_TASK_ID,
    ...(ref ? { ref } : {}),
    ...(isolated ? { checkout_mode: "isolated" } : {}),
    retry_busy: true,
  });
  const end = host.clock.monotonic() + PATIENCE_MS;
  using socket = host.network.unixClient(look.record.controlSocket);
  for (;;) {
    const response = await ask(host, socket.fetch, { body, token: env.DROVER_TOKEN, end });
    if (response.ok) return await response.json() as CheckedOut;
    const error = await errorOf(response, url);
    if (response.status !== 503 || host.clock.monotonic() >= end) throw error;
    onWait();
    const after = Number(response.headers.get("retry-after")) * 1_000 || DEFAULT_RETRY_MS;
    await host.clock.sleep(Math.min(after, MAX_RETRY_MS));
  }
}

async function ask(
  host: Host,
  fetch: (request: Request) => Promise<Response>,
  { body, token, end }: { body: string; token: string; end: number },
): Promise<Response> {
  const abort = new AbortController();
  using _limit = host.clock.after(end - host.clock.monotonic(), () => abort.abort(new Error("It did not end in time")));
  const headers = { "authorization": `Bearer ${token}`, "content-type": "application/json" };
  try {
    const request = new Request("http://drover.local/repo/checkout", {
      method: "POST",
      headers,
      body,
      signal: abort.signal,
    });
    return await fetch(request);
  } catch (error) {
    throw new DroverError("not_running", `Cannot reach the drover of this task: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

const CODES: Readonly<Record<number, ErrorCode>> = { 503: "busy", 500: "checkout_failed" };

async function errorOf(response: Response, url: string): Promise<DroverError> {
  const text = await response.text();
  const code = CODES[response.status] ?? "invalid_request";
  try {
    return new DroverError(code, (JSON.parse(text) as { error: { message: string } }).error.message);
  } catch {
    return new DroverError(code, `Cannot check out ${url}: the daemon answered with status ${response.status}`);
  }
}
