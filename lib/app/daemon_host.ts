/** One holder of a home: lock, stores, control socket, pidfile and daemon, opened in order and closed in reverse. */
import { backendFor, rowOf, SESSION_VARIABLES } from "../agents/registry.ts";
import { discover, discoverProfile, discoverProvider } from "../agents/discover.ts";
import { howToLogIn, lookAtLogin } from "../agents/login.ts";
import { secretsOf } from "../agents/secrets.ts";
import { createCoordinator } from "../coordinator/embedded.ts";
import type { Coordinator } from "../coordinator/coordinator.ts";
import { StoreError } from "../coordinator/store.ts";
import { BUILD } from "../core/build_info.ts";
import type { Settings } from "../core/config.ts";
import { DroverError } from "../core/drover_error.ts";
import { controlSocket, type Home } from "../core/home.ts";
import type { Runtime } from "../core/model.ts";
import type { Ending, Phase } from "../core/phase.ts";
import type { Env, Host, Lock } from "../core/ports.ts";
import { createDaemon, type Daemon } from "../daemon/daemon.ts";
import type { BinariesOptions } from "../daemon/daemon_contract.ts";
import { OutboxError } from "../daemon/outbox.ts";
import type { HandOffPort, ReloadOptions } from "../daemon/reload_runner.ts";
import type { LookAtLogin } from "../daemon/runtime_pauses.ts";
import type { Surroundings } from "../daemon/surroundings.ts";
import { daemonEnv, launchArgs, NONCE_VARIABLE, REPLACED_VARIABLE, type SupervisorKind } from "../core/launch.ts";
import { readPidfile, sameProcess } from "../lifecycle/pidfile.ts";
import { CONTROL_PROTOCOL, type Hello } from "../wire/control.ts";
import { type UserApi, userApiOver } from "./control_client.ts";
import { controlHandler } from "./control_server.ts";
import { healthView } from "./health.ts";
import { openHealthPort } from "./health_port.ts";
import { openLoginPath } from "./login_path.ts";
import { reloadOptions } from "./reload.ts";
import { retentionLoop } from "./retention.ts";
import { daemonIdOf, inHome, openHome, writeOwnCommand } from "./home_dir.ts";
import { createOwnRecord } from "./own_record.ts";
import { pauseStore } from "./pauses_file.ts";
import { remoteView } from "./remote.ts";
import { SOCKET_NAME } from "./reach.ts";
import { checkWanted } from "./wanted.ts";

export type Mode = "daemon" | "run";

export interface HolderOptions {
  readonly mode: Mode;
  readonly settings: Settings;
  /** For the pidfile: how this process was started. */
  readonly args: readonly string[];
  /** The service manager that started it. */
  readonly supervisor?: SupervisorKind;
  /** Log records also go to stderr (foreground daemon). */
  readonly logToStderr: boolean;
  /** Agent CLIs that an earlier holder in this process knew. */
  readonly known?: readonly Runtime[];
  /** Where another process may take over from this one. */
  readonly handOff?: HandOffPort;
}

export interface Holder {
  readonly instance: string;
  readonly daemon: Daemon;
  readonly userApi: UserApi;
  readonly controlSocket: string;
  /** Resolves when the daemon is running. */
  start(): Promise<void>;
  /** Resolves when everything is closed and the lock is free. */
  readonly closed: Promise<Ending>;
  /** Closes what was opened, when `start` has failed. */
  close(): Promise<void>;
}

/** Long enough for a command that holds the lock for one look at the store, short enough not to feel like a hang. */
const LOCK_WAIT_MS = 3_000;

/** Throws `already_running` at once when a live process holds the home, `home_unusable`, or `store_unusable`. */
export function openHolder(host: Host, home: Home, options: HolderOptions): Promise<Holder> {
  return inHome(home, () => open(host, home, options));
}

