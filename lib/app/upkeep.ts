/** What a holder keeps in order beside its tasks: repositories, directories that nobody needs, and the count of tokens. */
import { type GcPolicy, gcPolicy, type Word } from "../core/gc.ts";
import type { Settings } from "../core/config.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { Env, Fetch, Host } from "../core/ports.ts";
import { allowedProtocols } from "../core/repo_request.ts";
import type { Connection } from "../daemon/connection.ts";
import { runGcLoop } from "../daemon/gc_loop.ts";
import { type GcItem, gcRound } from "../daemon/gc_round.ts";
import { RepoCache } from "../daemon/repo_cache.ts";
import { RunningTasks } from "../daemon/running_tasks.ts";
import type { WorkRecord } from "../daemon/work_record.ts";
import { gcCheck, saysDeleted } from "../wire/upkeep.ts";
import { freeDisk, type FreedItem, FreeRequest } from "./disk.ts";
import { openOwnStore } from "./own_store.ts";
import { answerCheckout } from "./repo_route.ts";
import { readSettings } from "./settings.ts";
import { runUsageLoop } from "./usage.ts";

export interface Upkeep extends Disposable {
  readonly running: RunningTasks;
  /** Of the control socket; `undefined` for a request that is about something else. */
  answer(request: Request): Promise<Response> | undefined;
  /** Of the health port, which everybody on the machine can call. */
  checkout(request: Request): Promise<Response> | undefined;
  /** The loops, until the signal aborts. */
  run(connections: readonly Connection[], signal: AbortSignal): Promise<void>;
}

export interface UpkeepOptions {
  readonly settings: Settings;
  readonly env: () => Env;
  readonly userApi: Fetch;
}

export function createUpkeep(host: Host, home: Home, options: UpkeepOptions): Upkeep {
  const { settings, env, userApi } = options;
  const end = new AbortController();
  const { signal } = end;
  const { files, processes, locks, clock, logs } = host;
  const running = new RunningTasks();
  const allowFile = settings.reposAllowFile;
  const cache = new RepoCache({
    directory: home.repos,
    protocols: allowedProtocols({ allowFile }),
    log: logs.getLogger("repos"),
    ...{ files, processes, locks, clock, env, allowFile },
  });
  let connections: readonly Connection[] = [];
  // Two rounds at once would remove what the other looks at.
  const inTurn = oneAtATime();
  const word = (record: WorkRecord, until: AbortSignal) =>
    record.remote ? remoteWord(record, connections, until) : localWord(record, userApi);
  const round = ({ policy, dryRun, until }: { policy: GcPolicy; dryRun: boolean; until: AbortSignal }) =>
    inTurn(() =>
      gcRound({
        ...host,
        ...{ home, running, policy, dryRun },
        env: env(),
        signal: until,
        log: logs.getLogger("gc"),
        wordOf: word,
      })
    );
  const checkout = (request: Request) => answerCheckout(request, { running, cache, files, allowFile, signal });
  return {
    running,
    checkout,
    answer(request) {
      if (`${request.method} ${new URL(request.url).pathname}` !== "POST /v1/disk/free") return checkout(request);
      return answerFree(request, {
        free: (wish) =>
          freeDisk(host, home, {
            wish,
            policy: policyOf(settings),
            round: (asked) => round({ ...asked, until: signal }),
          }),
      });
    },
    [Symbol.dispose]: () => end.abort(),
    async run(given, until) {
      connections = given;
      await Promise.all([
        settings.gcEnabled &&
        runGcLoop({
          clock,
          log: logs.getLogger("gc"),
          round: (at) => round({ policy: policyOf(settings), dryRun: false, until: at }),
        }, until),
        settings.usageScan && runUsageLoop(host, home, { settings, env, connections: given }, until),
      ]);
    },
  };
}

