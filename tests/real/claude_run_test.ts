/** The real Claude Code through `drover run`: found, its tools, messages, usage and files, its session resumed, reading only. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { SCENARIOS } from "../support/fake_llm.ts";
import { programForms } from "../support/program.ts";
import { realCliVersion } from "./install.ts";
import { RealHome, type Said, spoken } from "./real_home.ts";

const READ_ONLY = ["--permission", "read-only"];

/** What a model may try that was told it can only read: tools that were never offered to it among them. */
const TRESPASS = [
  { tool: "Write", args: { file_path: "written.txt", content: "x" } },
  { tool: "Bash", args: { command: "touch touched.txt", description: "touch" } },
  { tool: "Edit", args: { file_path: "kept.txt", old_string: "kept", new_string: "changed" } },
  { tool: "Agent", args: { prompt: "touch touched.txt", description: "touch", subagent_type: "general-purpose" } },
  { tool: "Read", args: { file_path: "kept.txt" } },
] as const;

/** In order; where a slow machine let a text through in several pieces it counts once. */
function kinds(messages: readonly Said[]): string[] {
  return spoken(messages).map((message) => message.type);
}

for (const form of programForms()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(name("drover agents shows claude in the version that it has"), async () => {
    await using claude = await RealHome.create("claude", form);
    const { agents } = await claude.json(["agents"]);
    const found = agents.map((agent: Record<string, string>) => [agent.provider, agent.version, agent.executable]);
    assertEquals(found[0], ["claude", realCliVersion("claude"), join(claude.home.bin, "claude")]);
    assertEquals(claude.llm.requests, [], "finding it costs no request");
    await claude.home.assertNoProcessLeft();
  });

  Deno.test(
    name("a task with a tool call: messages in order, the result reaches the model, usage is kept"),
    async () => {
      await using claude = await RealHome.create("claude", form);
      const { code, task, messages } = await claude.run("please run it @fake:think");
      assertEquals([code, task.status, task.output], [0, "completed", "Thought and done."], task.error ?? "");
      assertEquals(kinds(messages), ["thinking", "tool_use", "tool_result", "thinking", "text"]);
      const [, use, result] = spoken(messages);
      assertEquals([use?.tool, use?.input?.command], ["Bash", "echo hello-from-tool"]);
      assertEquals([result?.tool, result?.output, result?.call_id], ["Bash", "hello-from-tool", use?.call_id]);
      assert(use?.call_id, "calls have ids");
      assertEquals(claude.asked("think").map((asked) => asked.toolResult), ["", "hello-from-tool"]);
      // Two requests, each with what the fake model says it costs.
      const [usage, ...others] = task.usage;
      assertEquals(others, []);
      const { input_tokens, output_tokens, cache_read_tokens, cache_write_tokens } = usage!;
      assertEquals([input_tokens, output_tokens, cache_read_tokens, cache_write_tokens], [2000, 100, 400, 60]);
      assertEquals([usage?.provider, usage?.model], ["claude", claude.asked("think")[0]?.model]);
      assert(usage!.cost_usd_ticks > 0, "the CLI tells what it cost");
      assert(task.session_id, "the session is known");
      await claude.home.assertNoProcessLeft();
    },
  );

  Deno.test(
    name("parallel and failing tool calls keep their ids, and a failing tool does not fail the task"),
    async () => {
      await using claude = await RealHome.create("claude", form);
      const daemon = await claude.daemon();
      const [parallel, failing] = await Promise.all([claude.run("go @fake:parallel"), claude.run("go @fake:toolfail")]);
      assertEquals([parallel.code, failing.code], [0, 0], await claude.home.log());
      const answers = parallel.messages.filter((message) => message.type === "tool_result");
      const calls = parallel.messages.filter((message) => message.type === "tool_use");
      assertEquals(answers.map((message) => message.output).sort(), ["one", "two"]);
      for (const { call_id, output } of answers) {
        assertEquals(calls.find((call) => call.call_id === call_id)?.input?.command, `echo ${output}`);
      }
      assertStringIncludes(failing.messages.find(({ type }) => type === "tool_result")?.output ?? "", "to-stderr");
      assertStringIncludes(claude.asked("toolfail").at(-1)?.toolResult ?? "", "Exit code 3");
      await daemon.stop();
    },
  );

  Deno.test(name("what the agent writes is in the work directory"), async () => {
    await using claude = await RealHome.create("claude", form);
    const { code, task } = await claude.run("please @fake:write");
    assertEquals([code, task.permission], [0, "full"]);
    assertEquals(await Deno.readTextFile(join(task.work_dir!, "hello.txt")), "hello from fake-llm\n");
    assertEquals(await names(claude.home.cwd), []);
  });

  Deno.test(
    name("run --resume goes on in the same session and directory, and the model sees the earlier turn"),
    async () => {
      await using claude = await RealHome.create("claude", form);
      const first = await claude.run("remember the number 4711 @fake:default");
      assertEquals(first.code, 0, first.task.error ?? "");
      const second = await claude.run("which number was it? @fake:text", ["--resume", first.task.id.slice(0, 8)]);
      assertEquals([second.code, second.task.output], [0, "Just text."], second.task.error ?? "");
      assertEquals(second.task.session_id, first.task.session_id);
      assertEquals(second.task.work_dir, first.task.work_dir);
      assertEquals(second.task.thread_id, first.task.thread_id);
      const [asked] = claude.asked("text");
      const remembered = asked!.turns.map((turn) => turn.text).join("\n");
      assertStringIncludes(remembered, "remember the number 4711");
      assertStringIncludes(remembered, "Final answer after tool. Tool said: hello-from-tool");
      // One request in it; the first run's two are not counted again.
      assertEquals(second.task.usage.map((usage) => usage.output_tokens), [50]);
    },
  );

  Deno.test(name("read-only: nothing is changed, whatever the model tries, and the task ends"), async () => {
    const trespass = [...TRESPASS, { text: "I looked." }];
    await using claude = await RealHome.create("claude", form, { scenarios: { ...SCENARIOS, trespass } });
    const { cwd } = claude.home;
    await Deno.writeTextFile(join(cwd, "kept.txt"), "kept\n");
    const { code, task, messages } = await claude.run("look @fake:trespass", ["--cwd", cwd, ...READ_ONLY]);
    assertEquals([code, task.permission, task.output], [0, "read-only", "I looked."], task.error ?? "");
    const results = messages.filter((message) => message.type === "tool_result").map((message) => message.output ?? "");
    assertEquals(results.length, TRESPASS.length);
    assertStringIncludes(results.at(-1)!, "kept", "reading works");
    assertEquals([await names(cwd), await Deno.readTextFile(join(cwd, "kept.txt"))], [["kept.txt"], "kept\n"]);
    // The placeholder stands for tools that the CLI describes only when they are looked for.
    const reading = ["DeferredToolPlaceholder", "Glob", "Grep", "Read", "WebFetch", "WebSearch"];
    const offered = new Set(claude.asked("trespass").flatMap((asked) => asked.tools));
    assertEquals([...offered].filter((tool) => !reading.includes(tool)), []);
    await claude.home.assertNoProcessLeft();
  });

  Deno.test(name("read-only: the directory's own hooks do not run, which they do with full permission"), async () => {
    await using claude = await RealHome.create("claude", form);
    const { cwd } = claude.home;
    await Deno.mkdir(join(cwd, ".claude"));
    const hooks = { UserPromptSubmit: [{ hooks: [{ type: "command", command: "touch hooked.txt" }] }] };
    await Deno.writeTextFile(join(cwd, ".claude", "settings.json"), JSON.stringify({ hooks }));
    const reading = await claude.run("look @fake:text", ["--cwd", cwd, ...READ_ONLY]);
    assertEquals([reading.code, await names(cwd)], [0, [".claude"]]);
    const full = await claude.run("look @fake:text", ["--cwd", cwd, "--permission", "full"]);
    assertEquals([full.code, await names(cwd)], [0, [".claude", "hooked.txt"]]);
  });

  Deno.test(name("a prompt of a megabyte through standard input reaches the model whole"), async () => {
    await using claude = await RealHome.create("claude", form);
    const line = "Größe zählt – every line counts, and each is a little longer than the last.\n";
    const prompt = `@fake:text begin\n${line.repeat(13_500)}the very end`;
    assert(new TextEncoder().encode(prompt).length > 1_000_000);
    const { code, task } = await claude.run("-", ["--scratch"], { stdin: prompt });
    assertEquals([code, task.output], [0, "Just text."], task.error ?? "");
    const turns = claude.asked("text")[0]!.turns.filter((turn) => turn.text.includes("@fake:text begin"));
    assert(
      turns.some((turn) => turn.text.includes(prompt)),
      `turns of ${turns.map((turn) => turn.text.length)} characters`,
    );
  });
}

async function names(directory: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(directory)) found.push(entry.name);
  return found.sort();
}