async function open(host: Host, home: Home, options: HolderOptions): Promise<Holder> {
  await openHome(host, home);
  await using stack = new AsyncDisposableStack();
  const lock = stack.use(await takeDaemonLock(host, home));
  await checkWanted(host, home, options);
  const { mode, settings } = options;
  stack.use(await host.logs.setup({ file: home.logFile, stderr: options.logToStderr, level: settings.logLevel }));
  const log = host.logs.getLogger("app");
  const instance = host.random.uuid();
  const daemonId = await daemonIdOf(host, home);
  await writeOwnCommand(host, home);

  const coordinator = storeOpened(() =>
    createCoordinator({
      path: home.coordinatorDb,
      clock: host.clock,
      random: host.random,
      log: host.logs.getLogger("coordinator"),
    })
  );
  stack.defer(() => coordinator.close());
  const surroundings = await openLoginPath(host, home, { enabled: settings.loginPath });
  const { handOff } = options;
  const reload = handOff && await reloadOptions(host, home, { settings, handOff });
  const daemon = storeOpened(() =>
    createEmbeddedDaemon(host, home, coordinator, { ...options, instance, daemonId, surroundings, reload })
  );
  stack.defer(() => daemon.close());

  const place = controlSocket(home, instance, host.system);
  await prepareSocketDirectory(host, home, place.directory);
  const record = createOwnRecord(host, home, {
    instance,
    mode,
    args: options.args,
    controlSocket: place.path,
    supervisor: options.supervisor ?? "none",
    onSuperseded() {
      daemon.stop();
      daemon.cancelTasks();
    },
  });
  const { version } = record.value();
  const hello = (): Hello => ({
    protocol: CONTROL_PROTOCOL,
    instance,
    pid: host.system.self().pid,
    version,
    mode,
    phase: phaseToOthers(daemon.phase),
    home: home.root,
    nonce: host.system.env[NONCE_VARIABLE],
  });
  const healthPort = openHealthPort({
    port: mode === "daemon" ? settings.healthPort : 0,
    network: host.network,
    log,
    view: () => health(),
  });
  stack.defer(() => healthPort.close());
  const health = () =>
    healthView({
      home,
      hello: hello(),
      status: daemon.status(),
      record: record.value(),
      daemonId,
      deviceName: host.system.hostname,
      os: host.system.os,
      port: healthPort.state,
      now: host.clock.now(),
    });
  const handler = controlHandler({
    hello,
    health,
    status: () => ({
      ...daemon.status(),
      ...hello(),
      ...record.view(),
      healthPort: healthPort.state,
      remote: remoteView(settings, host.system.env),
    }),
    phase: () => daemon.phase,
    launch: () => ({ args: launchArgs(options.args), env: daemonEnv(host.system.env, home) }),
    writeRecord: () => record.write(),
    userApi: coordinator.userApi,
    pauses: daemon.pauses,
    knows: (provider) => daemon.runtimes.some((runtime) => runtime.provider === provider),
    permissions: { runs: () => daemon.status().tasks, answer: (...asked) => daemon.answerPermission(...asked) },
    instance,
    stop(stopMode) {
      log.info("asked to end", { by: "control socket", mode: stopMode });
      daemon.stop();
      if (stopMode === "now") daemon.cancelTasks();
    },
    cancelDrain() {
      const cancelled = daemon.cancelDrain();
      if (cancelled) log.info("asked to go on", { by: "control socket" });
      return cancelled;
    },
  });
  const server = host.network.serveUnix(place.path, handler, (error) => {
    // Nobody could tell it anything any more, or start another one beside it.
    log.critical("the control socket is lost, the daemon drains and ends", { error: error.message });
    daemon.stop();
  });
  stack.defer(() => server.close());
  // Streams that follow a task end with the coordinator; the server waits for them, so the coordinator goes first.
  stack.defer(() => coordinator.close());
  stack.use(await record.publish());
  log.info("holding the home", {
    mode,
    pid: host.system.self().pid,
    version,
    instance,
    lock: lock.path,
    reason: record.value().startReason,
  });
  const replaced = host.system.env[REPLACED_VARIABLE];
  if (replaced) log.info("started in place of another version", { version, replaced });

  const purging = new AbortController();
  stack.defer(() => purging.abort());
  const opened = stack.move();
  let closing: Promise<void> | undefined;
  const close = () => closing ??= opened.disposeAsync();
  return {
    instance,
    daemon,
    controlSocket: place.path,
    userApi: userApiOver((request) => Promise.resolve(handler(request)), host.clock),
    async start() {
      coordinator.start();
      await daemon.start();
      void retentionLoop(host, home, { coordinator, daemon, settings, signal: purging.signal });
    },
    closed: daemon.ended.then(async (ending) => {
      log.info("leaving", { ending });
      await close();
      return ending;
    }),
    close,
  };
}

