/** The daemon of a holder: what of machine, settings, agents and servers it is given. */
import { backendFor, rowOf, SESSION_VARIABLES } from "../agents/registry.ts";
import { discover, discoverProfile, discoverProvider } from "../agents/discover.ts";
import { howToLogIn, lookAtLogin } from "../agents/login.ts";
import { secretsOf } from "../agents/secrets.ts";
import type { Coordinator } from "../coordinator/coordinator.ts";
import { BUILD } from "../core/build_info.ts";
import { dayLimitsOf } from "../core/claim_settings.ts";
import type { Home } from "../core/home.ts";
import { liveLimitsOf } from "../core/live_settings.ts";
import type { Runtime } from "../core/model.ts";
import type { Env, Host } from "../core/ports.ts";
import { createDaemon, type Daemon } from "../daemon/daemon.ts";
import type { BinariesOptions } from "../daemon/daemon_contract.ts";
import type { Updates } from "../daemon/pending_actions.ts";
import type { ReloadOptions } from "../daemon/reload_runner.ts";
import type { LookAtLogin } from "../daemon/runtime_pauses.ts";
import type { Surroundings } from "../daemon/surroundings.ts";
import { claimPauseStore, dayStore } from "./claims_file.ts";
import type { ConfigWatch } from "./config_watch.ts";
import type { HolderOptions } from "./daemon_host.ts";
import { pauseStore } from "./pauses_file.ts";
import { onBatteryOf } from "./power.ts";
import { NO_WAKEUPS, type RemoteConnection } from "./remote_connection.ts";
import type { Upkeep } from "./upkeep.ts";

/** Nothing runs yet. Throws `OutboxError`. */
export function createEmbeddedDaemon(
  host: Host,
  home: Home,
  coordinator: Coordinator,
  options: HolderOptions & {
    instance: string;
    daemonId: string;
    surroundings: Surroundings;
    reload: ReloadOptions | undefined;
    config: ConfigWatch;
    remote: RemoteConnection | undefined;
    upkeep: Upkeep;
    updates: Updates | undefined;
  },
): Daemon {
  const { clock, random, files, processes, fingerprints, system, logs } = host;
  const { selfCommand, uid } = system;
  const { mode, settings } = options;
  const variables = settings.agentVariables;
  const binaries: BinariesOptions = {
    mode: settings.reloadBinaries,
    intervalMs: settings.reloadIntervalMs,
    fingerprints,
    probe: (provider, limits) =>
      discoverProvider(provider, { processes, files, selfCommand, uid, variables, ...limits }),
  };
  return createDaemon({
    home,
    clock,
    random,
    files,
    processes,
    daemonId: options.daemonId,
    instance: options.instance,
    version: BUILD.version,
    deviceName: system.hostname,
    os: system.os,
    surroundings: options.surroundings,
    slots: options.settings.maxConcurrentTasks,
    timeLimitMs: settings.timeLimitMs,
    silenceLimitMs: settings.silenceLimitMs,
    toolLimitMs: settings.toolLimitMs,
    agentLimits: settings.agentLimits,
    liveLimits: () => liveLimitsOf(options.config.settings()),
    pauses: {
      store: pauseStore(files, home),
      howToLogIn,
      // A run in this process does not begin later for what its own end would say.
      eager: mode === "daemon",
      ...(settings.loginCheck ? { look: loginLook(host, { env: () => options.surroundings.env(), variables }) } : {}),
    },
    claims: {
      pauseStore: claimPauseStore(files, home, () => clock.now()),
      dayStore: dayStore(files, home, () => clock.now()),
      dayLimits: () => dayLimitsOf(options.config.settings()),
      claimOnBattery: () => options.config.settings().claimOnBattery,
      // Who runs a task at this very moment wants it on battery, too.
      ...(mode === "daemon" ? { onBattery: onBatteryOf({ os: system.os, files, processes }) } : {}),
    },
    ...(options.known ? { known: options.known } : {}),
    connections: [{
      name: "embedded",
      baseUrl: "http://embedded.drover",
      token: () => coordinator.token,
      fetch: coordinator.fetch,
      wakeups: coordinator,
    }, ...(options.remote ? [{ ...options.remote.config, wakeups: NO_WAKEUPS }] : [])],
    running: options.upkeep.running,
    // A run in this process uses what there is, and is over soon.
    ...(mode === "run" ? { submittedTo: options.instance } : { binaries, upkeep: options.upkeep.run }),
    discover: (limits) => discoverAgents(host, { ...limits, variables }),
    findProfile: (profile, signal) => {
      const { selfCommand, uid } = system;
      const env = options.surroundings.env();
      return discoverProfile(profile, { processes, files, env, selfCommand, uid, variables, signal });
    },
    ...(options.reload ? { reload: options.reload } : {}),
    ...(options.updates ? { updates: options.updates } : {}),
    backendFor,
    surfaceOf: rowOf,
    sessionVariables: SESSION_VARIABLES,
    secretsFor: (provider) => secretsOf(provider, variables),
    askTimeoutMs: settings.askTimeoutMs,
    ...(mode === "daemon" && settings.healthPort ? { port: settings.healthPort } : {}),
    getLogger: logs.getLogger,
  });
}

function loginLook(
  { processes, files, fingerprints }: Host,
  { env, variables }: { env: () => Env; variables: readonly string[] },
): LookAtLogin {
  return (runtime, signal) => lookAtLogin(runtime, { processes, files, fingerprints, env: env(), variables, signal });
}

/** The agent CLIs of this machine but those known, and every other row of the table with why it was skipped. */
export function discoverAgents(
  { processes, files, system }: Host,
  { env = system.env, known = [], ...limits }: {
    env?: Env;
    known?: readonly Runtime[];
    variables?: readonly string[];
    signal?: AbortSignal;
  } = {},
): ReturnType<typeof discover> {
  const { selfCommand, uid } = system;
  const except = new Set(known.map(({ provider }) => provider));
  return discover({ processes, files, env, selfCommand, uid, except, ...limits });
}