function policyOf(settings: Settings): GcPolicy {
  return gcPolicy({ retentionMs: settings.retentionDays * 86_400_000, discard: settings.gcDiscardUnpushed });
}

function oneAtATime(): <T>(fn: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (fn) => {
    const next = last.then(fn, fn);
    last = next.catch(() => {});
    return next;
  };
}

async function answerFree(
  request: Request,
  { free }: { free: (wish: FreeRequest) => Promise<readonly FreedItem[]> },
): Promise<Response> {
  const body = FreeRequest.safeParse(await request.json().catch(() => undefined));
  if (body.success) return Response.json({ items: await free(body.data) });
  const message = "Cannot free space: the body must be an object with dry_run, all and discard_changes";
  return Response.json({ error: { code: "invalid_request", message } }, { status: 400 });
}

const ENDED: ReadonlySet<string> = new Set(["completed", "failed", "cancelled"]);

async function localWord({ task }: WorkRecord, userApi: Fetch): Promise<Word> {
  const response = await userApi(new Request(`http://drover.local/v1/tasks/${encodeURIComponent(task)}`));
  if (response.status === 404) return { kind: "gone" };
  if (!response.ok) return { kind: "unknown", why: `status ${response.status}` };
  const { status, completed_at } = await response.json() as { status: string; completed_at: string | null };
  return ENDED.has(status) ? { kind: "ended", ...timeOf(completed_at) } : { kind: "open" };
}

/** By what the subject is: the words that mean that it is over. */
const OVER: Readonly<Record<WorkRecord["subject"], ReadonlySet<string>>> = {
  issue: new Set(["done", "cancelled"]),
  chat: new Set(["archived"]),
  autopilot: new Set(["completed", "failed", "cancelled", "skipped"]),
  task: ENDED,
};

export async function remoteWord(
  { connection, subject, subjectId }: WorkRecord,
  connections: readonly Connection[],
  signal: AbortSignal,
): Promise<Word> {
  const client = connections.find(({ name }) => name === connection)?.client;
  if (!client) return { kind: "unknown", why: `no connection to ${connection}` };
  const answer = await gcCheck(client, { kind: subject, id: subjectId }, { signal });
  if (answer.kind !== "ok") {
    return saysDeleted(answer) ? { kind: "gone" } : { kind: "unknown", why: answer.detail };
  }
  const { status, updated_at, completed_at } = answer.value;
  return OVER[subject].has(status) ? { kind: "ended", ...timeOf(updated_at ?? completed_at) } : { kind: "open" };
}

function timeOf(text: string | null | undefined): { at?: number } {
  const at = Date.parse(text ?? "");
  return Number.isFinite(at) ? { at } : {};
}

/** Where no daemon runs: under the daemon's lock, so that none begins meanwhile. `undefined` when somebody else has it. */
export async function freeAlone(host: Host, home: Home, wish: FreeRequest): Promise<readonly FreedItem[] | undefined> {
  const settings = await readSettings(host, home);
  using store = await openOwnStore(host, home);
  if (!store) return undefined;
  const known = async (record: WorkRecord): Promise<Word> => {
    if (record.remote) return { kind: "unknown", why: "no daemon runs that could ask the server" };
    const task = await store.showTask(record.task).catch((error) => {
      if (error instanceof DroverError && error.code === "task_unknown") return undefined;
      throw error;
    });
    if (!task) return { kind: "gone" };
    return ENDED.has(task.status) ? { kind: "ended", ...timeOf(task.completed_at) } : { kind: "open" };
  };
  const signal = new AbortController().signal;
  return await freeDisk(host, home, {
    wish,
    policy: policyOf(settings),
    round: ({ policy, dryRun }): Promise<readonly GcItem[]> =>
      gcRound({
        ...host,
        ...{ home, policy, dryRun, signal },
        running: new RunningTasks(),
        env: host.system.env,
        log: host.logs.getLogger("gc"),
        wordOf: known,
      }),
  });
}
