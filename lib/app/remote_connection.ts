/** The daemon's connection to the configured team server, where its owner has enabled one: opened once, and kept in step with settings and login. */
import { isDemo } from "../agents/discover.ts";
import { BUILD } from "../core/build_info.ts";
import type { Home } from "../core/home.ts";
import type { Runtime } from "../core/model.ts";
import type { Host } from "../core/ports.ts";
import type { Dial } from "../core/socket_port.ts";
import type { Wakeups } from "../daemon/connection.ts";
import type { ConnectionConfig } from "../daemon/daemon_contract.ts";
import { createClient } from "../wire/client.ts";
import type { ConfigWatch } from "./config_watch.ts";
import { readCredentials, writeCredentials } from "./credentials.ts";
import { RemoteLink } from "./remote_link.ts";
import { renewalLoop } from "./token_renewal.ts";

/** Of a server that is only asked. */
export const NO_WAKEUPS: Wakeups = { async *subscribe() {} };

export interface RemoteConnection extends Disposable {
  readonly link: RemoteLink;
  readonly config: Omit<ConnectionConfig, "wakeups">;
  /** Keeps its token alive until the signal aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

/** `undefined` where none is enabled. Nothing is sent yet. */
export function openRemote(host: Host, home: Home, watch: ConfigWatch): RemoteConnection | undefined {
  const { remoteEnabled, serverUrl, remoteDemo } = watch.settings();
  if (!remoteEnabled || serverUrl === "") return undefined;
  const { clock, network, system, logs } = host;
  const outward = network.outward(system.env);
  const link = new RemoteLink({ ...watch, server: serverUrl, outward, clock });
  watch.onChange(() => link.changed());
  const config = {
    name: serverUrl,
    baseUrl: serverUrl,
    token: link.token,
    fetch: link.fetch,
    dial: whileLoggedIn(network.outwardDial(system.env), link),
    remote: true,
    consent: link,
    // What it answers would look like a colleague's real work.
    offers: (runtime: Runtime) => remoteDemo || !isDemo(runtime),
  };
  const client = createClient({ ...config, clock, version: BUILD.version, os: system.os, capabilities: [] });
  return {
    link,
    config,
    run: (signal) =>
      renewalLoop({
        client,
        clock,
        log: logs.getLogger("app"),
        token: link.token,
        async onExpiry(token, expiresAt) {
          // Somebody may have logged in anew meanwhile.
          const credentials = await readCredentials(host, home);
          if (credentials?.token !== token || credentials.expiresAt === expiresAt) return;
          await writeCredentials(host, home, { ...credentials, expiresAt });
        },
      }, signal),
    [Symbol.dispose]: () => link[Symbol.dispose](),
  };
}

/** Without a token a server would only be asked to say no, and a socket would outlive the login that it was opened with. */
export function whileLoggedIn(dial: Dial, link: Pick<RemoteLink, "token" | "onChange">): Dial {
  return async (url, options) => {
    const token = link.token();
    if (token === "") throw new Error("Cannot open a WebSocket: nobody is logged in");
    const listening = new DisposableStack();
    const socket = await dial(url, {
      ...options,
      handlers: {
        text: (frame) => options.handlers.text(frame),
        closed(why) {
          listening.dispose();
          options.handlers.closed(why);
        },
      },
    });
    const follow = () => {
      if (link.token() !== token) socket.close();
    };
    if (!listening.disposed) listening.use(link.onChange(follow));
    // The login may have changed while it was opened.
    follow();
    return socket;
  };
}
