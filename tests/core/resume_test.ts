/** Which session a new attempt continues. */
import { assertEquals } from "@std/assert";
import { chooseResume, type PastRun } from "../../lib/core/resume.ts";

function past(run: Partial<PastRun>): PastRun {
  return {
    runtimeId: "r1",
    sessionId: "s1",
    workDir: "/w1",
    failureReason: null,
    retiredSessionId: null,
    ...run,
  };
}

const NEW = past({});
const OLD = past({ sessionId: "s0", workDir: "/w0" });

Deno.test("chooseResume() takes the newest run that has a session", () => {
  assertEquals(chooseResume([NEW, OLD], "r1"), { sessionId: "s1", workDir: "/w1" });
  assertEquals(chooseResume([past({ sessionId: null }), OLD], "r1"), { sessionId: "s0", workDir: "/w0" });
  assertEquals(chooseResume([], "r1"), {});
});

Deno.test("chooseResume() offers a session only on its own runtime, the directory regardless", () => {
  assertEquals(chooseResume([NEW], "r2"), { workDir: "/w1" });
});

Deno.test("chooseResume() passes over sessions that were retired or would fail the same way", () => {
  const unsafe = past({ failureReason: "agent_error.context_overflow" });
  assertEquals(chooseResume([unsafe, OLD], "r1"), { sessionId: "s0", workDir: "/w0" });
  assertEquals(chooseResume([past({ sessionId: "s2", retiredSessionId: "s1" }), NEW, OLD], "r2"), { workDir: "/w1" });
  assertEquals(chooseResume([past({ sessionId: null, retiredSessionId: "s1" }), NEW, OLD], "r1"), {
    sessionId: "s0",
    workDir: "/w0",
  });
});

Deno.test("chooseResume() judges a session by its latest run", () => {
  const failed = past({ failureReason: "iteration_limit" });
  assertEquals(chooseResume([past({ failureReason: "timeout" }), failed], "r1").sessionId, "s1");
  assertEquals(chooseResume([failed, NEW], "r1"), {});
});
