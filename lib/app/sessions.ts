/** Who answers the user API for a command: the running holder of the home, this process as an in-process run, or the store itself. */
import type { Settings } from "../core/config.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { Host } from "../core/ports.ts";
import type { UserApi } from "./control_client.ts";
import type { Holder } from "./daemon_host.ts";
import { connectControl } from "./reach.ts";
import { connectUsable, isRestarting, type UsableOptions } from "./usable.ts";

/** How long a command waits for a holder that is starting or leaving. */
const WAIT_MS = 20_000;
/** …and for one that another command is restarting, which lets its tasks finish first. */
const RESTART_WAIT_MS = 120_000;
const POLL_MS = 100;

export interface RunSession {
  readonly api: UserApi;
  /** `own`: no daemon was running, this process holds the home and runs the task itself. `server`: it runs elsewhere. */
  readonly kind: "daemon" | "joined" | "own" | "server";
  /** For `own`: lets joined tasks finish, then closes everything. Nothing to do for the others. */
  finish(): Promise<void>;
  /** For `own`: ends what runs, at once; `finish` then waits for nobody's tasks. */
  abandon(): void;
}

/** A session that can run tasks. Throws `busy` when the holder neither answers nor leaves, or the signal aborts. */
export async function openRunSession(
  host: Host,
  home: Home,
  options: UsableOptions & { settings: Settings; args: readonly string[]; signal?: AbortSignal },
): Promise<RunSession> {
  const begun = host.clock.monotonic();
  const said = new Set<string>();
  const note = (text: string) => {
    if (!said.has(text)) options.note(text);
    said.add(text);
  };
  for (;;) {
    const joined = await joinHolder(host, home, { note });
    if (joined) return joined;
    try {
      return await holdAlone(host, home, options);
    } catch (error) {
      if (!(error instanceof DroverError && error.code === "already_running")) throw error;
      const patience = await isRestarting(host, home) ? RESTART_WAIT_MS : WAIT_MS;
      if (host.clock.monotonic() >= begun + patience || options.signal?.aborted) {
        throw new DroverError("busy", `Cannot reach the drover that holds ${home.root}: ${error.message}`, {
          hint: `look at ${home.logFile}`,
          cause: error,
        });
      }
    }
    await host.clock.sleep(POLL_MS);
  }
}

/** A holder that takes tasks; one that is leaving is none. */
async function joinHolder(host: Host, home: Home, options: UsableOptions): Promise<RunSession | undefined> {
  const control = await connectUsable(host, home, options);
  if (!control) return undefined;
  const { phase, mode } = control.hello;
  if (phase === "running" || phase === "reload-pending") {
    return {
      api: control,
      kind: mode === "daemon" ? "daemon" : "joined",
      finish: () => Promise.resolve(control[Symbol.dispose]()),
      abandon: () => {},
    };
  }
  control[Symbol.dispose]();
  return undefined;
}

async function holdAlone(
  host: Host,
  home: Home,
  { settings, args }: { settings: Settings; args: readonly string[] },
): Promise<RunSession> {
  // Loaded late: with a daemon none of it is needed.
  const { openHolder } = await import("./daemon_host.ts");
  const holder = await openHolder(host, home, { mode: "run", settings, args, logToStderr: false });
  try {
    await holder.start();
  } catch (error) {
    const told = holder.daemon.phase.kind === "stopped";
    await holder.close();
    if (!told) throw error;
    throw new DroverError("draining", "Cannot run the task: another command ended this drover as it began", {
      hint: "run it again",
      cause: error,
    });
  }
  const abandoned = new AbortController();
  return {
    api: holder.userApi,
    kind: "own",
    finish: () => leave(host, holder, abandoned.signal),
    abandon() {
      abandoned.abort();
      // First, or it would claim the next attempt of what it ends here.
      holder.daemon.stop();
      holder.daemon.cancelTasks();
    },
  };
}

/** Tasks of runs that joined are waited for, queued ones included: their callers are looking on. */
export async function leave(
  { clock }: Pick<Host, "clock">,
  holder: Pick<Holder, "daemon" | "userApi" | "closed">,
  abandoned: AbortSignal,
): Promise<void> {
  // One that another command has ended has nobody left to wait for, and its store may be closed in any moment.
  const over = () => abandoned.aborted || holder.daemon.phase.kind === "stopped";
  while (!over()) {
    const { mine } = await holder.userApi.queue().catch((error) => {
      if (!over()) throw error;
      return { mine: 0 };
    });
    if (mine === 0) break;
    await clock.sleep(POLL_MS);
  }
  holder.daemon.stop();
  await holder.closed;
}

/**
 * A session for looking and cancelling: the holder's, else the store's own under a short hold of the lock, else (a home
 * that was never used) `undefined`.
 */
export async function openUserSession(
  host: Host,
  home: Home,
  /** Without it the holder is taken as it is, whatever its version. */
  usable?: UsableOptions,
): Promise<UserApi | undefined> {
  const control = usable ? await connectUsable(host, home, usable) : await connectControl(host, home);
  if (control) return control;
  if (!await host.files.stat(home.coordinatorDb)) return undefined;
  const { openOwnStore } = await import("./own_store.ts");
  const own = await openOwnStore(host, home);
  if (own) return own;
  const late = await connectControl(host, home);
  if (late) return late;
  throw new DroverError("busy", `Cannot reach the drover that holds ${home.root}`, { hint: `look at ${home.logFile}` });
}
