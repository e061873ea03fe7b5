/** The answer for a run's report: whole while it is short, its end when it is long, and never more memory than that. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Answer, MAX_ANSWER_CHARS } from "../../lib/agents/answer.ts";
import { backendFor } from "../../lib/agents/registry.ts";
import { playback, runOn } from "./agent_io.ts";
import { SPEAKERS } from "./speakers.ts";

Deno.test("Answer gives back what was added, in order, and is empty again after clear", () => {
  const answer = new Answer();
  assert(answer.empty);
  for (const piece of ["one ", "two ", "x".repeat(200_000)]) answer.add(piece);
  assertEquals(answer.text, `one two ${"x".repeat(200_000)}`);
  answer.clear();
  assert(answer.empty);
  answer.add("again");
  assertEquals(answer.text, "again");
});

Deno.test("Answer keeps the end of a long text and says how much is missing before it", () => {
  const answer = new Answer();
  const pieces = Array.from({ length: 100 }, (_, n) => `${n}`.padStart(50_000));
  for (const piece of pieces) answer.add(piece);
  const { text } = answer;
  const [said, ...kept] = text.split("\n");
  const cut = Number(/^\[(\d+) characters/.exec(said!)?.[1]);
  assertEquals(kept.join("\n"), pieces.join("").slice(cut));
  assert(kept.join("\n").length <= MAX_ANSWER_CHARS && kept.join("\n").length > MAX_ANSWER_CHARS / 2);
});

for (const { provider, begin = "", say, done } of SPEAKERS) {
  // Where the last line repeats the answer nothing of what was said before is needed; older versions leave it out.
  const last = done.replace(',"result":"done"', "");

  Deno.test(`${provider}: an agent that says far more than a report holds completes with the end of it`, async () => {
    const lines = Array.from({ length: 60 }, (_, n) => say(`${n} ${"x".repeat(60_000)}`)).join("");
    const { outcome } = await runOn(backendFor(provider), playback(begin + lines + last));
    const output = outcome.kind === "completed" ? outcome.output : "";
    assert(output.length < MAX_ANSWER_CHARS * 1.2, `${output.length} characters were kept`);
    assert(output.length > MAX_ANSWER_CHARS / 2, `only ${output.length} characters were kept`);
    assertStringIncludes(output, `59 ${"x".repeat(60_000)}`);
  });
}
