/** The tokens in session logs, as the real agent CLIs wrote them: two requests of one task and one of the next, each once. */
import { assert, assertEquals } from "@std/assert";
import { PROVIDERS } from "../../lib/agents/registry.ts";
import { type Kept, type LoggedUsage, readLogLine, type SessionLogs } from "../../lib/agents/session_logs.ts";

const FOLDER = new URL("session_logs/", import.meta.url);
const ROWS = PROVIDERS.flatMap(({ provider, sessionLogs }) => sessionLogs ? [[provider, sessionLogs] as const] : []);

function readAll(logs: SessionLogs, lines: readonly string[]): LoggedUsage[] {
  const kept: Kept = {};
  return lines.flatMap((line, i) => readLogLine(logs, line, kept, `log@${i}`) ?? []);
}

Deno.test("every row with session logs has one that its CLI wrote", () => {
  const files = Array.from(Deno.readDirSync(FOLDER), ({ name }) => name.replace(".jsonl", ""));
  assertEquals(files.sort(), ROWS.map(([provider]) => provider).sort());
});

for (const [provider, logs] of ROWS) {
  Deno.test(`[${provider}] the log of a real session holds three answers with a day, a model and tokens`, async () => {
    const lines = (await Deno.readTextFile(new URL(`${provider}.jsonl`, FOLDER))).split("\n");
    const found = readAll(logs, lines);
    assert(found.length >= 3, JSON.stringify(found));
    const answers = new Map(found.map((usage) => [usage.id, usage]));
    assertEquals(answers.size, 3, JSON.stringify(found));
    for (const usage of answers.values()) {
      assertEquals(new Date(usage.at).toISOString().slice(0, 10), "2026-11-21");
      assert(/^(fake-model|claude-opus-5-5|gpt-5\.5|gemini-3\.8-flash)$/.test(usage.model), usage.model);
      assertEquals([usage.inputTokens, usage.outputTokens, usage.cacheReadTokens], [1_000, 50, 200]);
      assertEquals(usage.cacheWriteTokens, provider === "claude" ? 30 : 0);
    }
  });

  Deno.test(`[${provider}] lines that are cut, of another kind or of wrong types count for nothing`, async () => {
    const lines = (await Deno.readTextFile(new URL(`${provider}.jsonl`, FOLDER))).split("\n");
    for (const line of lines) assertEquals(readAll(logs, [line.slice(0, -1)]), []);
    const odd = ["", "null", "[]", "7", "{}", ...logs.hints.flatMap((hint) => [`{${hint}:7}`, `{${hint}:[null]}`])];
    for (
      const type of ["assistant", "gemini", "message", "usage.record", "event_msg", "turn_context", "session_meta"]
    ) {
      odd.push(...logs.hints.map((hint) => `{"type":"${type}",${hint}:{},"message":[],"payload":3}`));
    }
    assertEquals(readAll(logs, odd), []);
  });
}

for (const [provider, logs] of ROWS.filter(([provider]) => ["codex", "copilot"].includes(provider))) {
  Deno.test(`[${provider}] what was written to the cache is taken out of the input, which counts it as well`, async () => {
    const text = await Deno.readTextFile(new URL(`${provider}.jsonl`, FOLDER));
    const found = readAll(logs, text.replace(/("cache_?write\w*":)0/gi, "$1100").split("\n"));
    assert(found.length >= 3);
    for (const usage of found) assertEquals([usage.inputTokens, usage.cacheWriteTokens], [900, 100]);
  });
}
