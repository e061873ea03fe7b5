/** Where files are kept: the home, its layout, and the socket path that fits the platform's limit. */
import type { Env } from "./ports.ts";

export interface Home {
  /** 0700, owned by the user. */
  readonly root: string;
  /** Holding it *is* being the daemon. Never deleted. */
  readonly daemonLock: string;
  readonly pidfile: string;
  /** Serializes start, stop and restart of all terminals. Never deleted. */
  readonly restartLock: string;
  /** Who holds the restart lock, for those who wait. */
  readonly restartHolder: string;
  /** What outlives any daemon: stop intent, breaker, journal. */
  readonly lifecycle: string;
  /** Which restarts for changed programs there were, and which change is not acted upon. */
  readonly reload: string;
  /** Agent CLIs that get no tasks for a while. */
  readonly pauses: string;
  /** Whether a person wants no tasks to be claimed. */
  readonly claimPause: string;
  /** What each agent CLI did today. */
  readonly today: string;
  /** How the last daemon ended, by its own account. */
  readonly lastExit: string;
  readonly runDirectory: string;
  readonly logFile: string;
  /** What a background daemon prints before and beside its log. */
  readonly launchLog: string;
  readonly config: string;
  /** Who we are at a team server; 0600. */
  readonly credentials: string;
  readonly daemonId: string;
  readonly coordinatorDb: string;
  readonly outboxDb: string;
  /** Of `drover serve`, unless it is told another directory. */
  readonly server: string;
  readonly workspaces: string;
  readonly transcripts: string;
  /** Bare clones of what tasks have checked out, by workspace. */
  readonly repos: string;
  /** Tokens read from the session logs of agent CLIs. */
  readonly usageDb: string;
  /** What is placed in the directories of running tasks, a folder for each; empty when none runs. */
  readonly placed: string;
  /** Skills of servers by the hash of their content; may be deleted at any time. */
  readonly skillCache: string;
  readonly bin: string;
  /** Is there once it was said what a run with permission `full` means. */
  readonly fullExplained: string;
  /** What the login shell last said its PATH is. */
  readonly loginPath: string;
  /** Holding it is being the updater of this home. Never deleted. */
  readonly updaterLock: string;
  /** What the updater says of itself. */
  readonly updater: string;
  readonly updaterLog: string;
  /** What it prints beside its log. */
  readonly updaterOut: string;
}

/** How the name of a file begins that is being written beside the one it is to replace. */
export const UNFINISHED_PREFIX = ".tmp-";

/** `DROVER_HOME`, else `~/.drover`. `undefined` when neither it nor `HOME` is an absolute path. */
export function homeRoot(env: Env): string | undefined {
  const set = env.DROVER_HOME || (env.HOME ? `${env.HOME}/.drover` : "");
  return set.startsWith("/") ? set.replace(/\/+$/, "") || "/" : undefined;
}

export function homeLayout(root: string): Home {
  const at = (name: string) => `${root}/${name}`;
  return {
    root,
    daemonLock: at("daemon.lock"),
    pidfile: at("daemon.json"),
    restartLock: at("restart.lock"),
    restartHolder: at("restart.json"),
    lifecycle: at("lifecycle.json"),
    reload: at("reload.json"),
    pauses: at("pauses.json"),
    claimPause: at("claim_pause.json"),
    today: at("today.json"),
    lastExit: at("last_exit.json"),
    runDirectory: at("run"),
    logFile: at("logs/daemon.log"),
    launchLog: at("logs/daemon.out"),
    config: at("config.json"),
    credentials: at("credentials.json"),
    daemonId: at("daemon.id"),
    coordinatorDb: at("coordinator.db"),
    outboxDb: at("outbox.db"),
    server: at("server"),
    workspaces: at("workspaces"),
    transcripts: at("transcripts"),
    repos: at("repos"),
    usageDb: at("usage.db"),
    placed: at("placed"),
    skillCache: at("skill_cache"),
    bin: at("bin"),
    fullExplained: at("full_explained.json"),
    loginPath: at("login_path.json"),
    updaterLock: at("updater.lock"),
    updater: at("updater.json"),
    updaterLog: at("logs/updater.log"),
    updaterOut: at("logs/updater.out"),
  };
}

/** sun_path holds 104 bytes on macOS and 108 on Linux, with the closing NUL. */
const MAX_SOCKET_BYTES = 103;

export interface SocketPlace {
  readonly path: string;
  /** The directory to create with mode 0700 first, when it is not the home's own. */
  readonly directory: string;
}

/**
 * The control socket of one instance. Its name holds the instance id, so that no instance ever removes another's.
 * Where the home's path is too long it goes into a private directory of the user's in the runtime directory.
 */
export function controlSocket(home: Home, instance: string, options: { uid: number; env: Env }): SocketPlace {
  const name = `c-${instance.replaceAll("-", "").slice(0, 12)}.sock`;
  const path = `${home.runDirectory}/${name}`;
  if (new TextEncoder().encode(path).length <= MAX_SOCKET_BYTES) return { path, directory: home.runDirectory };
  const runtime = options.env.XDG_RUNTIME_DIR;
  const base = runtime && runtime.startsWith("/") && runtime.length <= 60 ? runtime : "/tmp";
  const directory = `${base}/drover-${options.uid}`;
  return { path: `${directory}/${name}`, directory };
}
