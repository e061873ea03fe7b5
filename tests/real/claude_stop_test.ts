/** The real Claude Code being stopped: cancelled, interrupted, or orphaned by a killed daemon; its tools end with it. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { deadline } from "@std/async";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually } from "../support/drover.ts";
import { SCENARIOS } from "../support/fake_llm.ts";
import { programForms } from "../support/program.ts";
import { RealHome } from "./real_home.ts";

/** From the word to the last process: the agent's own clean-up, and the patience with what ignores it. */
const GONE_MS = 10_000;
const RUN_MS = 30_000;

for (const form of programForms()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  for (const scenario of ["sleep", "stubborn"]) {
    Deno.test({
      name: name(`tasks cancel while a tool runs (${scenario}) ends the agent and the tool in a session of its own`),
      ignore: Deno.build.os !== "linux",
      fn: async () => {
        await using claude = await RealHome.create("claude", form);
        const daemon = await claude.daemon();
        const run = claude.spawnRun(`wait @fake:${scenario}`);
        await toolRunsApart(claude);
        const [task] = await claude.tasks();
        assertEquals(task?.status, "running");
        const since = Date.now();
        const { task: cancelled } = await claude.json(["tasks", "cancel", task!.id]);
        assertEquals(cancelled.status, "cancelled");
        assertEquals(await codeOf(run), EXIT_CODES.taskCancelled.code);
        await eventually(async () => (await claude.home.processes()).length === 1, "only the daemon is left", GONE_MS);
        assert(Date.now() - since < GONE_MS);
        assertEquals(claude.asked(scenario).length, 1, "the agent did not go on");
        await daemon.stop();
        assertEquals((await claude.tasks()).map((one) => one.status), ["cancelled"]);
      },
    });
  }

  for (const scenario of ["hang", "stall"]) {
    Deno.test(
      name(`SIGTERM to run while the model is silent (${scenario}) cancels the task, and the agent hangs up`),
      async () => {
        await using claude = await RealHome.create("claude", form);
        const run = claude.spawnRun(`wait @fake:${scenario}`);
        await claude.llm.waitFor((request) => request.asked?.scenario === scenario, { timeoutMs: 30_000 });
        run.kill("SIGTERM");
        assertEquals(await codeOf(run), EXIT_CODES.taskCancelled.code);
        await claude.home.assertNoProcessLeft();
        await claude.llm.waitFor((request) => request.asked?.scenario === scenario && request.aborted);
        const [task, ...others] = await claude.tasks();
        assertEquals([task?.status, others], ["cancelled", []]);
        assert(task?.session_id, "a cancelled task can be resumed");
      },
    );
  }

  Deno.test(name("several signals at once end run and cancel its task, and nothing is tried again"), async () => {
    await using claude = await RealHome.create("claude", form);
    const run = claude.spawnRun("wait @fake:hang");
    await claude.llm.waitFor((request) => request.asked?.scenario === "hang", { timeoutMs: 30_000 });
    run.kill("SIGINT");
    run.kill("SIGTERM");
    // Which of the two it sees first decides whether the second one means "cancel" or "leave now".
    const code = await codeOf(run);
    const codes: number[] = [EXIT_CODES.taskCancelled.code, EXIT_CODES.interrupted.code];
    assert(codes.includes(code), `exit code ${code}`);
    await claude.home.assertNoProcessLeft();
    assertEquals((await claude.tasks()).map((task) => task.status), ["cancelled"]);
  });

  Deno.test({
    name: name("after kill -9 of the daemon the next one ends agent and tool, and attempt 2 resumes the session"),
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      await using claude = await RealHome.create("claude", form);
      const daemon = await claude.daemon();
      const run = claude.spawnRun("start the watch @fake:sleep");
      await toolRunsApart(claude);
      const left = [...await claude.pidsOf("claude"), ...await claude.pidsOf("tail")];
      assertEquals(left.length, 2);
      await daemon.kill();
      const alive = await claude.home.processes();
      assertEquals(left.filter((pid) => !alive.includes(pid)), [], "they outlive the daemon");

      claude.llm.setScenarios({ ...SCENARIOS, sleep: [{ text: "Back again." }] });
      const next = await claude.daemon();
      assertEquals(await codeOf(run), 0, await claude.home.log());
      const after = await claude.home.processes();
      assertEquals(left.filter((pid) => after.includes(pid)), [], "what was left is ended");
      const [second, first] = await claude.tasks();
      assertEquals([first?.status, first?.failure_reason], ["failed", "runtime_recovery"]);
      assertEquals([second?.status, second?.attempt, second?.retry_of], ["completed", 2, first?.id]);
      assertEquals([second?.output, second?.work_dir], ["Back again.", first?.work_dir]);
      assert(first?.session_id);
      assertEquals(second?.session_id, first?.session_id);
      const asked = claude.asked("sleep");
      assertEquals(asked.length, 2);
      // The prompt of the first attempt, the tool call that was cut off, and the prompt again.
      const remembered = asked[1]!.turns.filter((turn) => turn.who === "user" && turn.text.includes("start the watch"));
      assertEquals(remembered.length, 2);
      await next.stop();
      await claude.home.assertNoProcessLeft();
    },
  });

  Deno.test({
    name: name("a command that the agent leaves in the background ends with the task"),
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      const background = [{ shell: "setsid tail -f /dev/null >/dev/null 2>&1 </dev/null & echo left" }, {
        text: "Bye.",
      }];
      await using claude = await RealHome.create("claude", form, { scenarios: { ...SCENARIOS, background } });
      const { code, task, messages } = await claude.run("leave something @fake:background");
      assertEquals([code, task.output], [0, "Bye."], task.error ?? "");
      assertStringIncludes(messages.find(({ type }) => type === "tool_result")?.output ?? "", "left");
      assertStringIncludes(await claude.home.log(), "processes the agent left behind were ended");
      await claude.home.assertNoProcessLeft();
    },
  });
}

/** Waits until the tool runs, which must not be in the agent's own session: a group's end would reach it. */
async function toolRunsApart(claude: RealHome): Promise<void> {
  await claude.toolRuns();
  const [tool, agent] = await Promise.all([claude.pidsOf("tail"), claude.pidsOf("claude")]);
  const sessions = await Promise.all([...agent, ...tool].map(sessionOf));
  assertEquals(new Set(sessions).size, sessions.length, `sessions of ${agent} and ${tool}: ${sessions}`);
}

/** The kernel's session of a process; -1 for one that is gone. */
async function sessionOf(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[3] ?? -1);
}

/** Rejects when it is not over in time, so that what hangs shows as a failure and is ended with its home. */
async function codeOf(run: Deno.ChildProcess): Promise<number> {
  return (await deadline(run.status, RUN_MS)).code;
}
