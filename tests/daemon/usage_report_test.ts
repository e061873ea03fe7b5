/** Telling a server the tokens of each day: only what has changed, only of its runtimes, and not for ever to one that cannot take it. */
import { assertEquals } from "@std/assert";
import type { Connection } from "../../lib/daemon/connection.ts";
import { UsageReporter } from "../../lib/daemon/usage_report.ts";
import type { DayUsage } from "../../lib/daemon/usage_store.ts";
import type { CallFailure, CallResult } from "../../lib/wire/retry.ts";
import { fakeClient, LOST, ok, refused } from "./fake_connection.ts";
import { keptLog } from "./kept_log.ts";

const signal = new AbortController().signal;

function day(provider: string, outputTokens: number, date = "2026-01-15"): DayUsage {
  return { date, provider, model: "m", inputTokens: 1, outputTokens, cacheReadTokens: 0, cacheWriteTokens: 0 };
}

function world() {
  const told: [path: string, outputs: number[]][] = [];
  const answers: CallFailure[] = [];
  const client = fakeClient({
    call: <T>({ path, body }: { path: string; body?: unknown }) => {
      const { entries } = body as { entries: { output_tokens: number }[] };
      told.push([path, entries.map((entry) => entry.output_tokens)]);
      return Promise.resolve((answers.shift() ?? ok(undefined)) as CallResult<T>);
    },
  });
  const runtime = (provider: string, profile?: object) => ({ runtime: { provider, ...(profile ? { profile } : {}) } });
  const runtimes = new Map([
    ["r1", { id: "r1", ...runtime("claude") }],
    ["r2", { id: "r2", ...runtime("codex") }],
    ["r3", { id: "r3", ...runtime("claude", { id: "p" }) }],
  ]);
  const connection = { name: "c", client, runtimes } as unknown as Connection;
  const log = keptLog();
  const reporter = new UsageReporter({ log });
  const report = async (...days: DayUsage[]) => {
    told.length = 0;
    await reporter.report(connection, days, signal);
    return told;
  };
  return { report, answers, log };
}

const PATH = "/api/daemon/runtimes/r1/usage";

Deno.test("UsageReporter tells each runtime its days once, and again only those that have changed", async () => {
  const { report } = world();
  const old = day("claude", 7, "2026-01-14");
  assertEquals(await report(day("claude", 5), old, day("codex", 9), day("gemini", 1)), [
    [PATH, [5, 7]],
    ["/api/daemon/runtimes/r2/usage", [9]],
  ]);
  assertEquals(await report(day("claude", 5), old), []);
  assertEquals(await report(day("claude", 6), old), [[PATH, [6]]]);
});

Deno.test("UsageReporter tells again what did not arrive, and splits what is too much for one call", async () => {
  const { report, answers } = world();
  answers.push(LOST, refused(404, "runtime"), refused(503));
  for (let round = 0; round < 3; round++) assertEquals(await report(day("claude", 5)), [[PATH, [5]]]);
  assertEquals((await report(day("claude", 5))).length, 1);
  assertEquals(await report(day("claude", 5)), []);
  const many = Array.from({ length: 501 }, (_, i) => ({ ...day("claude", i), model: `m${i}` }));
  assertEquals((await report(...many)).map(([, outputs]) => outputs.length), [500, 1]);
});

Deno.test("UsageReporter asks a server without the route once, and says so", async () => {
  const { report, answers, log } = world();
  answers.push(refused(404, "route"));
  assertEquals((await report(day("claude", 5), day("codex", 9))).length, 1);
  assertEquals(await report(day("claude", 6)), []);
  assertEquals(log.said("info"), ["the server takes no counts of tokens"]);
});

Deno.test("UsageReporter tells the other runtimes although one is not found, says so once, and tries it again", async () => {
  const { report, answers, log } = world();
  for (let round = 0; round < 2; round++) {
    answers.push(refused(404));
    const other = day("codex", 9 + round);
    assertEquals((await report(day("claude", 5), other)).map(([path]) => path), [PATH, PATH.replace("r1", "r2")]);
  }
  assertEquals([log.said("warn"), log.said("info")], [["counts of tokens were not delivered"], []]);
  assertEquals(await report(day("claude", 5)), [[PATH, [5]]]);
});