/** The lock of the home, which is what being the daemon means. */
export async function takeDaemonLock(host: Host, home: Home): Promise<Lock> {
  const first = await host.locks.tryLock(home.daemonLock);
  if (first) return first;
  const record = await readPidfile(host.files, home.pidfile);
  // A live holder with a record stays; one without is starting, leaving, or a command that will be done in a moment.
  const lives = record !== undefined && sameProcess(record, host.system.identityOf(record.pid));
  const lock = lives ? undefined : await host.locks.lock(home.daemonLock, { timeoutMs: LOCK_WAIT_MS });
  if (lock) return lock;
  const who = record && lives
    ? `${record.mode === "run" ? "a drover run" : "a daemon"} (pid ${record.pid}, since ${record.startedAt})`
    : "another process";
  throw new DroverError("already_running", `Cannot become the daemon of ${home.root}: ${who} holds it`, {
    hint: "use the running one (drover run, drover tasks list), or end it first, or set DROVER_HOME for a second one",
  });
}

function createEmbeddedDaemon(
  host: Host,
  home: Home,
  coordinator: Coordinator,
  options: HolderOptions & {
    instance: string;
    daemonId: string;
    surroundings: Surroundings;
    reload: ReloadOptions | undefined;
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
    pauses: {
      store: pauseStore(files, home),
      howToLogIn,
      // A run in this process does not begin later for what its own end would say.
      eager: mode === "daemon",
      ...(settings.loginCheck ? { look: loginLook(host, { env: () => options.surroundings.env(), variables }) } : {}),
    },
    ...(options.known ? { known: options.known } : {}),
    connections: [{
      name: "embedded",
      baseUrl: "http://embedded.drover",
      token: coordinator.token,
      fetch: coordinator.fetch,
      wakeups: coordinator,
    }],
    // A run in this process uses what there is, and is over soon.
    ...(mode === "run" ? { submittedTo: options.instance } : { binaries }),
    discover: (limits) => discoverAgents(host, { ...limits, variables }),
    findProfile: (profile, signal) => {
      const { selfCommand, uid } = system;
      const env = options.surroundings.env();
      return discoverProfile(profile, { processes, files, env, selfCommand, uid, variables, signal });
    },
    ...(options.reload ? { reload: options.reload } : {}),
    backendFor,
    surfaceOf: rowOf,
    sessionVariables: SESSION_VARIABLES,
    secretsFor: (provider) => secretsOf(provider, variables),
    askTimeoutMs: settings.askTimeoutMs,
    getLogger: logs.getLogger,
  });
}

function loginLook(
  { processes, files, fingerprints }: Host,
  { env, variables }: { env: () => Env; variables: readonly string[] },
): LookAtLogin {
  return (runtime, signal) => lookAtLogin(runtime, { processes, files, fingerprints, env: env(), variables, signal });
}

/** One that drains for its successor is there for everybody: what it takes now is done by the next. */
function phaseToOthers(phase: Phase): Phase["kind"] {
  return phase.kind === "draining" && phase.to === "restart" ? "reload-pending" : phase.kind;
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

function storeOpened<T>(open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (error instanceof StoreError || error instanceof OutboxError) {
      throw new DroverError("store_unusable", error.message, { cause: error });
    }
    throw error;
  }
}

/** Sockets of instances that are gone are removed: we hold the lock, so none of them has an owner. */
async function prepareSocketDirectory(host: Host, home: Home, directory: string): Promise<void> {
  const { files, system } = host;
  await files.makeDirectory(directory);
  const info = await files.stat(directory, { link: true });
  if (!info?.isDirectory || info.uid !== system.uid || (info.mode & 0o077) !== 0) {
    throw new DroverError(
      "home_unusable",
      `Cannot put the control socket into ${directory}: it is not a private directory of yours`,
      {
        hint: "remove it, or set DROVER_HOME to a directory with a shorter path",
      },
    );
  }
  // Elsewhere the directory is shared by several homes, and a name does not say whose it is.
  if (directory !== home.runDirectory) return;
  for (const name of await files.list(directory)) {
    if (SOCKET_NAME.test(name)) await files.remove(`${directory}/${name}`);
  }
}
