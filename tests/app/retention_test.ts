/** Retention: what is older than its time goes, what is not stays, and trouble is not the end of it. */
import { assert, assertEquals } from "@std/assert";
import { retentionLoop } from "../../lib/app/retention.ts";
import { mergeSettings } from "../../lib/core/config.ts";
import { homeLayout } from "../../lib/core/home.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";

const DAY_MS = 86_400_000;
const ROUND_MS = 6 * 60 * 60_000;

function loop(
  root: string,
  purge: (before: number) => Promise<number>,
  purgeOutbox: (before: number) => number = () => 0,
) {
  const test = testHost();
  const home = homeLayout(root);
  const settings = mergeSettings({ flags: {}, env: {}, file: { "retention.days": 10 } });
  const stop = new AbortController();
  const parts = { coordinator: { purge }, daemon: { purgeOutbox } };
  const running = retentionLoop(test.host, home, { ...parts, settings, signal: stop.signal });
  return {
    ...test,
    home,
    running,
    stop: async () => {
      stop.abort();
      await running;
      assertEquals(test.clock.waiting, 0);
    },
  };
}

Deno.test("retentionLoop() removes transcripts and tasks that are older than the retention", async () => {
  await using dir = await tempDirectory();
  const home = homeLayout(dir.path);
  await Deno.mkdir(`${home.transcripts}/a directory`, { recursive: true });
  const asked: number[] = [];
  const now = testHost().clock.now();
  for (const [name, days] of [["old.jsonl", 10.1], ["young.jsonl", 9.9]] as const) {
    await Deno.writeTextFile(`${home.transcripts}/${name}`, "");
    await Deno.utime(`${home.transcripts}/${name}`, new Date(now - days * DAY_MS), new Date(now - days * DAY_MS));
  }
  const w = loop(dir.path, (before) => Promise.resolve(asked.push(before)));
  await until(() => w.log.said("info").length > 0 && w.clock.waiting === 1, w.clock.settle.bind(w.clock));
  assertEquals(asked, [now - 10 * DAY_MS]);
  assertEquals(await w.files.list(home.transcripts), ["a directory", "young.jsonl"]);
  await w.stop();
});

Deno.test("retentionLoop() gives up undelivered records of the same age, and says so", async () => {
  await using dir = await tempDirectory();
  await Deno.mkdir(homeLayout(dir.path).transcripts, { recursive: true });
  const asked: number[] = [];
  const w = loop(dir.path, () => Promise.resolve(0), (before) => {
    asked.push(before);
    return 3;
  });
  await until(() => w.log.said("warn").length > 0 && w.clock.waiting === 1, w.clock.settle.bind(w.clock));
  assertEquals(asked, [w.clock.now() - 10 * DAY_MS]);
  await w.stop();
});

Deno.test("retentionLoop() looks again every six hours, and after a round that failed", async () => {
  await using dir = await tempDirectory();
  let rounds = 0;
  const w = loop(dir.path, () => {
    rounds++;
    return Promise.reject(new Error("database is locked"));
  });
  const settle = w.clock.settle.bind(w.clock);
  for (let n = 1; n <= 3; n++) {
    await until(() => rounds === n && w.clock.waiting === 1, settle);
    await w.clock.advance(ROUND_MS - 1);
    assertEquals(rounds, n);
    await w.clock.advance(1);
  }
  assert(w.log.said("warn").length >= 3);
  await until(() => w.clock.waiting === 1, settle);
  await w.stop();
});

async function until(so: () => boolean, pause: () => Promise<void>): Promise<void> {
  const end = performance.now() + 10_000;
  while (!so()) {
    assert(performance.now() < end, "it did not come to this");
    await pause();
  }
}
