/** One holder of a home: lock, stores, control socket, pidfile and daemon, opened in order and closed in reverse. */
import { createCoordinator } from "../coordinator/embedded.ts";
import { StoreError } from "../coordinator/store.ts";
import type { Settings } from "../core/config.ts";
import { DroverError } from "../core/drover_error.ts";
import { controlSocket, type Home } from "../core/home.ts";
import type { Runtime } from "../core/model.ts";
import type { Ending, Phase } from "../core/phase.ts";
import type { Host, Lock } from "../core/ports.ts";
import type { Daemon } from "../daemon/daemon.ts";
import { OutboxError } from "../daemon/outbox.ts";
import type { HandOffPort } from "../daemon/reload_runner.ts";
import { daemonEnv, launchArgs, NONCE_VARIABLE, REPLACED_VARIABLE, type SupervisorKind } from "../core/launch.ts";
import { readPidfile, sameProcess } from "../lifecycle/pidfile.ts";
import { CONTROL_PROTOCOL, type Hello } from "../wire/control.ts";
import { type UserApi, userApiOver } from "./control_client.ts";
import { controlHandler } from "./control_server.ts";
import { createEmbeddedDaemon } from "./embedded_daemon.ts";
import { healthView } from "./health.ts";
import { openHealthPort } from "./health_port.ts";
import { ConfigWatch, type SettingFlags } from "./config_watch.ts";
import { openLoginPath } from "./login_path.ts";
import { reloadOptions } from "./reload.ts";
import { retentionLoop } from "./retention.ts";
import { daemonIdOf, inHome, openHome, removeUnfinished, writeOwnCommand } from "./home_dir.ts";
import { createOwnRecord } from "./own_record.ts";
import { remoteView } from "./remote.ts";
import { openRemote } from "./remote_connection.ts";
import { SOCKET_NAME } from "./reach.ts";
import { serverUpdates } from "./update_port.ts";
import { createUpkeep } from "./upkeep.ts";
import { checkWanted } from "./wanted.ts";

export type Mode = "daemon" | "run";

export interface HolderOptions {
  readonly mode: Mode;
  readonly settings: Settings;
  /** What of the settings came from the command line. */
  readonly flags?: SettingFlags;
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
  /** It goes on, whoever had asked it to end. */
  readonly onDrainCancelled?: () => void;
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
  await removeUnfinished(host, home);
  const daemonId = await daemonIdOf(host, home);
  await writeOwnCommand(host, home);

  const coordinator = await storeOpened(() =>
    createCoordinator({
      database: { kind: "sqlite", path: home.coordinatorDb },
      clock: host.clock,
      random: host.random,
      log: host.logs.getLogger("coordinator"),
    })
  );
  stack.defer(() => coordinator.close());
  const surroundings = await openLoginPath(host, home, { enabled: settings.loginPath });
  const config = await ConfigWatch.open(host, home, options);
  // A run in this process serves nobody but its caller.
  const remote = mode === "daemon" ? openRemote(host, home, config) : undefined;
  if (remote) stack.use(remote);
  const userApi = coordinator.userApi;
  const upkeep = stack.use(createUpkeep(host, home, { settings, env: () => surroundings.env(), userApi }));
  const { handOff } = options;
  const reload = handOff && await reloadOptions(host, home, { settings, handOff });
  const updates = mode === "daemon" && host.system.compiled
    ? await serverUpdates(host, home, config.settings)
    : undefined;
  const daemon = await storeOpened(() =>
    createEmbeddedDaemon(host, home, coordinator, {
      ...options,
      instance,
      daemonId,
      surroundings,
      reload,
      config,
      remote,
      upkeep,
      updates,
    })
  );
  stack.defer(() => daemon.close());
  config.onChange(() => daemon.nudge());

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
    checkout: upkeep.checkout,
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
      serverUrl: remote?.link.server ?? "",
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
      remote: remoteView(settings, host.system.env, remote?.link),
      config: config.view(),
    }),
    phase: () => daemon.phase,
    launch: () => ({ args: launchArgs(options.args), env: daemonEnv(host.system.env, home) }),
    writeRecord: () => record.write(),
    reloadConfig: () => config.look(),
    userApi: coordinator.userApi,
    pauses: daemon.pauses,
    upkeep: upkeep.answer,
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
      if (!cancelled) return false;
      log.info("asked to go on", { by: "control socket" });
      options.onDrainCancelled?.();
      return true;
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
      if (mode === "daemon") void config.run(purging.signal);
      void remote?.run(purging.signal);
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

/** One that drains for its successor is there for everybody: what it takes now is done by the next. */
function phaseToOthers(phase: Phase): Phase["kind"] {
  return phase.kind === "draining" && phase.to === "restart" ? "reload-pending" : phase.kind;
}

async function storeOpened<T>(open: () => T | Promise<T>): Promise<T> {
  try {
    return await open();
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
