/** A task's place: its directory for it alone, with what it brings for its agent in it, until the run is over. */
import { basename, join, relative } from "@std/path";
import type { Home } from "../core/home.ts";
import { LEASE } from "../core/lease.ts";
import { type Outcome, type StopReason, stopReasonOf } from "../core/message.ts";
import type { AgentTask, Runtime } from "../core/model.ts";
import { type Clock, type Env, type Files, HostError, type Logger, type Processes } from "../core/ports.ts";
import type { ClaimedTask } from "../wire/payloads.ts";
import { briefedPrompt } from "./brief.ts";
import type { Connection } from "./connection.ts";
import type { DirectoryLocks } from "./directory_locks.ts";
import { restorePlaced } from "./placed_files.ts";
import { homeName, makePrivateHome } from "./private_home.ts";
import type { RunningTasks } from "./running_tasks.ts";
import { prepareTaskFiles, type Surface, type TaskFiles, type TaskFilesOptions } from "./task_files.ts";
import { noteUse, rootsOf, workRecordOf } from "./work_record.ts";
import { prepareWorkdir, TASK_KEY, threadKey, type Workdir, WorkdirError } from "./workdir.ts";

export interface TaskPlace {
  readonly workdir: Workdir;
  /** For the agent: added to what its adapter asks for. */
  readonly env: Env;
  /** What people should know. */
  readonly remarks: readonly string[];
  /** The task as its agent is to see it. */
  dress(task: AgentTask): AgentTask;
  /** Takes out what was placed, then lets others in. Never rejects. */
  release(): Promise<void>;
}

export interface PlaceOptions extends Pick<TaskFilesOptions, "team"> {
  readonly home: Home;
  readonly files: Files;
  readonly processes: Processes;
  readonly log: Logger;
  readonly clock: Clock;
  readonly locks: DirectoryLocks;
  /** To be told who is here, while it is. */
  readonly running?: RunningTasks;
  readonly env: () => Env;
  /** What is known of a provider's CLI. */
  readonly surfaceOf?: (provider: string) => Surface | undefined;
  readonly provider: string;
  /** Of the one it runs on. */
  readonly runtime: Pick<Runtime, "env" | "profile">;
  readonly connection: Connection;
  readonly signal: AbortSignal;
  readonly stop: (reason: StopReason) => void;
  readonly onStage: (stage: "preparing" | "waiting") => void;
}

/** The place, or why there is none; then nothing is left behind. */
export async function takePlace(task: ClaimedTask, options: PlaceOptions): Promise<TaskPlace | Outcome> {
  const { signal } = options;
  try {
    return await present(task, options, () => preparePlace(task, options));
  } catch (error) {
    if (signal.aborted) {
      return { kind: "failed", reason: "cancelled", detail: `The run was stopped: ${stopReasonOf(signal).kind}` };
    }
    if (error instanceof WorkdirError || error instanceof HostError) {
      return { kind: "failed", reason: "local_directory_error", detail: error.message };
    }
    throw error;
  }
}

/** Known to be here for as long as it has its place, so that nobody removes what it uses. */
async function present(
  task: ClaimedTask,
  { running, home, connection, files, clock, log }: PlaceOptions,
  prepare: () => Promise<TaskPlace>,
): Promise<TaskPlace> {
  const roots = rootsOf(task, home.workspaces);
  const entry = { task, connection, workdir: "" };
  const presence = await running?.enter(entry, roots);
  try {
    const place = await prepare();
    // Once, at the start: at the end a run has its outcome to tell, and nothing may come before that.
    await noteUse(roots, workRecordOf(task, { connection, usedAt: clock.now() }), files).catch((error) =>
      log.warn("the use of a work directory could not be noted", { error: String(error) })
    );
    entry.workdir = place.workdir.path;
    return {
      ...place,
      async release() {
        await place.release();
        presence?.[Symbol.dispose]();
      },
    };
  } catch (error) {
    presence?.[Symbol.dispose]();
    throw error;
  }
}

