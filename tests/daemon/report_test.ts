/** The report: every way a run can end, and what the server is told. */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import type { Outcome, StopReason } from "../../lib/core/message.ts";
import { reportOf, type RunResult, usageBody } from "../../lib/daemon/report.ts";

const DONE: Outcome = { kind: "completed", output: "done", sessionId: "s-outcome" };
const FAILED: Outcome = { kind: "failed", reason: "agent_error.process_failure", detail: "exit code 3" };

function report(change: Partial<RunResult>) {
  return reportOf({ outcome: DONE, sessionId: "s-pump", workDir: "/w", branch: "b", retiredSession: "", ...change });
}

const PLACE = { session_id: "s-pump", work_dir: "/w", branch_name: "b" };

Deno.test("reportOf() completes with output, session and place, which an absent key would clear", () => {
  assertEquals(report({}), {
    kind: "complete",
    body: { output: "done", session_id: "s-outcome", work_dir: "/w", branch_name: "b" },
  });
  assertEquals(report({ outcome: { kind: "completed", output: "" }, sessionId: "", branch: "" }), {
    kind: "complete",
    body: { output: "", session_id: "", work_dir: "/w", branch_name: "" },
  });
});

Deno.test("reportOf() fails with the adapter's reason, and leaves out what it does not know, which keeps it", () => {
  assertEquals(report({ outcome: FAILED }), {
    kind: "fail",
    body: { error: "exit code 3", failure_reason: "agent_error.process_failure", ...PLACE },
  });
  assertEquals(report({ outcome: FAILED, sessionId: "", workDir: "", branch: "" }), {
    kind: "fail",
    body: { error: "exit code 3", failure_reason: "agent_error.process_failure" },
  });
});

Deno.test("reportOf() lets the reason for a stop decide, whatever the agent still said", () => {
  const rows: [StopReason, Outcome, string, Record<string, unknown> | undefined][] = [
    [{ kind: "cancelled", by: "server" }, DONE, "cancel-ack", { branch_name: "b", durable_work_dir: "/w" }],
    [{ kind: "cancelled", by: "user" }, FAILED, "cancel-ack", { branch_name: "b", durable_work_dir: "/w" }],
    [{ kind: "gone" }, DONE, "nothing", undefined],
    [{ kind: "gone" }, FAILED, "nothing", undefined],
    [{ kind: "time-limit", limitMs: 7_200_000 }, FAILED, "fail", {
      error: "The task ran longer than its limit of 2 h and was stopped",
      failure_reason: "timeout",
      ...PLACE,
    }],
    [{ kind: "silence-limit", limitMs: 1_800_000 }, FAILED, "fail", {
      error: "The agent said nothing for 30 min and was stopped; run.silence_limit is the limit",
      failure_reason: "agent_error.agent_timeout",
      ...PLACE,
    }],
    [{ kind: "tool-limit", limitMs: 7_200_000, tool: "Bash" }, DONE, "fail", {
      error: "The agent's tool Bash did not answer within 2 h, and the agent was stopped; run.tool_limit is the limit",
      failure_reason: "agent_error.agent_timeout",
      ...PLACE,
      session_id: "s-outcome",
    }],
    [{ kind: "shutdown" }, FAILED, "fail", {
      error: "The daemon was stopped while the task was running",
      failure_reason: "runtime_recovery",
      ...PLACE,
    }],
    [{ kind: "shutdown" }, DONE, "complete", { output: "done", ...PLACE, session_id: "s-outcome" }],
  ];
  for (const [stopped, outcome, kind, body] of rows) {
    const made = report({ stopped, outcome });
    assertEquals(
      [made.kind, made.kind === "nothing" ? undefined : made.body],
      [kind, body],
      `${stopped.kind}, ${outcome.kind}`,
    );
  }
});

Deno.test("reportOf() says a time limit in a unit people read", () => {
  const rows: [number, string][] = [[1_500, "1.5 s"], [59_900, "59.9 s"], [60_000, "1 min"], [5_400_000, "90 min"], [
    9_000_000,
    "2.5 h",
  ]];
  for (const [limitMs, words] of rows) {
    const made = report({ outcome: FAILED, stopped: { kind: "time-limit", limitMs } });
    assert(made.kind === "fail" && String(made.body.error).includes(`its limit of ${words} and`), JSON.stringify(made));
  }
});

Deno.test("reportOf() blots secrets out of output and error, and cuts a long error", () => {
  const token = "ghp" + "_abcdefghijklmnopqrstuvwxyz0123456789";
  const done = report({ outcome: { kind: "completed", output: `use ${token}` } });
  assertEquals(done.kind === "complete" && done.body.output, "use [redacted GitHub token]");
  const failed = report({ outcome: { ...FAILED, detail: `${token} ${"ä".repeat(100_000)}` } as Outcome });
  assert(failed.kind === "fail");
  const error = String(failed.body.error);
  assert(error.startsWith("[redacted GitHub token] ä"));
  assertLessOrEqual(new TextEncoder().encode(error).length, 16 * 1024);
});

Deno.test("usageBody() tells every model's totals under the provider", () => {
  const usage = {
    model: "m",
    inputTokens: 1,
    outputTokens: 2,
    cacheReadTokens: 3,
    cacheWriteTokens: 4,
    costUsdTicks: 5,
  };
  assertEquals(usageBody("claude", [usage]), {
    usage: [{
      provider: "claude",
      model: "m",
      input_tokens: 1,
      output_tokens: 2,
      cache_read_tokens: 3,
      cache_write_tokens: 4,
      cost_usd_ticks: 5,
    }],
  });
});
