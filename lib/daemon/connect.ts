/** One connection opened: the client for its server, the delivery of what runs report, and the registration with it. */
import { createClient } from "../wire/client.ts";
import { MESSAGE_DEDUP } from "../wire/payloads.ts";
import type { Connection } from "./connection.ts";
import type { ConnectionConfig, DaemonOptions } from "./daemon_contract.ts";
import { createDelivery } from "./delivery.ts";
import type { Outbox } from "./outbox.ts";
import { createProfileRuntimes, type ProfileRuntimes } from "./profile_runtimes.ts";
import { createRegistration, type Registration } from "./registration.ts";

/** Nothing is sent yet. */
export function openConnection(
  config: ConnectionConfig,
  options: DaemonOptions & { readonly outbox: Outbox },
): { connection: Connection; registration: Registration; profiles: ProfileRuntimes | undefined } {
  const { clock, version, os, outbox, getLogger, findProfile } = options;
  const client = createClient({ ...config, clock, version, os, capabilities: [] });
  const connection: Connection = {
    name: config.name,
    remote: config.remote ?? false,
    client,
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
  const profiles = findProfile && createProfileRuntimes({ client, find: findProfile, log });
  const registration = createRegistration({ ...options, connection, log, ...(profiles ? { profiles } : {}) });
  return { connection, registration, profiles };
}
