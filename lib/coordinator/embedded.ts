/** Makes the embedded coordinator: opens the store, builds both request handlers over it, and runs the sweeps. */
import { LEASE, listeningSince, mayJudgeSilence } from "../core/lease.ts";
import type { Fetch } from "../core/ports.ts";
import type { Coordinator, CoordinatorOptions } from "./coordinator.ts";
import type { Deps } from "./deps.ts";
import { createHandler } from "./handler.ts";
import { Store } from "./store.ts";
import { purgeEnded, sweep } from "./sweeper.ts";
import { createUserApi } from "./user_api.ts";
import { Topics, Wakeups } from "./wake.ts";

const WORKSPACE_KEY = "workspace_id";

/** Throws `StoreError` when the database cannot be used. */
export function createCoordinator(options: CoordinatorOptions): Coordinator {
  const { clock, random, log } = options;
  const store = Store.open(options.path, { synchronous: options.synchronous ?? "normal" });
  const token = `mul_${random.hex(20)}`;
  const deps: Deps = {
    store,
    clock,
    random,
    log,
    wakeups: new Wakeups(clock),
    topics: new Topics(log),
    progress: new Map(),
    workspaceId: workspaceOf(store, random.uuid()),
  };
  const handler = createHandler(deps, token);
  const userApi = createUserApi(deps);
  let state: "open" | "closed" = "open";
  let timer: Disposable | undefined;

  const whileOpen = (fetch: Fetch): Fetch => (request) => {
    return state === "open" ? fetch(request) : Promise.resolve(closedAnswer(request));
  };
  const sweepLater = (since: number) => {
    const lastAt = clock.now();
    timer = clock.after(LEASE.sweepMs, () => {
      const now = clock.now();
      const heardSince = listeningSince(since, { lastAt, now });
      if (mayJudgeSilence(heardSince, now)) sweep(deps);
      sweepLater(heardSince);
    });
  };

  return {
    fetch: whileOpen(async (request) => await handler.fetch(request)),
    userApi: whileOpen(async (request) => await userApi.fetch(request)),
    token,
    subscribe: (signal) => deps.wakeups.subscribe(signal),
    sweep: () => sweep(deps),
    purge: (before) => purgeEnded(deps, before),
    start() {
      if (state === "open" && !timer) sweepLater(clock.now());
    },
    close() {
      if (state === "closed") return;
      state = "closed";
      timer?.[Symbol.dispose]();
      deps.wakeups.close();
      deps.topics.close();
      store.close();
    },
  };
}

/** The one workspace keeps its id for as long as the database lives: daemons store it. */
function workspaceOf(store: Store, fresh: string): string {
  const row = store.get<{ value: string }>("SELECT value FROM meta WHERE key = :key", { key: WORKSPACE_KEY });
  if (row) return row.value;
  store.run("INSERT INTO meta (key, value) VALUES (:key, :value)", { key: WORKSPACE_KEY, value: fresh });
  return fresh;
}

/**
 * Both APIs' error shapes at once would help nobody; 503 is what every client takes as "try again". For users it is as
 * if nobody was there any more: whoever follows a task looks for the next holder.
 */
function closedAnswer(request: Request): Response {
  const message = "The coordinator is closed; its process is ending or handing over";
  const user = new URL(request.url).pathname.startsWith("/v1/");
  return Response.json({ error: user ? { code: "not_running", message } : message }, { status: 503 });
}
