/** Makes a coordinator: opens the store, builds both request handlers over it, and runs the sweeps. */
import { LEASE, listeningSince, mayJudgeSilence } from "../core/lease.ts";
import type { Fetch } from "../core/ports.ts";
import type { Coordinator, CoordinatorOptions } from "./coordinator.ts";
import type { Deps } from "./deps.ts";
import { createHandler } from "./handler.ts";
import { hearPeers, tellPeers } from "./notices.ts";
import { openStore } from "./open_store.ts";
import { Progress } from "./progress.ts";
import type { Store } from "./store.ts";
import { purgeEnded, sweep, takeSweep } from "./sweeper.ts";
import { createUserApi } from "./user_api.ts";
import { Topics, Wakeups } from "./wake.ts";

const WORKSPACE_KEY = "workspace_id";

/** Throws `StoreError` when the database cannot be used. */
export async function createCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const { clock, random, log } = options;
  const store = await openStore(options.database, { clock, log });
  const token = `mul_${random.hex(20)}`;
  const tell = tellPeers(store.peers);
  const deps: Deps = {
    store,
    clock,
    random,
    log,
    wakeups: new Wakeups(clock, tell),
    topics: new Topics(log, tell),
    progress: new Progress(tell),
    workspaceId: await workspaceOf(store, random.uuid()),
  };
  hearPeers(store.peers, deps);
  const handler = createHandler(deps, token);
  const userApi = createUserApi(deps);
  const sweeper = createSweeper(deps);
  let closed: Promise<void> | undefined;

  const whileOpen = (fetch: Fetch): Fetch => (request) => {
    return closed ? Promise.resolve(closedAnswer(request)) : fetch(request);
  };

  return {
    fetch: whileOpen(async (request) => await handler.fetch(request)),
    userApi: whileOpen(async (request) => await userApi.fetch(request)),
    token,
    subscribe: (signal) => deps.wakeups.subscribe(signal),
    sweep: () => sweep(deps),
    purge: (before) => purgeEnded(deps, before),
    start() {
      if (!closed) sweeper.start();
    },
    close: () =>
      closed ??= (async () => {
        const swept = sweeper.stop();
        deps.wakeups.close();
        deps.topics.close();
        await swept;
        await store.close();
      })(),
  };
}

/** Sweeps every `LEASE.sweepMs`; of several processes over one database, whoever is first in a round. */
function createSweeper(deps: Deps): { start(): void; stop(): Promise<void> } {
  const { clock } = deps;
  let state: "new" | "started" | "stopped" = "new";
  let timer: Disposable | undefined;
  let round: Promise<void> = Promise.resolve();

  const sweepOnce = async (heardSince: number, now: number) => {
    if (!mayJudgeSilence(heardSince, now) || !await takeSweep(deps)) return;
    await sweep(deps, { stopped: () => state === "stopped" });
  };
  const sweepLater = (since: number) => {
    const lastAt = clock.now();
    timer = clock.after(LEASE.sweepMs, () => {
      const now = clock.now();
      const heardSince = listeningSince(since, { lastAt, now });
      const before = round;
      round = before.then(() => sweepOnce(heardSince, now));
      sweepLater(heardSince);
    });
  };

  return {
    start() {
      if (state !== "new") return;
      state = "started";
      sweepLater(clock.now());
    },
    async stop() {
      state = "stopped";
      timer?.[Symbol.dispose]();
      await round;
    },
  };
}

/** The one workspace keeps its id for as long as the database lives: daemons store it. */
async function workspaceOf(store: Store, fresh: string): Promise<string> {
  const add = "INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO NOTHING";
  const read = async () => {
    const sql = "SELECT value FROM meta WHERE key = :key";
    return (await store.get<{ value: string }>(sql, { key: WORKSPACE_KEY }))?.value;
  };
  const known = await read();
  if (known !== undefined) return known;
  await store.run(add, { key: WORKSPACE_KEY, value: fresh });
  return await read() ?? fresh;
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
