/** The health port: `GET /health` on 127.0.0.1 for desktop clients, read-only, and of no use to web pages. */
import { HostError, type Logger, type Network } from "../core/ports.ts";
import type { ControlError } from "../wire/control.ts";
import type { HealthPort, HealthView } from "./health.ts";

export interface HealthEndpoint {
  readonly state: HealthPort;
  close(): Promise<void>;
}

export interface HealthPortOptions {
  /** 0 = off. */
  readonly port: number;
  readonly network: Network;
  readonly log: Logger;
  readonly view: () => HealthView;
  /** For agents, which show their token; `undefined` for a request that is about something else. */
  readonly checkout?: (request: Request) => Promise<Response> | undefined;
}

/** Never throws for a port that cannot be had: the daemon is there for tasks, and this is a look at it. */
export function openHealthPort({ port, network, log, view, checkout }: HealthPortOptions): HealthEndpoint {
  if (port === 0) return { state: { kind: "off" }, close: () => Promise.resolve() };
  try {
    const server = network.serveLoopback(
      port,
      (request) => answer(request, { port, view, ...(checkout ? { checkout } : {}) }),
    );
    log.info("health port open", { address: `127.0.0.1:${server.port}` });
    return { state: { kind: "listening", port: server.port }, close: () => server.close() };
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    const why = error.code === "address-in-use"
      ? `another process has port ${port}; drover config set health.port takes another one`
      : error.message;
    log.warn("health port not open, the daemon goes on without it", { port, why });
    return { state: { kind: "failed", port, why }, close: () => Promise.resolve() };
  }
}

/** Nothing may be kept, guessed at or embedded by a page; without CORS headers none can read it either. */
const HEADERS = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "cross-origin-resource-policy": "same-origin",
};

function answer(
  request: Request,
  { port, view, checkout }: Pick<HealthPortOptions, "port" | "view" | "checkout">,
): Response | Promise<Response> {
  // A page whose own name was made to lead here is of the same origin to its browser; only the name tells.
  if (!hostNames(port).includes(request.headers.get("host")?.toLowerCase() ?? "")) {
    return refused(403, `Cannot answer: the Host header must be 127.0.0.1:${port} or localhost:${port}`);
  }
  const { pathname } = new URL(request.url);
  const answered = checkout?.(request);
  if (answered) return answered;
  if (pathname !== "/health") return refused(404, `Cannot answer ${pathname}: there is only /health`);
  if (request.method !== "GET" && request.method !== "HEAD") {
    return refused(405, `Cannot answer ${request.method}: /health can only be read`, { allow: "GET, HEAD" });
  }
  return Response.json(view(), { headers: HEADERS });
}

function hostNames(port: number): string[] {
  const names = ["127.0.0.1", "localhost"];
  return [...names.map((name) => `${name}:${port}`), ...(port === 80 ? names : [])];
}

function refused(status: number, message: string, headers: Record<string, string> = {}): Response {
  const body: ControlError = { error: { code: "invalid_request", message } };
  return Response.json(body, { status, headers: { ...HEADERS, ...headers } });
}
