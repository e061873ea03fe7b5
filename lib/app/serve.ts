/** A team server in this process: the coordinator behind a TCP listener, its log, its retention, and its end. */
import { createCoordinator } from "../coordinator/embedded.ts";
import type { Coordinator } from "../coordinator/coordinator.ts";
import { BUILD } from "../core/build_info.ts";
import { DroverError } from "../core/drover_error.ts";
import { type Host, HostError, type LogSetup, type TcpServer } from "../core/ports.ts";
import { isLoopback } from "../core/proxy.ts";
import { FIRST_WORKSPACE, lockPlace, openPlace, overStore, type ServerPlace } from "./serve_place.ts";

export interface ListenPlace {
  /** A name or an address; of IPv6 without brackets. */
  readonly hostname: string;
  /** 0 = a free one. */
  readonly port: number;
}

export interface ServeOptions {
  readonly listen: ListenPlace;
  readonly place: ServerPlace;
  /** How long messages of ended tasks are kept, in days; 0 = for ever. */
  readonly retentionDays: number;
  readonly logLevel: LogSetup["level"];
  readonly logToStderr: boolean;
}

export interface TeamServer {
  readonly port: number;
  /** By which this machine's name leads to it. */
  readonly url: string;
  /** Somebody can log in already. */
  readonly hasToken: boolean;
  /** Nobody on the way is kept from reading what goes over the wire. */
  readonly isOpen: boolean;
  /** False where another server of the same directory has the log file. */
  readonly ownsLog: boolean;
  /** Resolves when it cannot listen any more. */
  readonly lost: Promise<void>;
  /** Takes nobody any more, ends streams and sockets, and closes the store; a few seconds at most. Idempotent. */
  close(): Promise<void>;
}

const RETENTION_EVERY_MS = 6 * 60 * 60_000;
const DAY_MS = 86_400_000;

/** Throws `already_running`, `home_unusable`, `store_unusable`, and `usage` for a place where nobody may listen. */
export async function openServer(host: Host, options: ServeOptions): Promise<TeamServer> {
  const { place, listen } = options;
  const isOpen = !isLoopback(listen.hostname);
  await openPlace(host, place);
  await using stack = new AsyncDisposableStack();
  const locks = stack.use(await lockPlace(host, place));
  const logging = { level: options.logLevel, stderr: options.logToStderr || !locks.ownsLog };
  stack.use(await host.logs.setup(locks.ownsLog ? { ...logging, file: place.logFile } : logging));
  const log = host.logs.getLogger("serve");
  const coordinator = await overStore(() =>
    createCoordinator({
      database: place.database,
      clock: host.clock,
      random: host.random,
      log: host.logs.getLogger("coordinator"),
      workspace: FIRST_WORKSPACE,
      upgrade: host.network.upgrade,
    })
  );
  stack.defer(() => coordinator.close());
  const hasToken = await coordinator.hasToken();
  if (isOpen && !hasToken) throw nobodyYet(listen, place);
  const lost = Promise.withResolvers<void>();
  const listener = listenOn(host, listen, coordinator, (error) => {
    log.critical("the listener is lost, the server ends", { error: error.message });
    lost.resolve();
  });
  coordinator.start();
  const ending = new AbortController();
  void keepRetention(host, { coordinator, days: options.retentionDays, signal: ending.signal });
  const url = urlOf(host, listen.hostname, listener.port);
  log.info("serving", { url, version: BUILD.version, pid: host.system.self().pid, database: place.databaseName });
  const opened = stack.move();
  let closing: Promise<void> | undefined;
  return {
    port: listener.port,
    url,
    hasToken,
    isOpen,
    ownsLog: locks.ownsLog,
    lost: lost.promise,
    close: () =>
      closing ??= (async () => {
        log.info("leaving");
        ending.abort();
        // The listener waits for the last answers, and streams end with the coordinator: both at once.
        await Promise.all([listener.close(), coordinator.close()]);
        await opened.disposeAsync();
      })(),
  };
}

function listenOn(
  host: Host,
  listen: ListenPlace,
  coordinator: Pick<Coordinator, "publicApi">,
  onLost: (error: HostError) => void,
): TcpServer {
  try {
    return host.network.serveTcp(listen, coordinator.publicApi, onLost);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    const { hostname, port } = listen;
    if (error.code === "address-in-use") {
      throw new DroverError("already_running", `Cannot listen on ${hostname}:${port}: another process has the port`, {
        hint: "name another one with --listen HOST:PORT; port 0 takes a free one",
        cause: error,
      });
    }
    throw new DroverError("usage", error.message, {
      hint: "name an address of this machine and a port above 1023: --listen HOST:PORT",
      cause: error,
    });
  }
}

function nobodyYet({ hostname, port }: ListenPlace, { options }: ServerPlace): DroverError {
  return new DroverError(
    "usage",
    `Cannot listen on ${hostname}:${port}: others could reach the server, and nobody has a token for it`,
    { hint: `make the first one: drover token create NAME${options}` },
  );
}

/** An address that stands for all of them leads nowhere: then the machine's name. */
function urlOf({ system }: Host, hostname: string, port: number): string {
  const all = hostname === "0.0.0.0" || hostname === "::";
  const name = all ? system.hostname : hostname.includes(":") ? `[${hostname}]` : hostname;
  return `http://${name}:${port}`;
}

/** A failure is logged and tried again in the next round. */
async function keepRetention(
  host: Host,
  { coordinator, days, signal }: { coordinator: Pick<Coordinator, "purgeMessages">; days: number; signal: AbortSignal },
): Promise<void> {
  const log = host.logs.getLogger("retention");
  while (days > 0 && !signal.aborted) {
    try {
      const messages = await coordinator.purgeMessages(host.clock.now() - days * DAY_MS);
      if (messages > 0) log.info("messages past their retention were removed", { messages });
    } catch (error) {
      if (!signal.aborted) log.warn("retention could not be applied", { error: (error as Error).message });
    }
    await host.clock.sleep(RETENTION_EVERY_MS, { signal }).catch(() => {});
  }
}
