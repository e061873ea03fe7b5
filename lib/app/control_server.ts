/** The control socket's server: hello and status of this process, and the user API of the embedded coordinator. */
import type { Fetch } from "../core/ports.ts";
import type { Phase } from "../core/phase.ts";
import { type ControlError, type Hello, type LaunchView, StopRequest } from "../wire/control.ts";
import type { Daemon } from "../daemon/daemon.ts";
import { answerAboutResuming, withPauses } from "./agent_pause.ts";
import { answerAboutPausing } from "./claim_pause.ts";
import { answerAboutPermissions, type PermissionSources } from "./control_permissions.ts";

export interface ControlSources {
  readonly hello: () => Hello;
  readonly status: () => object;
  readonly health: () => object;
  readonly phase: () => Phase;
  readonly launch: () => LaunchView;
  /** Writes the pidfile again, for a client that found none. */
  readonly writeRecord: () => Promise<void>;
  /** Resolves when settings and login as they stand in their files are in effect. */
  readonly reloadConfig: () => Promise<void>;
  readonly userApi: Fetch;
  readonly permissions: Pick<PermissionSources, "runs" | "answer">;
  /** Repositories and disk space; `undefined` for a request that is about something else. */
  readonly upkeep: (request: Request) => Promise<Response> | undefined;
  readonly instance: string;
  readonly pauses: Daemon["pauses"];
  /** Whether such an agent CLI is here. */
  readonly knows: (provider: string) => boolean;
  /** `drain` lets running tasks finish, `now` ends them to be tried again. */
  readonly stop: (mode: "drain" | "now") => void;
  /** False when it was not draining, or is past the point of no return. */
  readonly cancelDrain: () => boolean;
}

/** The handler for one process. The socket's private directory is the authority: no token is asked for. */
export function controlHandler(sources: ControlSources): (request: Request) => Response | Promise<Response> {
  return (request) => {
    const { pathname } = new URL(request.url);
    const route = `${request.method} ${pathname}`;
    if (route === "GET /v1/hello") return Response.json(sources.hello());
    if (route === "GET /v1/status") return Response.json(sources.status());
    // Where clients of other daemons look for it, too.
    if (route === "GET /health") return Response.json(sources.health());
    if (route === "GET /v1/launch") return Response.json(sources.launch());
    if (route === "POST /v1/record") return sources.writeRecord().then(() => Response.json(sources.hello()));
    if (route === "POST /v1/config") return sources.reloadConfig().then(() => Response.json(sources.status()));
    if (route === "POST /v1/stop") return stop(request, sources);
    if (route === "DELETE /v1/stop") {
      if (sources.cancelDrain()) return Response.json(sources.hello());
      return controlError(409, "busy", `Cannot cancel the drain: the daemon is ${sources.phase().kind}`);
    }
    if (route === "POST /v1/tasks" && isEnding(sources.phase())) {
      return controlError(409, "draining", "Cannot take the task: this drover is ending", "try again in a moment");
    }
    // It has signed its agents off, or is about to: an answer would say that there are none.
    if (route === "GET /v1/agents" && (isEnding(sources.phase()) || sources.phase().kind === "stopped")) {
      return controlError(409, "draining", "Cannot tell the agents: this drover is ending", "try again in a moment");
    }
    if (pathname.startsWith("/v1/tasks/") && pathname.includes("/permissions")) {
      return answerAboutPermissions(request, { ...sources.permissions, userApi: sources.userApi })
        .then((response) => response ?? notThere(route));
    }
    if (route === "GET /v1/agents") {
      return sources.userApi(withInstance(request, sources.instance)).then((found) =>
        withPauses(found, sources.pauses)
      );
    }
    const kept = sources.upkeep(request);
    if (kept) return kept;
    const paused = answerAboutPausing(request, () => sources.pauses.all);
    if (paused) return paused;
    const resumed = answerAboutResuming(request, sources);
    if (resumed) return resumed;
    if (pathname.startsWith("/v1/")) return sources.userApi(withInstance(request, sources.instance));
    return notThere(route);
  };
}

async function stop(request: Request, sources: ControlSources): Promise<Response> {
  const body = StopRequest.safeParse(await request.json().catch(() => undefined));
  if (!body.success) {
    return controlError(400, "invalid_request", 'Cannot stop: the body must be {"mode": "drain"} or {"mode": "now"}');
  }
  sources.stop(body.data.mode);
  return Response.json(sources.hello());
}

function notThere(route: string): Response {
  return controlError(404, "invalid_request", `Cannot answer ${route}: there is no such route`);
}

function isEnding(phase: Phase): boolean {
  // Before a restart it is taken, for the successor to run.
  return (phase.kind === "draining" || phase.kind === "stopped") && phase.to === "exit";
}

/**
 * Whose task it is, is said by the process that takes it, never by the client. The server's own request is not passed
 * on: its signal aborts after every answer, and a client that goes away shows by the answer's stream being cancelled.
 */
function withInstance(request: Request, instance: string): Request {
  const headers = new Headers(request.headers);
  headers.set("x-drover-instance", instance);
  return new Request(request.url, { method: request.method, headers, body: request.body });
}

function controlError(status: number, code: string, message: string, hint?: string): Response {
  const body: ControlError = { error: { code, message, ...(hint ? { hint } : {}) } };
  return Response.json(body, { status });
}
