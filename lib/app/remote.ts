/** Whether the daemon takes work from the configured server: the setting, and the restart that makes it true of a running daemon. */
import { rowOf, type Settings, valueAt } from "../core/config.ts";
import { stateOf } from "../core/handshake.ts";
import type { Home } from "../core/home.ts";
import type { Env, Host } from "../core/ports.ts";
import { restartDaemon, type RestartOptions } from "../lifecycle/instance.ts";
import { observe } from "../lifecycle/observe.ts";
import type { Hello } from "../wire/control.ts";
import { readConfigFile, setInConfigFile, unsetInConfigFile } from "./config_file.ts";
import { checkHome } from "./home_dir.ts";
import { instancePorts } from "./instance.ts";
import { demandRemoteAllowed } from "./machine_policy.ts";
import type { RemoteLink, ServerView } from "./remote_link.ts";
import { readSettings } from "./settings.ts";

const ROW = rowOf("remoteEnabled");

/** What a daemon works with, in its status; `variable` is set where the environment says so, whatever config.json holds. */
export interface RemoteView {
  readonly enabled: boolean;
  readonly variable: string | null;
  /** The server that the daemon has a connection to; null where it has none. */
  readonly connection: ServerView | null;
}

export function remoteView(
  settings: Pick<Settings, "remoteEnabled">,
  env: Env,
  link: Pick<RemoteLink, "view"> | undefined,
): RemoteView {
  return {
    enabled: settings.remoteEnabled,
    variable: env[ROW.variable] ? ROW.variable : null,
    connection: link?.view() ?? null,
  };
}

export interface RemoteSet {
  readonly changed: boolean;
  /** `none`: nobody runs who would have to be told, an in-process `run` at most, which serves nobody else. */
  readonly daemon: "restarted" | "unchanged" | "none";
  readonly hello: Hello | undefined;
  /** The variable that a running daemon, or else this environment, has and that comes before the setting. */
  readonly hiddenBy: string | null;
}

/**
 * Persists the setting, and returns when the running daemon works with it. The file is written while no daemon runs, and
 * put back when the next one does not start: a change that failed is none. Throws what a restart throws.
 */
export async function setRemote(
  host: Host,
  home: Home,
  enabled: boolean,
  restart: Pick<RestartOptions, "start" | "stop">,
): Promise<RemoteSet> {
  if (enabled) await demandRemoteAllowed(host);
  // What would keep a daemon from starting is said before anything is stopped.
  const { serverUrl } = await readSettings(host, home);
  const running = await runningRemote(host, home);
  if (running.kind === "none") {
    const changed = await persist(host, home, enabled);
    return { changed, daemon: "none", hello: undefined, hiddenBy: host.system.env[ROW.variable] ? ROW.variable : null };
  }
  const { hello, view } = running;
  if (view && (view.variable !== null || (view.enabled === enabled && isConnected(view, serverUrl)))) {
    const changed = await persist(host, home, enabled);
    return { changed, daemon: "unchanged", hello, hiddenBy: view.enabled === enabled ? null : view.variable };
  }
  const next = await restartWith(host, home, enabled, restart);
  return { changed: true, daemon: "restarted", hello: next, hiddenBy: null };
}

/** A daemon that began without a server, or with another one, has no connection to this one. */
function isConnected({ enabled, connection }: RemoteView, serverUrl: string): boolean {
  return !enabled || serverUrl === "" || connection?.server === serverUrl;
}

type RunningRemote =
  | { readonly kind: "none" }
  /** `view` is absent where it does not answer, or is of a version that knows nothing of this. */
  | { readonly kind: "daemon"; readonly hello: Hello | undefined; readonly view: RemoteView | undefined };

async function runningRemote(host: Host, home: Home): Promise<RunningRemote> {
  if (!await checkHome(host, home)) return { kind: "none" };
  using look = await observe(instancePorts(host, home), home);
  const { control } = look;
  if (control) {
    if (control.hello.mode === "run") return { kind: "none" };
    const { remote } = await control.status() as { remote?: RemoteView };
    return { kind: "daemon", hello: control.hello, view: remote };
  }
  const state = stateOf(look.observation);
  return state === "stopped" || state === "crashed"
    ? { kind: "none" }
    : { kind: "daemon", hello: undefined, view: undefined };
}

/** `true` when it was another value; absent counts as the default. */
async function persist(host: Host, home: Home, enabled: boolean): Promise<boolean> {
  const same = (held: unknown) => held === undefined ? ROW.fallback === enabled : ROW.parse(held) === enabled;
  return await setInConfigFile(host, home, { key: ROW.key, value: enabled, same }) === "set";
}

async function restartWith(
  host: Host,
  home: Home,
  enabled: boolean,
  restart: Pick<RestartOptions, "start" | "stop">,
): Promise<Hello> {
  const before = valueAt(await readConfigFile(host, home), ROW.key);
  let written = false;
  let failure: { readonly error: unknown } | undefined;
  try {
    const { hello } = await restartDaemon(instancePorts(host, home), home, {
      ...restart,
      async whenStopped() {
        try {
          written = await persist(host, home, enabled);
        } catch (error) {
          // The daemon is to run again in any case, with the setting it had.
          failure = { error };
        }
      },
    });
    if (failure) throw failure.error;
    return hello;
  } catch (error) {
    if (written) await putBack(host, home, before).catch(() => {});
    throw error;
  }
}

async function putBack(host: Host, home: Home, before: unknown): Promise<void> {
  if (before === undefined) await unsetInConfigFile(host, home, ROW.key);
  else await setInConfigFile(host, home, { key: ROW.key, value: before, same: (held) => held === before });
}
