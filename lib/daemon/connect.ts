/** One connection opened: the client for its server, the delivery of what runs report, and the registration with it. */
import { createClient, type WireClient } from "../wire/client.ts";
import { CAPABILITIES } from "../wire/claim.ts";
import { MESSAGE_DEDUP } from "../wire/payloads.ts";
import { type ClaimRoutes, createClaimRoutes } from "./claim_routes.ts";
import type { Connection } from "./connection.ts";
import type { ConnectionConfig, DaemonOptions } from "./daemon_contract.ts";
import { createDelivery } from "./delivery.ts";
import { customRefusal } from "./identity_gate.ts";
import type { Outbox } from "./outbox.ts";
import { createProfileRuntimes, type ProfileRuntimes } from "./profile_runtimes.ts";
import { createRegistration, type Registration } from "./registration.ts";

/** Nothing is sent yet. */
export function openConnection(
  config: ConnectionConfig,
  options: DaemonOptions & {
    readonly outbox: Outbox;
    /** There may be something to claim. */
    readonly nudge: () => void;
    /** A task of ours is in hand for a runtime. */
    readonly busy: (runtimeId: string) => boolean;
    /** The server knows other runtimes of this machine now, or the same ones anew. */
    readonly onRegistered: () => void;
  },
): {
  connection: Connection;
  registration: Registration;
  routes: ClaimRoutes;
  profiles: ProfileRuntimes | undefined;
} {
  const { clock, version, os, outbox, getLogger, findProfile, nudge } = options;
  const http = createClient({ ...config, clock, version, os, capabilities: CAPABILITIES });
  const routes = createClaimRoutes({ client: http, clock, log: getLogger("poller"), onReady: nudge });
  const client: WireClient = {
    ...http,
    get old() {
      return http.old;
    },
    claim: routes.claim,
  };
  const connection: Connection = {
    name: config.name,
    remote: config.remote ?? false,
    serverUrl: config.baseUrl,
    client,
    ...(config.consent ? { consent: config.consent } : {}),
    ...(config.offers ? { offers: config.offers } : {}),
    wakeups: config.wakeups,
    delivery: createDelivery({
      connection: config.name,
      client,
      outbox,
      clock,
      log: getLogger("delivery"),
      deduplicates: () => connection.serverCapabilities.includes(MESSAGE_DEDUP),
    }),
    runtimes: new Map(),
    serverCapabilities: [],
    state: "connecting",
    why: "",
  };
  const log = getLogger("registration");
  const refusal = (workspace: string) => customRefusal(config.consent, workspace);
  const profiles = findProfile && createProfileRuntimes({ client, find: findProfile, refusal, log });
  const registration = createRegistration({ ...options, connection, log, ...(profiles ? { profiles } : {}) });
  return { connection, registration, routes, profiles };
}
