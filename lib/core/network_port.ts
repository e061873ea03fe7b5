/** HTTP and sockets as interfaces: what drover listens on, and how it reaches servers of this machine and elsewhere. */
import type { Env, HostError } from "./ports.ts";
import type { Dial } from "./socket_port.ts";
import type { Upgrade } from "./upgrade_port.ts";

export type Fetch = (request: Request) => Promise<Response>;

export interface UnixServer {
  readonly path: string;
  /** Waits two seconds for answers that are on their way. */
  close(): Promise<void>;
}

export interface LoopbackServer {
  readonly port: number;
  /** At once, also under the hands of a client that has not finished its request. */
  close(): Promise<void>;
}

export interface TcpServer {
  readonly port: number;
  /** Takes nobody any more and waits two seconds for answers that are on their way. */
  close(): Promise<void>;
}

export interface UnixClient extends Disposable {
  readonly fetch: Fetch;
}

/** For a server elsewhere; lives as long as the connection to it. */
export interface OutwardClient extends Disposable {
  /** Rejects for certificates that cannot be read, too. */
  readonly fetch: Fetch;
}

export interface Network {
  /** Proxies of the environment are ignored for loopback. */
  readonly fetch: Fetch;
  /**
   * HTTP on a Unix socket with mode 0600; never a TCP port. Out of descriptors it drops its connections and listens again
   * a second later; `onLost` is called when it cannot. Throws `HostError` `address-in-use`.
   */
  serveUnix(
    path: string,
    handler: (request: Request) => Response | Promise<Response>,
    onLost?: (error: HostError) => void,
  ): UnixServer;
  unixClient(path: string): UnixClient;
  /** Through the proxy and with the certificates that an environment names; a server of this machine is reached directly. */
  outward(env: Env): OutwardClient;
  /** WebSockets by the same way. */
  outwardDial(env: Env): Dial;
  /**
   * HTTP on a TCP port of 127.0.0.1 and of no other address; port 0 takes a free one. Every user of the machine can call
   * it, and so can web pages: the handler has to tell. Throws `HostError` `address-in-use` or `permission`.
   */
  serveLoopback(port: number, handler: (request: Request) => Response | Promise<Response>): LoopbackServer;
  /**
   * HTTP on a TCP port of any address of this machine; port 0 takes a free one. Whoever reaches it can call it: the
   * handler has to tell. Out of descriptors as `serveUnix`. Throws `HostError` `address-in-use` or `permission`.
   */
  serveTcp(
    place: { readonly hostname: string; readonly port: number },
    handler: (request: Request) => Response | Promise<Response>,
    onLost?: (error: HostError) => void,
  ): TcpServer;
  /** Of a request to a server above. */
  readonly upgrade: Upgrade;
}
