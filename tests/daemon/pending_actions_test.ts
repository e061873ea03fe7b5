/** What a server asks for besides tasks: each thing once, however often it comes. */
import { assertEquals } from "@std/assert";
import { PendingActions } from "../../lib/daemon/pending_actions.ts";
import type { Spec } from "../../lib/wire/client.ts";
import { BeatAnswer } from "../../lib/wire/frames.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { fakeConnection, ok } from "./fake_connection.ts";
import { keptLog } from "./kept_log.ts";

Deno.test("PendingActions.take() does each thing once, although it comes twice and a list repeats its first", async () => {
  const paths: string[] = [];
  const clock = new FakeClock();
  const connection = fakeConnection({
    runtimes: ["r"],
    client: {
      call: <T>({ path }: Spec<T>) => (paths.push(path), Promise.resolve(ok(undefined as T))),
    },
  });
  const pending = new PendingActions({
    connection,
    clock,
    log: keptLog(),
    signal: new AbortController().signal,
    inFlight: () => ({ active: 0, claims: 0 }),
    holdClaims: () => ({ [Symbol.dispose]() {} }),
  });
  const imports = [{ id: "i1", skill_key: "a" }, { id: "i2", skill_key: "b" }];
  const answer = BeatAnswer.parse({
    pending_model_list: { id: "m" },
    pending_local_skill_import: imports[0],
    pending_local_skill_imports: imports,
    pending_update: { id: "" },
  });
  pending.take("r", answer);
  pending.take("r", answer);
  await clock.settle();
  assertEquals(paths.toSorted(), [
    "/api/daemon/runtimes/r/local-skills/import/i1/result",
    "/api/daemon/runtimes/r/local-skills/import/i2/result",
    "/api/daemon/runtimes/r/models/m/result",
  ]);
});

Deno.test("an update waits for claims that are on their way, and is refused when one brings a task", async () => {
  for (const [brings, expected] of [[0, "completed"], [1, "failed"]] as const) {
    const bodies: Record<string, unknown>[] = [];
    const clock = new FakeClock();
    let inFlight = { active: 0, claims: 4 };
    const pending = new PendingActions({
      connection: fakeConnection({
        runtimes: ["r"],
        client: {
          call: <T>(
            { body }: Spec<T>,
          ) => (bodies.push(body as Record<string, unknown>), Promise.resolve(ok(undefined as T))),
        },
      }),
      clock,
      log: keptLog(),
      signal: new AbortController().signal,
      inFlight: () => inFlight,
      holdClaims: () => ({ [Symbol.dispose]() {} }),
      updates: { refusal: () => undefined, install: () => Promise.resolve("done"), restart() {} },
    });
    pending.take("r", BeatAnswer.parse({ pending_update: { id: "u", target_version: "1.2.3" } }));
    await clock.settle();
    assertEquals(bodies, [], "nothing is known yet");
    inFlight = { active: brings, claims: 0 };
    await clock.advance(200);
    assertEquals(bodies.at(-1)?.status, expected);
  }
});
