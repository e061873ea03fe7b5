/** Makes a coordinator: opens the store, builds both request handlers over it, and runs the sweeps. */
import { LEASE, listeningSince, mayJudgeSilence } from "../core/lease.ts";
import type { Fetch } from "../core/ports.ts";
import type { Coordinator, CoordinatorOptions } from "./coordinator.ts";
import type { Caller } from "./caller.ts";
import type { Shared } from "./deps.ts";
import { type Authenticate, createHandler } from "./handler.ts";
import { Hub } from "./hub.ts";
import { openShared } from "./open_shared.ts";
import { createPublicApi } from "./public_api.ts";
import { purgeEnded, purgeMessages } from "./purge.ts";
import { sweep, takeSweep } from "./sweeper.ts";
import { callerOf, hasLiveToken } from "./tokens.ts";
import { createUserApi } from "./user_api.ts";
import { defaultWorkspace } from "./workspaces.ts";

/** Throws `StoreError` when the database cannot be used. */
export async function createCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const deps = await openShared(options);
  const token = `mul_${options.random.hex(20)}`;
  const workspaceId = await defaultWorkspace(deps, options.workspace ?? "local");
  const machine: Caller = { scope: "machine", workspaces: new Set([workspaceId]) };
  const authenticate: Authenticate = (given) => given === token ? Promise.resolve(machine) : callerOf(deps, given);
  const hub = options.upgrade && new Hub(deps, options.upgrade);
  const handler = createHandler(deps, authenticate, hub);
  const userApi = createUserApi(deps, () => ({ ...deps, workspaceId }));
  const sweeper = createSweeper(deps);
  let closed: Promise<void> | undefined;

  const whileOpen = (fetch: Fetch): Fetch => (request) => {
    return closed ? Promise.resolve(closedAnswer(request)) : fetch(request);
  };

  return {
    fetch: whileOpen(async (request) => await handler.fetch(request)),
    userApi: whileOpen(async (request) => await userApi.fetch(request)),
    publicApi: whileOpen(createPublicApi(deps, { authenticate, handler: (request) => handler.fetch(request) })),
    token,
    hasToken: () => hasLiveToken(deps),
    subscribe: (signal) => deps.wakeups.subscribe(signal),
    sweep: () => sweep(deps),
    purge: (before) => purgeEnded(deps, before),
    purgeMessages: (before) => purgeMessages(deps, before),
    start() {
      if (!closed) sweeper.start();
    },
    close: () =>
      closed ??= (async () => {
        const swept = sweeper.stop();
        hub?.close();
        deps.wakeups.close();
        deps.topics.close();
        await swept;
        await deps.store.close();
      })(),
  };
}

/** Sweeps every `LEASE.sweepMs`; of several processes over one database, whoever is first in a round. */
function createSweeper(deps: Shared): { start(): void; stop(): Promise<void> } {
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

/**
 * Both APIs' error shapes at once would help nobody; 503 is what every client takes as "try again". For users it is as
 * if nobody was there any more: whoever follows a task looks for the next holder.
 */
function closedAnswer(request: Request): Response {
  const message = "The coordinator is closed; its process is ending or handing over";
  const user = new URL(request.url).pathname.startsWith("/v1/");
  return Response.json({ error: user ? { code: "not_running", message } : message }, { status: 503 });
}