async function preparePlace(task: ClaimedTask, options: PlaceOptions): Promise<TaskPlace> {
  const { home, files, log, signal } = options;
  const ports = { ...options, env: options.env() };
  const workdir = await timed(options, () => prepareWorkdir(task, home, ports));
  const lock = task.directory?.mode === "in-place" ? await turn(task, workdir, options) : undefined;
  const surface = options.surfaceOf?.(options.provider);
  const record = join(home.placed, task.id);
  const takeOut = (settle?: () => Promise<void>) =>
    restorePlaced(record, { files, log }).then(settle)
      .catch((error) => log.error("what was placed for a task could not be taken out", { error: String(error) }));
  const leave = () => lock?.[Symbol.dispose]();
  try {
    return await timed(options, async () => {
      const placed = await prepareTaskFiles(task, {
        ...ports,
        ...(surface ? { surface } : {}),
        directory: workdir.path,
        record,
      });
      signal.throwIfAborted();
      return {
        workdir,
        env: { ...placed.env, ...await ownHomes(task, workdir, options) },
        remarks: [...workdir.remarks ?? [], ...placed.remarks],
        dress: (agentTask) => dressed(agentTask, placed),
        async release() {
          if (placed.placed) await takeOut(placed.settle);
          leave();
        },
      };
    });
  } catch (error) {
    await takeOut();
    leave();
    throw error;
  }
}

async function timed<T>({ clock, stop }: PlaceOptions, fn: () => Promise<T>): Promise<T> {
  const limitMs = LEASE.prepareLimitMs;
  using _limit = clock.after(limitMs, () => stop({ kind: "time-limit", limitMs }));
  return await fn();
}

async function turn(task: ClaimedTask, { path }: Workdir, options: PlaceOptions): Promise<Disposable> {
  const { connection, locks, log, signal, onStage } = options;
  const lock = await locks.acquire(await options.files.realPath(path), task.id, {
    signal,
    onWait: (holder) => {
      onStage("waiting");
      // A path is nothing that another machine has to know.
      const place = connection.remote ? basename(path) : path;
      const reason = `waits for task ${holder.slice(0, 8)} in ${place}`;
      log.info("task waits for its directory", { task: task.id, holder, directory: path });
      void connection.client.waitForDirectory(task.id, reason, { signal }).catch(() => {});
    },
  });
  onStage("preparing");
  return lock;
}

/** Beside the work directory, so that it stays and goes with it; of a directory of the user's, one for each conversation. */
async function ownHomes(task: ClaimedTask, workdir: Workdir, options: PlaceOptions): Promise<Env> {
  const { surfaceOf, home, provider, runtime, files, connection } = options;
  const base = join(home.workspaces, task.workspace_id);
  const own = relative(base, workdir.path).split("/")[0]!;
  const key = TASK_KEY.test(own) ? own : threadKey(task).replace(/[^\w-]/g, "_");
  const at = (...names: string[]) => join(base, key, ...names);
  const wanted = surfaceOf?.(provider)?.privateHome;
  const env = { ...options.env(), ...runtime.env };
  const agents = wanted
    ? await makePrivateHome(at("homes", homeName(provider, runtime.profile?.id)), wanted, { files, env })
    : {};
  return connection.remote ? { ...agents, ...await multicaHome(at("multica"), files) } : agents;
}

/** Without it the server's command line would read the user's own configuration, with a token that is not the task's. */
async function multicaHome(path: string, files: Files): Promise<Env> {
  await files.makeDirectory(path);
  return { MULTICA_TASK_CONFIG_ROOT: path };
}

function dressed(task: AgentTask, { brief, mcpServers, mcpConfigFile }: TaskFiles): AgentTask {
  return {
    ...task,
    prompt: briefedPrompt(brief, task.prompt),
    ...(mcpServers ? { mcpServers } : {}),
    ...(mcpConfigFile ? { mcpConfigFile } : {}),
  };
}
