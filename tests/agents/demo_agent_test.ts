/** The demo agent as a real process behind the real adapter: the whole way from a prompt to an outcome, and every misbehaviour. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { deadline } from "@std/async";
import { fromFileUrl, join } from "@std/path";
import { backendFor } from "../../lib/agents/registry.ts";
import { claudeStreamJson } from "../../lib/agents/claude_stream_json.ts";
import { parseDirectives } from "../../lib/agents/demo_directives.ts";
import { type AgentMessage, type Outcome, StopError } from "../../lib/core/message.ts";
import type { AgentTask, Runtime } from "../../lib/core/model.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createProcesses } from "../../lib/host/process.ts";
import { kindsOf, taskOf } from "./agent_io.ts";

const clock = createClock();
const processes = createProcesses({ clock });
const nobody = { clock, ask: () => Promise.resolve({ allow: false, why: "nobody is there" }) };
const LIMIT_MS = 30_000;

const RUNTIME: Runtime = {
  provider: "demo",
  family: "claude-stream-json",
  executable: Deno.execPath(),
  fixedArgs: ["run", "-A", "--quiet", "--no-check", fromFileUrl(new URL("demo_main.ts", import.meta.url))],
  version: "",
};

interface DemoRun {
  readonly messages: AgentMessage[];
  readonly outcome: Outcome;
  readonly code: number;
  readonly leftovers: number;
}

/** One run in a directory of its own, as the task runner does it. `stopAt` aborts the run after that message. */
async function runDemo(
  prompt: string,
  options: { task?: Partial<AgentTask>; stopAt?: AgentMessage["kind"]; within?: (cwd: string) => Promise<void> } = {},
): Promise<DemoRun> {
  const cwd = await Deno.makeTempDir();
  try {
    await options.within?.(cwd);
    const task = taskOf({ prompt, cwd, ...options.task });
    const abort = new AbortController();
    const command = backendFor("demo").commandFor(RUNTIME, task);
    const child = processes.spawn({
      ...command,
      cwd,
      env: { ...Deno.env.toObject(), ...command.env },
      mark: `test-${crypto.randomUUID()}`,
    });
    try {
      const session = claudeStreamJson.run({ ...child, stderrTail: child.stderrTail, ...nobody }, task, abort.signal);
      const messages: AgentMessage[] = [];
      const read = async () => {
        for await (const message of session.messages) {
          messages.push(message);
          if (message.kind === options.stopAt) abort.abort(new StopError({ kind: "cancelled", by: "user" }));
        }
        return await session.outcome;
      };
      const outcome = await deadline(read(), LIMIT_MS);
      if (!options.stopAt) await deadline(child.exit, LIMIT_MS);
      const { leftovers } = await child.stop({ graceMs: 200 });
      return { messages, outcome, code: (await child.exit).code, leftovers: leftovers.length };
    } finally {
      await child.stop();
    }
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
}

Deno.test("demo agent looks around, writes its file, answers, and counts its tokens", async () => {
  let cwd = "";
  const { messages, outcome, code } = await runDemo("tidy up @demo:fast", {
    async within(directory) {
      cwd = directory;
      await Deno.writeTextFile(join(directory, "a.txt"), "");
    },
  });
  assertEquals(kindsOf(messages), "session thinking tool-use tool-result tool-use tool-result text usage");
  assertEquals(
    messages[3],
    { ...messages[3], kind: "tool-result", tool: "LS", output: "a.txt", isError: false } as AgentMessage,
  );
  const write = messages[4];
  assert(write?.kind === "tool-use" && write.tool === "Write");
  assertEquals(write.input.file_path, join(cwd, "drover-demo.md"));
  assertStringIncludes(String(write.input.content), "> tidy up");
  assertEquals(outcome.kind, "completed");
  assertStringIncludes(outcome.kind === "completed" ? outcome.output : "", "You said: tidy up @demo:fast");
  assertEquals(code, 0);
  const usage = messages.at(-1);
  assert(usage?.kind === "usage" && usage.usage[0]?.model === "demo" && usage.usage[0].outputTokens > 0);
});

Deno.test("demo agent really writes the file it says it writes", async () => {
  let written = "";
  let directory = "";
  const cwd = await Deno.makeTempDir();
  try {
    directory = cwd;
    const command = backendFor("demo").commandFor(RUNTIME, taskOf({ cwd }));
    const { exit } = await processes.run(
      {
        ...command,
        cwd,
        stdin: `${JSON.stringify({ type: "user", message: { role: "user", content: "hello @demo:fast" } })}\n`,
      },
      { timeoutMs: LIMIT_MS },
    );
    assertEquals(exit.code, 0);
    written = await Deno.readTextFile(join(directory, "drover-demo.md"));
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
  assertMatch(written, /^# Written by the demo agent of drover\n\nAt \d{4}-.*, when asked:\n\n> hello @demo:fast\n$/);
});

Deno.test("demo agent writes nothing in a read-only run, and says so", async () => {
  const { messages, outcome } = await runDemo("look @demo:fast", { task: { permission: "read-only" } });
  assertEquals(kindsOf(messages), "session thinking tool-use tool-result text usage");
  assertStringIncludes(outcome.kind === "completed" ? outcome.output : "", "wrote nothing");
});

Deno.test("demo agent continues a session under the same id", async () => {
  const { messages, outcome } = await runDemo("again @demo:fast", { task: { resumeSession: "session-7" } });
  assertEquals(messages[0], { kind: "session", sessionId: "session-7" });
  assertStringIncludes(outcome.kind === "completed" ? outcome.output : "", "Continuing session session-7");
});

Deno.test("demo agent says as many things as it is told", async () => {
  const { messages } = await runDemo("@demo:fast @demo:flood=300");
  const texts = messages.flatMap((message) => message.kind === "text" ? [message.text.trim()] : []);
  const flood = texts.filter((text) => /^flood \d+$/.test(text));
  assertEquals([flood[0], flood.at(-1)], ["flood 1", "flood 300"]);
  assertEquals(flood.length, 300);
});

Deno.test("demo agent prints garbage and a huge line in between, and still ends well", async () => {
  const { messages, outcome } = await runDemo("@demo:fast @demo:garbage @demo:huge-line=2000000");
  const sizes = messages.map((message) => message.kind === "tool-result" ? message.output.length : 0);
  assertEquals(Math.max(...sizes), 2_000_000);
  assertEquals(outcome.kind, "completed");
});

Deno.test("demo agent fails as a provider does, with the status it is told", async () => {
  const { outcome, code } = await runDemo("@demo:fast @demo:fail=429");
  assertEquals(outcome.kind === "failed" && outcome.reason, "agent_error.provider_capacity_or_rate_limit");
  assertEquals(code, 1);
});

Deno.test("demo agent exits without a result, with the code it is told", async () => {
  const { outcome, code } = await runDemo("@demo:fast @demo:exit=3");
  assertEquals(outcome.kind === "failed" && outcome.reason, "agent_error.process_failure");
  assertStringIncludes(outcome.kind === "failed" ? outcome.detail : "", "ended with code 3");
  assertEquals(code, 3);
});

Deno.test("demo agent kills itself", async () => {
  const { outcome } = await runDemo("@demo:fast @demo:signal");
  assertStringIncludes(outcome.kind === "failed" ? outcome.detail : "", "was ended by SIGKILL");
});

Deno.test("demo agent hangs, ignores TERM, and is gone all the same when its run is stopped", async () => {
  const { outcome, code } = await runDemo("@demo:fast @demo:ignore-term @demo:hang", { stopAt: "tool-result" });
  assertEquals(outcome.kind === "failed" && outcome.reason, "cancelled");
  assertEquals(code, 137);
});

Deno.test({
  name: "demo agent leaves a grandchild that holds its stdout, which ends with the run",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const { outcome, leftovers } = await runDemo("@demo:fast @demo:grandchild");
    assertEquals(outcome.kind, "completed");
    assertEquals(leftovers, 1);
  },
});

Deno.test("parseDirectives() finds the known words and their numbers, and nothing else", () => {
  const found = parseDirectives("please @demo:sleep=20, then @demo:fail; @demo:unknown=1 demo:hang @demo:exit=4.");
  assertEquals([...found], [["sleep", 20], ["fail", 0], ["exit", 4]]);
});
