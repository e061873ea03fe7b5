/** HTTP to servers and over Unix sockets; never a listening TCP port. */
import type { Network, UnixServer } from "../core/ports.ts";
import { HostError } from "../core/ports.ts";
import { hostErrorCode } from "./errors.ts";

export function createNetwork(): Network {
  return {
    fetch: (request) => fetch(request),
    serveUnix,
    unixClient(path) {
      const client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
      return {
        fetch: (request) => fetch(request, { client }),
        [Symbol.dispose]: () => client.close(),
      };
    },
  };
}

function serveUnix(path: string, handler: (request: Request) => Response | Promise<Response>): UnixServer {
  let server: Deno.HttpServer<Deno.UnixAddr>;
  try {
    server = Deno.serve({
      path,
      onListen: () => {},
      onError: (error) => {
        const message = error instanceof Error ? error.message : String(error);
        return Response.json({ error: { code: "internal", message } }, { status: 500 });
      },
    }, handler);
  } catch (error) {
    throw new HostError(hostErrorCode(error), `Cannot listen on ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  // An environment variable of Deno's can move a listener to a public TCP port; main deletes it, this makes sure.
  if (server.addr.transport !== "unix") {
    void server.shutdown();
    throw new HostError("other", `Cannot listen on ${path}: the runtime opened ${server.addr.transport} instead`);
  }
  // The directory is 0700 already; the mode says the same of the socket itself.
  Deno.chmodSync(path, 0o600);
  return { path, close: () => server.shutdown() };
}
