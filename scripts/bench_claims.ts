/** Measures how fast the embedded coordinator answers claims, through its request handler and over a database file. */
import { createCoordinator } from "../lib/coordinator/embedded.ts";
import type { Logger } from "../lib/core/ports.ts";
import { createClock } from "../lib/host/clock.ts";
import { createRandom } from "../lib/host/random.ts";
import { RegisterResponse, WorkspaceList } from "../lib/wire/payloads.ts";

const QUEUED = 20_000;
const CLAIMS = 6_000;
/** The cap of one agent: after so many claims the tasks are ended, outside the measured time of the first number. */
const ROUND = 6;

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, critical() {} };

/** Claims of one task each while many wait, and whole lives of a task (claim, start, complete). */
export async function benchClaims(
  synchronous: "normal" | "full" = "normal",
): Promise<{ name: string; perSecond: number }[]> {
  const directory = await Deno.makeTempDir({ prefix: "drover-bench-" });
  const clock = createClock();
  const coordinator = await createCoordinator({
    database: { kind: "sqlite", path: `${directory}/coordinator.db`, synchronous },
    clock,
    random: createRandom(),
    log: silent,
  });
  try {
    const call = async (path: string, body?: unknown) => {
      const response = await coordinator.fetch(
        new Request(`http://coordinator${path}`, {
          method: body === undefined ? "GET" : "POST",
          headers: { authorization: `Bearer ${coordinator.token}` },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        }),
      );
      if (!response.ok) throw new Error(`Calling ${path} failed with ${response.status}: ${await response.text()}`);
      return await response.json();
    };
    const [workspace] = WorkspaceList.parse(await call("/api/daemon/workspaces"));
    const { runtimes: [runtime] } = RegisterResponse.parse(
      await call("/api/daemon/register", {
        workspace_id: workspace?.id,
        daemon_id: "bench",
        runtimes: [{ type: "bench" }],
      }),
    );
    for (let i = 0; i < QUEUED; i++) {
      await coordinator.userApi(
        new Request("http://coordinator/v1/tasks", {
          method: "POST",
          body: JSON.stringify({ prompt: `Task ${i}`, directory: { mode: "scratch" }, permission: "full" }),
        }),
      );
    }
    const claim = async (): Promise<string> => {
      const { tasks } = await call("/api/daemon/tasks/claim", {
        daemon_id: "bench",
        runtime_ids: [runtime?.id],
        max_tasks: 1,
      });
      return tasks[0].id;
    };
    let claiming = 0;
    const begin = clock.monotonic();
    for (let done = 0; done < CLAIMS; done += ROUND) {
      const ids: string[] = [];
      const before = clock.monotonic();
      for (let i = 0; i < ROUND; i++) ids.push(await claim());
      claiming += clock.monotonic() - before;
      for (const id of ids) {
        await call(`/api/daemon/tasks/${id}/start`, {});
        await call(`/api/daemon/tasks/${id}/complete`, { output: "done", session_id: "s" });
      }
    }
    const whole = clock.monotonic() - begin;
    return [
      {
        name: `claims, one task each, synchronous=${synchronous.toUpperCase()}`,
        perSecond: CLAIMS / (claiming / 1_000),
      },
      {
        name: `task lives (claim, start, complete), synchronous=${synchronous.toUpperCase()}`,
        perSecond: CLAIMS / (whole / 1_000),
      },
    ];
  } finally {
    await coordinator.close();
    await Deno.remove(directory, { recursive: true });
  }
}

if (import.meta.main) {
  for (const synchronous of ["normal", "full"] as const) {
    for (const { name, perSecond } of await benchClaims(synchronous)) {
      console.log(`${name}: ${Math.round(perSecond)}/s`);
    }
  }
}
