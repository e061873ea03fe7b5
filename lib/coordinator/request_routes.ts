/** The routes by which people ask something of a daemon and fetch what came of it, and by which the daemon answers. */
import type * as z from "zod/mini";
import * as calls from "../wire/request_calls.ts";
import type { InRuntime, Routes } from "./access.ts";
import { Refusal } from "./refusal.ts";
import { readBody } from "./request_body.ts";
import { addRequest, endRequest, type Input, type RequestKind, viewRequest } from "./requests.ts";
import { isOnline } from "./runtimes.ts";
import type { RuntimeRecord } from "./records.ts";

interface RequestRoute {
  readonly kind: RequestKind;
  /** Below `/api/runtimes/{rid}/` for people and `/api/daemon/runtimes/{rid}/` for daemons. */
  readonly path: string;
  readonly wish: z.ZodMiniType<Record<string, unknown>>;
  /** `running` is a sign of life and changes nothing; whatever else is not `completed` has failed. */
  readonly result: z.ZodMiniType<{ status: string } & Record<string, unknown>>;
  readonly mayAsk?: (place: InRuntime, row: RuntimeRow) => Refusal | undefined;
}

type RuntimeRow = Pick<RuntimeRecord, "status" | "last_seen_at" | "owner_id">;

const ROUTES: readonly RequestRoute[] = [
  { kind: "update", path: "update", wish: calls.UpdateWish, result: calls.UpdateResult },
  {
    kind: "models",
    path: "models",
    wish: calls.NoWish,
    result: calls.ModelsResult,
    mayAsk: ({ deps }, row) => isOnline(row, deps.clock.now()) ? undefined : new Refusal(503, "runtime is offline"),
  },
  { kind: "local-skills", path: "local-skills", wish: calls.NoWish, result: calls.LocalSkillsResult },
  {
    kind: "import",
    path: "local-skills/import",
    wish: calls.ImportWish,
    result: calls.ImportResult,
    // It shows to a whole workspace what lies on one person's machine.
    mayAsk: ({ caller }, { owner_id }) =>
      caller.scope === "machine" || (caller.userId !== undefined && caller.userId === owner_id)
        ? undefined
        : new Refusal(403, "only the owner of the runtime may import its skills"),
  },
];

export function addRequestRoutes(routes: Routes): void {
  for (const { kind, path, wish, result, mayAsk } of ROUTES) {
    routes.inRuntime("POST", `/api/runtimes/:rid/${path}`, async (c, place) => {
      const { deps, runtime } = place;
      const input: Input = await readBody(c.req.raw, wish);
      const sql = "SELECT status, last_seen_at, owner_id FROM runtimes WHERE id = :runtime";
      const row = await deps.store.get<RuntimeRow>(sql, { runtime });
      const refusal = row && mayAsk?.(place, row);
      if (refusal) throw refusal;
      return c.json(await addRequest(deps, { runtime, kind, input }), 201);
    });
    routes.inRuntime("GET", `/api/runtimes/:rid/${path}/:qid`, async (c, { deps, runtime }) => {
      return c.json(await viewRequest(deps, { runtime, kind, id: c.req.param("qid") ?? "" }));
    });
    routes.inRuntime("POST", `/api/daemon/runtimes/:rid/${path}/:qid/result`, async (c, { deps, runtime }) => {
      const which = { runtime, kind, id: c.req.param("qid") ?? "" };
      const { status, ...said } = await readBody(c.req.raw, result);
      if (status === "running") await viewRequest(deps, which);
      else await endRequest(deps, which, { status: status === "completed" ? status : "failed", result: said });
      return c.json({ status: "ok" });
    });
  }
}
