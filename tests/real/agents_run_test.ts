/** Each real agent CLI through `drover run`: a tool call from end to end, and its session resumed by a new process. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { rowOf } from "../../lib/agents/registry.ts";
import type { Scenarios } from "../support/fake_llm.ts";
import { compiledForm } from "../support/program.ts";
import { realCliVersion } from "./install.ts";
import { RealHome, spoken } from "./real_home.ts";
import { REAL_PROVIDERS, type RealSetup, SETUPS } from "./setups.ts";

/** Not over at once: one of the CLIs loses what such a command prints. */
const SCENARIOS: Scenarios = {
  work: [
    { text: "I will run it.", shell: "sleep 0.4; echo made-by-a-tool | tee made.txt; sleep 0.4" },
    { text: "Tool said: {{toolResult}}" },
  ],
  text: [{ text: "Just text." }],
};

const [form] = compiledForm();

for (const provider of REAL_PROVIDERS) {
  const name = (sentence: string) => `[${provider}] ${sentence}`;
  const row = rowOf(provider)!;
  const setup: RealSetup = SETUPS[provider];

  Deno.test(
    name("a task with a tool call: messages in order, the result reaches the model, and the session can be resumed"),
    async () => {
      await using real = await RealHome.create(provider, form!, { scenarios: SCENARIOS });
      const daemon = await real.daemon();
      const { agents } = await real.json(["agents"]);
      const found = agents.find((agent: { provider: string }) => agent.provider === provider);
      const unversioned = row.launch.kind === "command" && row.launch.unversioned;
      assertStringIncludes(found?.version ?? "", unversioned ? "" : realCliVersion(setup.cli));
      assertEquals(real.llm.requests, [], "finding it costs no request");

      const first = await real.run("remember the number 4711 @fake:work");
      assertEquals([first.code, first.task.status], [0, "completed"], `${first.task.error} ${await real.home.log()}`);
      assertStringIncludes(first.task.output ?? "", "made-by-a-tool");
      assertEquals(await Deno.readTextFile(join(first.task.work_dir!, "made.txt")), "made-by-a-tool\n");
      const results = real.asked("work").map((asked) => asked.toolResult);
      assert(results.some((one) => one.includes("made-by-a-tool")), results.join("\n"));
      const messages = spoken(first.messages);
      const kinds = messages.map(({ type }) => type).filter((type) => type !== "status");
      assertEquals(kinds, ["text", "tool_use", "tool_result", "text"], JSON.stringify(messages));
      const [use, result] = ["tool_use", "tool_result"].map((type) => messages.find((one) => one.type === type)!);
      assert(use!.tool, "tools have names");
      assert(use!.call_id, "calls have ids");
      assertEquals(result!.call_id, use!.call_id);
      assertStringIncludes(JSON.stringify(use!.input), "made.txt");
      assertStringIncludes(result!.output ?? "", "made-by-a-tool");
      assert(first.task.session_id, "the session is known");
      if (row.usage === "stream") assertCounted(first.task.usage, setup.countsLastOnly ? 1 : 2, results.length);

      const second = await real.run("which number was it? @fake:text", ["--resume", first.task.id]);
      assertEquals([second.code, second.task.output], [0, "Just text."], second.task.error ?? "");
      assertEquals(second.task.session_id, first.task.session_id);
      assertEquals(second.task.work_dir, first.task.work_dir);
      const remembered = real.asked("text").at(-1)!.turns.map((turn) => turn.text).join("\n");
      assertStringIncludes(remembered, "remember the number 4711");
      assertStringIncludes(remembered, "made-by-a-tool");
      if (row.usage === "stream") assertCounted(second.task.usage, 1, real.asked("text").length);

      await daemon.stop();
      await real.assertNothingLeft();
    },
  );
}

interface Usage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cache_read_tokens: number;
}

/**
 * In what the fake model says each request costs: at least those of the turn, at most all that were made, with one for
 * a title and one for a route, which do not carry the scenario.
 */
function assertCounted(usage: readonly Usage[], least: number, made: number): void {
  const sum = (of: (one: Usage) => number) => usage.reduce((total, one) => total + of(one), 0);
  const counted = sum((one) => one.output_tokens) / 50;
  assert(counted >= least && counted <= made + 2, `${counted} requests counted of ${made}`);
  assertEquals([sum((one) => one.input_tokens), sum((one) => one.cache_read_tokens)], [counted * 1000, counted * 200]);
}
