/** The tokens that machines count in the session logs of agent CLIs: totals of a day, the latest of which holds. */
import type { DailyUsage } from "../wire/upkeep.ts";
import { type Deps, inTransaction } from "./deps.ts";
import type { UserApi } from "./user_api.ts";

const PUT = `
INSERT INTO daily_usage
  (runtime_id, date, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens)
VALUES (:runtime, :date, :provider, :model, :input, :output, :cacheRead, :cacheWrite)
ON CONFLICT (runtime_id, date, provider, model) DO UPDATE SET
  input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
  cache_read_tokens = excluded.cache_read_tokens, cache_write_tokens = excluded.cache_write_tokens`;

const LIST = `
SELECT date, runtime_id, device_name, u.provider AS provider, model, input_tokens, output_tokens, cache_read_tokens,
  cache_write_tokens
FROM daily_usage u JOIN runtimes r ON r.id = u.runtime_id WHERE workspace_id = :workspace AND date >= :since
ORDER BY date DESC, device_name, u.provider, model LIMIT :limit`;

/** Longer ones are cut, so that the tokens count all the same. */
const NAME_LENGTH = 200;
const DAYS = 7;
const DAY_MS = 86_400_000;
const MAX_ROWS = 10_000;

/** All of them or none. */
export async function putDailyUsage(deps: Deps, runtime: string, entries: readonly DailyUsage[]): Promise<void> {
  await inTransaction(deps, async (deps) => {
    for (const { date, provider, model, ...tokens } of entries) {
      await deps.store.run(PUT, {
        ...{ runtime, date, provider: provider.slice(0, NAME_LENGTH), model: model.slice(0, NAME_LENGTH) },
        input: tokens.input_tokens,
        output: tokens.output_tokens,
        cacheRead: tokens.cache_read_tokens,
        cacheWrite: tokens.cache_write_tokens,
      });
    }
  });
}

/** `GET /v1/usage?days=N`, of all machines of the workspace. Days are each machine's own. */
export function addUsageView(app: UserApi): void {
  app.get("/v1/usage", async (c) => {
    const deps = c.get("deps");
    const asked = Number(c.req.query("days") ?? DAYS);
    const days = Number.isInteger(asked) && asked >= 1 && asked <= 366 ? asked : DAYS;
    const since = new Date(deps.clock.now() - (days - 1) * DAY_MS).toISOString().slice(0, 10);
    return c.json({ days, usage: await deps.store.all(LIST, { since, limit: MAX_ROWS, workspace: deps.workspaceId }) });
  });
}
