/** The usage scan over real files: each answer once, however often it is looked at, and whatever happens to the logs. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { CLAUDE_LOGS, CODEX_LOGS, KIMI_LOGS } from "../../lib/agents/session_logs.ts";
import { dayOf } from "../../lib/core/day_limits.ts";
import { type LogSource, scanUsage } from "../../lib/daemon/usage_scan.ts";
import { openUsageStore, UsageStoreError } from "../../lib/daemon/usage_store.ts";
import { createFiles } from "../../lib/host/files.ts";
import { type TempDirectory, tempDirectory } from "../host/temp_directory.ts";
import { FakeClock } from "../support/fake_clock.ts";

const files = createFiles();
const SOURCES: readonly LogSource[] = [
  { provider: "claude", logs: CLAUDE_LOGS, privateHome: false },
  { provider: "codex", logs: CODEX_LOGS, privateHome: true },
  { provider: "kimi", logs: KIMI_LOGS, privateHome: false },
];

async function world(dir: TempDirectory) {
  const clock = new FakeClock();
  const today = dayOf(clock.now());
  const folder = dir.at("user/.claude/projects/p");
  await Deno.mkdir(folder, { recursive: true });
  const store = openUsageStore(dir.at("usage.db"));
  const touch = async (path: string) => {
    // The clock stands still in January; so do the files.
    await Deno.utime(path, new Date(clock.now()), new Date(clock.now()));
  };
  const scan = (env: Record<string, string> = {}) =>
    scanUsage({
      ...{ sources: SOURCES, store, files, clock },
      env: { HOME: dir.at("user"), ...env },
      workspaces: dir.at("workspaces"),
    });
  const say = (id: string, output: number, at = clock.now()) =>
    JSON.stringify({
      type: "assistant",
      timestamp: new Date(at).toISOString(),
      message: { id, model: "m", usage: { input_tokens: 10, output_tokens: output } },
    }) + "\n";
  const write = async (path: string, text: string, append = true) => {
    await Deno.writeTextFile(path, text, { append });
    await touch(path);
  };
  const output = () => store.days("2000-01-01").reduce((sum, day) => sum + day.outputTokens, 0);
  return {
    clock,
    today,
    folder,
    store,
    scan,
    say,
    write,
    output,
    touch,
    [Symbol.dispose]: () => store[Symbol.dispose](),
  };
}

Deno.test("scanUsage() adds up each day, provider and model, and reads a file on from where it was", async () => {
  await using dir = await tempDirectory();
  using w = await world(dir);
  const path = `${w.folder}/a.jsonl`;
  await w.write(path, w.say("1", 5) + w.say("2", 7));
  assertEquals(await w.scan(), 1);
  assertEquals(await w.scan(), 0);
  assertEquals(w.store.days(w.today), [{
    ...{ date: w.today, provider: "claude", model: "m" },
    ...{ inputTokens: 20, outputTokens: 12, cacheReadTokens: 0, cacheWriteTokens: 0 },
  }]);
  const line = w.say("3", 100);
  // Caught in the middle of a line, it waits for the rest.
  await w.write(path, line.slice(0, 20));
  assertEquals([await w.scan(), w.output()], [1, 12]);
  await w.write(path, line.slice(20));
  assertEquals([await w.scan(), w.output()], [1, 112]);
});

Deno.test("scanUsage() counts an answer once: with its last count, in copies of a log, and in one that was written anew", async () => {
  await using dir = await tempDirectory();
  using w = await world(dir);
  await w.write(`${w.folder}/a.jsonl`, w.say("1", 1) + w.say("1", 9));
  await w.write(`${w.folder}/resumed.jsonl`, w.say("1", 9) + w.say("2", 20));
  await w.scan();
  assertEquals(w.output(), 29);
  await Deno.remove(`${w.folder}/a.jsonl`);
  await w.write(`${w.folder}/a.jsonl`, w.say("0", 300) + w.say("1", 9) + w.say("1", 4));
  await w.scan();
  assertEquals(w.output(), 329);
});

Deno.test("scanUsage() survives long lines, chunks that end anywhere, and characters cut in two", async () => {
  await using dir = await tempDirectory();
  using w = await world(dir);
  const filler = JSON.stringify({ type: "user", text: "ü".repeat(300_001) }) + "\n";
  let text = "";
  for (let i = 0; i < 12; i++) text += filler + w.say(`id-${i}`, 1);
  await w.write(`${w.folder}/long.jsonl`, text);
  await w.scan();
  assertEquals(w.output(), 12);
});

Deno.test("scanUsage() finds logs where a variable says, in private homes, and each folder once", async () => {
  await using dir = await tempDirectory();
  using w = await world(dir);
  const golden = new URL("../agents/session_logs/", import.meta.url);
  const place = async (folder: string) => {
    await Deno.mkdir(folder, { recursive: true });
    await Deno.copyFile(new URL("codex.jsonl", golden), `${folder}/rollout-1.jsonl`);
    await w.touch(`${folder}/rollout-1.jsonl`);
  };
  await place(dir.at("user/.codex/sessions/2026"));
  await Deno.mkdir(dir.at("workspaces/w/0123456789ab/homes/codex"), { recursive: true });
  await Deno.symlink(dir.at("user/.codex/sessions"), dir.at("workspaces/w/0123456789ab/homes/codex/sessions"));
  await place(dir.at("workspaces/w/ba9876543210/homes/codex/sessions/x"));
  await place(dir.at("workspaces/w/ba9876543210/homes/codex.p1/sessions"));
  await w.write(`${w.folder}/a.jsonl`, w.say("1", 5));
  assertEquals(await w.scan(), 4);
  const elsewhere = dir.at("elsewhere/projects");
  await Deno.mkdir(elsewhere, { recursive: true });
  await w.write(`${elsewhere}/b.jsonl`, w.say("2", 40));
  await w.scan({ CLAUDE_CONFIG_DIR: dir.at("elsewhere") });
  const codex = w.store.days("2000-01-01").filter(({ provider }) => provider === "codex");
  assertEquals(codex.map(({ outputTokens }) => outputTokens), [150]);
  assertEquals(w.output(), 150 + 45);
});

Deno.test("scanUsage() leaves alone what is old, and forgets what has become so", async () => {
  await using dir = await tempDirectory();
  using w = await world(dir);
  const day = 86_400_000;
  await w.write(`${w.folder}/a.jsonl`, w.say("old", 1, w.clock.now() - 91 * day) + w.say("young", 2));
  await w.scan();
  assertEquals(w.output(), 2);
  await w.clock.advance(91 * day);
  await w.scan();
  assertEquals(w.output(), 0);
});

Deno.test("openUsageStore() says what to do about a file that is none of its own", async () => {
  await using dir = await tempDirectory();
  await Deno.writeTextFile(dir.at("usage.db"), "no database at all, but long enough to look like one".repeat(40));
  const error = assertThrows(() => openUsageStore(dir.at("usage.db")), UsageStoreError);
  assert(/remove it/.test(error.message), error.message);
});
