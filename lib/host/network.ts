/** HTTP to servers and over Unix sockets; a listening TCP port only where one is asked for, and only of the address that is named. */
import type { LoopbackServer, Network, TcpServer, UnixServer } from "../core/ports.ts";
import { HostError } from "../core/ports.ts";
import { hostErrorCode, toHostError } from "./errors.ts";
import { outward } from "./outward.ts";
import { outwardDial } from "./socket.ts";
import { createUpgrade } from "./websocket_server.ts";

export function createNetwork(): Network {
  return {
    fetch: (request) => fetch(request),
    serveUnix,
    serveLoopback,
    serveTcp,
    upgrade: createUpgrade(),
    outward,
    outwardDial,
    unixClient(path) {
      const client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
      return {
        fetch: (request) => fetch(request, { client }),
        [Symbol.dispose]: () => client.close(),
      };
    },
  };
}

type Handler = (request: Request) => Response | Promise<Response>;

interface Opened {
  readonly server: Deno.HttpServer<Deno.Addr>;
  /** Aborted, it drops every connection, whatever it is at. */
  readonly cut: AbortController;
}

const REOPEN_MS = 1_000;
const WATCH_MS = 5_000;
/** A request that was begun and is never ended would be waited for without end. */
const LAST_ANSWERS_MS = 2_000;

function serveUnix(path: string, handler: Handler, onLost: (error: HostError) => void = () => {}): UnixServer {
  const kept = keepOpen(() => openUnix(path, handler), path, onLost);
  return {
    path,
    close: () => lastAnswers(kept.leave()),
  };
}

async function lastAnswers(opened: readonly Opened[]): Promise<void> {
  // Not cut after that: where the runtime has closed the server already, that is an error nobody can catch.
  const late = Promise.withResolvers<void>();
  const limit = setTimeout(late.resolve, LAST_ANSWERS_MS);
  const ends = opened.map(({ server }) => server.shutdown().catch(() => {}));
  await Promise.race([Promise.all(ends), late.promise]);
  clearTimeout(limit);
}

function openUnix(path: string, handler: Handler): Opened {
  const opened = open(path, (signal) => Deno.serve({ path, signal, onListen: () => {}, onError: failed }, handler));
  // An environment variable of Deno's can move a listener to a public TCP port; main deletes it, this makes sure.
  if (opened.server.addr.transport !== "unix") throw wrongPlace(path, opened);
  // The directory is 0700 already; the mode says the same of the socket itself.
  Deno.chmodSync(path, 0o600);
  return opened;
}

const LOOPBACK = "127.0.0.1";

interface TcpPlace {
  readonly hostname: string;
  readonly port: number;
}

function serveLoopback(port: number, handler: Handler): LoopbackServer {
  const { kept, taken } = keepTcpOpen({ hostname: LOOPBACK, port }, handler);
  return {
    port: taken,
    async close() {
      for (const opened of kept.leave()) {
        opened.cut.abort();
        await opened.server.finished.catch(() => {});
      }
    },
  };
}

function serveTcp(place: TcpPlace, handler: Handler, onLost?: (error: HostError) => void): TcpServer {
  const { kept, taken } = keepTcpOpen(place, handler, onLost);
  const watch = watchTcp({ hostname: place.hostname, port: taken }, kept.renew);
  return {
    port: taken,
    close: () => {
      watch[Symbol.dispose]();
      return lastAnswers(kept.leave());
    },
  };
}

/**
 * A runtime before Deno 2.9 that ran out of descriptors takes nobody any more and says so only when the last connection
 * has ended, which those of daemons and proxies never do. So it is tried out whether anybody gets in.
 */
function watchTcp({ hostname, port }: TcpPlace, renew: () => void): Disposable {
  const all: Readonly<Record<string, string>> = { "0.0.0.0": LOOPBACK, "::": "::1" };
  let left = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = async () => {
    try {
      (await Deno.connect({ hostname: all[hostname] ?? hostname, port })).close();
    } catch (error) {
      if (!left && hostErrorCode(error) === "refused") renew();
    }
    if (!left) timer = setTimeout(look, WATCH_MS);
  };
  timer = setTimeout(look, WATCH_MS);
  return {
    [Symbol.dispose]() {
      left = true;
      clearTimeout(timer);
    },
  };
}

/** `taken`: the port, which stays the same when it is opened again. */
function keepTcpOpen(
  { hostname, port }: TcpPlace,
  handler: Handler,
  onLost?: (error: HostError) => void,
): { kept: ReturnType<typeof keepOpen>; taken: number } {
  let taken = port;
  const kept = keepOpen(
    () => {
      const opened = openTcp({ hostname, port: taken }, handler);
      taken = (opened.server.addr as Deno.NetAddr).port;
      return opened;
    },
    `${hostname}:${port}`,
    onLost,
  );
  return { kept, taken };
}

/** A name leads to an address that only the system knows; an address is itself. */
const ADDRESS = /^\d+(\.\d+){3}$/;

function openTcp({ hostname, port }: TcpPlace, handler: Handler): Opened {
  const place = `${hostname}:${port}`;
  const listen = { hostname, port, onListen: () => {}, onError: failed };
  const opened = open(place, (signal) => Deno.serve({ ...listen, signal }, handler));
  const { addr } = opened.server;
  const right = addr.transport === "tcp" && (!ADDRESS.test(hostname) || addr.hostname === hostname) &&
    (port === 0 || addr.port === port);
  if (!right) throw wrongPlace(place, opened);
  return opened;
}

function open(place: string, serve: (signal: AbortSignal) => Deno.HttpServer<Deno.Addr>): Opened {
  const cut = new AbortController();
  try {
    return { server: serve(cut.signal), cut };
  } catch (error) {
    throw new HostError(hostErrorCode(error), `Cannot listen on ${place}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function wrongPlace(place: string, { server, cut }: Opened): HostError {
  cut.abort();
  const { transport } = server.addr;
  return new HostError("other", `Cannot listen on ${place}: the runtime opened ${transport} instead`);
}

/**
 * Out of descriptors the runtime's server fails as a whole, and its failure, if nobody takes it, ends the process. Here it
 * is opened again when there may be some. `renew` opens another beside one that takes nobody any more. `leave` gives those
 * that may still have connections to whoever closes them.
 */
function keepOpen(
  reopen: () => Opened,
  place: string,
  onLost: (error: HostError) => void = () => {},
): { renew(): void; leave(): readonly Opened[] } {
  let current: Opened | undefined;
  const open = new Set<Opened>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let left = false;
  const failedWith = (error: unknown) => {
    if (left) return;
    if (hostErrorCode(error) !== "exhausted") return onLost(toHostError(error, "listen on", place));
    timer = setTimeout(() => {
      try {
        take(reopen());
      } catch (error) {
        failedWith(error);
      }
    }, REOPEN_MS);
  };
  const take = (next: Opened) => {
    current = next;
    open.add(next);
    next.server.finished.catch((error) => {
      open.delete(next);
      if (current !== next) return;
      current = undefined;
      failedWith(error);
    });
  };
  take(reopen());
  return {
    renew() {
      // Where there is none, it is being opened again already.
      if (left || !current) return;
      try {
        take(reopen());
      } catch {
        // It takes people after all, or there are no descriptors yet: then the next look is for it.
      }
    },
    leave() {
      left = true;
      clearTimeout(timer);
      return [...open];
    },
  };
}

function failed(error: unknown): Response {
  const message = error instanceof Error ? error.message : String(error);
  return Response.json({ error: { code: "internal", message } }, { status: 500 });
}
