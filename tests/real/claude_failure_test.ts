/** The real Claude Code when its provider fails, is silent, or takes too long: the reason, the exit code, and nothing left. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import type { FailureReason } from "../../lib/core/failure.ts";
import { programForms } from "../support/program.ts";
import { RealHome, spoken } from "./real_home.ts";

/** What a scenario of the fake model ends in, and the messages that come before. */
const FAILURES: Record<string, { reason: FailureReason; says: string; kinds: string[] }> = {
  http401: { reason: "agent_error.provider_auth_or_access", says: "401", kinds: ["error"] },
  http429: { reason: "agent_error.provider_capacity_or_rate_limit", says: "429", kinds: ["error"] },
  http500: { reason: "agent_error.provider_server_error", says: "500", kinds: ["error"] },
  midfail: { reason: "agent_error.provider_server_error", says: "500", kinds: ["tool_use", "tool_result", "error"] },
  errorevent: { reason: "agent_error.provider_capacity_or_rate_limit", says: "Overloaded (fake)", kinds: ["error"] },
};

for (const form of programForms()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(
    name("each way the provider fails has its reason, its words, and the exit code of a failed task"),
    async () => {
      await using claude = await RealHome.create("claude", form);
      const daemon = await claude.daemon();
      const check = async (scenario: string) => {
        const { reason, says, kinds } = FAILURES[scenario]!;
        const { code, task, messages } = await claude.run(`please @fake:${scenario}`);
        const seen = [code, task.status, task.failure_reason, task.attempt, task.retried_by];
        assertEquals(seen, [EXIT_CODES.taskFailed.code, "failed", reason, 1, null], `${scenario}: ${task.error}`);
        assertStringIncludes(task.error ?? "", says);
        assertEquals(spoken(messages).map((message) => message.type), kinds, scenario);
      };
      await Promise.all(Object.keys(FAILURES).filter((scenario) => scenario !== "http401").map(check));
      // Last: a CLI that nobody is logged in to gets no more tasks.
      await check("http401");
      await daemon.stop();
      await claude.home.assertNoProcessLeft();
    },
  );

  Deno.test(name("a run that failed half way has used tokens, and can be resumed"), async () => {
    await using claude = await RealHome.create("claude", form);
    const failed = await claude.run("first part @fake:midfail");
    assertEquals(failed.code, EXIT_CODES.taskFailed.code);
    assertEquals(failed.task.usage.map((usage) => usage.output_tokens), [50]);
    const resumed = await claude.run("second part @fake:text", ["--resume", failed.task.id]);
    assertEquals([resumed.code, resumed.task.session_id], [0, failed.task.session_id], resumed.task.error ?? "");
    const remembered = claude.asked("text")[0]!.turns.map((turn) => turn.text).join("\n");
    assertStringIncludes(remembered, "first part");
    assertStringIncludes(remembered, "hello-from-tool");
  });

  Deno.test(
    name("a task over its time limit fails with timeout, its next attempt too, and no process is left"),
    async () => {
      await using claude = await RealHome.create("claude", form);
      const { code, task } = await claude.run("think for ever @fake:sleep", ["--scratch", "--time-limit", "4s"]);
      assertEquals([code, task.status, task.failure_reason], [EXIT_CODES.taskFailed.code, "failed", "timeout"]);
      assertStringIncludes(task.error ?? "", "4 s");
      assertEquals(task.attempt, task.max_attempts);
      const [second, first] = await claude.tasks();
      assertEquals([first?.failure_reason, first?.retried_by], ["timeout", second?.id]);
      assertEquals(second?.session_id, first?.session_id, "the second attempt goes on in the session of the first");
      for (const one of [first, second]) {
        const took = Date.parse(one!.completed_at!) - Date.parse(one!.started_at!);
        assert(took >= 4_000 && took < 12_000, `ended after ${took} ms`);
      }
      await claude.home.assertNoProcessLeft();
    },
  );

  Deno.test(
    name("an answer that stops in the middle is ended at the time limit, and the provider sees it"),
    async () => {
      await using claude = await RealHome.create("claude", form);
      const { code, task } = await claude.run("talk @fake:stall", ["--scratch", "--time-limit", "3s"]);
      assertEquals([code, task.failure_reason], [EXIT_CODES.taskFailed.code, "timeout"]);
      await claude.llm.waitFor((request) => request.asked?.scenario === "stall" && request.aborted);
      await claude.home.assertNoProcessLeft();
    },
  );
}

Deno.test("without a login the task fails for want of access, in the words of the CLI", async () => {
  await using claude = await RealHome.create("claude", programForms().at(-1)!);
  const { code, task } = await claude.run("hello", ["--scratch"], { env: { ANTHROPIC_API_KEY: "" } });
  assertEquals([code, task.failure_reason], [EXIT_CODES.taskFailed.code, "agent_error.provider_auth_or_access"]);
  assertStringIncludes(task.error ?? "", "Not logged in");
  assertEquals(claude.llm.requests.filter((request) => request.asked), []);
});

Deno.test("a provider that cannot be reached is a network failure, which is tried again and said so", async () => {
  await using claude = await RealHome.create("claude", programForms().at(-1)!);
  // Nobody listens on a port that was free a moment ago.
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const env = { ANTHROPIC_BASE_URL: `http://127.0.0.1:${port}` };
  const { code, stdout } = await claude.drover(["run", "--agent", "claude", "--scratch", "hello"], { env });
  assertEquals(code, EXIT_CODES.taskFailed.code, stdout);
  const told = stdout.split("\n").filter((line) => line.startsWith("retry "));
  assertEquals(told.map((line) => /attempt \d failed \(\S+\)/.exec(line)?.[0]), [
    "attempt 1 failed (agent_error.provider_network)",
    "attempt 2 failed (agent_error.provider_network)",
  ]);
  const tasks = await claude.tasks();
  assertEquals(
    tasks.map((one) => [one.attempt, one.failure_reason]),
    [3, 2, 1].map((n) => [n, "agent_error.provider_network"]),
  );
});
