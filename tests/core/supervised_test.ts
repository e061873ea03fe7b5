/** May a supervised daemon begin: the answer to every state of its home. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { BREAKER, type BreakerState, FRESH_BREAKER, stepBreaker } from "../../lib/core/breaker.ts";
import { launchArgs } from "../../lib/core/launch.ts";
import { admit, admitByBreaker, type SupervisedLook } from "../../lib/core/supervised.ts";

const STOPPED = { by: "stop", at: "2026-01-01T00:00:00.000Z" };

Deno.test("a home that was stopped on purpose, or has a daemon, is left alone; one that is held for a while is waited for", () => {
  const rows: [SupervisedLook, string, string][] = [
    [{ stopped: undefined, holder: { kind: "none" } }, "start", ""],
    [{ stopped: undefined, holder: { kind: "daemon", pid: 7 } }, "stand-down", "pid 7"],
    [{ stopped: undefined, holder: { kind: "run", pid: 7 } }, "wait", "pid 7"],
    [{ stopped: undefined, holder: { kind: "unknown" } }, "wait", "another process"],
    [{ stopped: STOPPED, holder: { kind: "none" } }, "stand-down", "drover stop, 2026-01-01"],
    [{ stopped: STOPPED, holder: { kind: "run", pid: 7 } }, "stand-down", "drover stop"],
  ];
  for (const [look, kind, words] of rows) {
    const answer = admit(look);
    assertEquals(answer.kind, kind, JSON.stringify(look));
    if (answer.kind !== "start") assertStringIncludes(answer.why, words);
    if (answer.kind === "wait") assert(answer.ms > 0);
  }
});

Deno.test("under a manager without a limit, five failed starts within ten minutes are the last ones", () => {
  let state: BreakerState = FRESH_BREAKER;
  let now = 1_000_000;
  const began = now;
  let starts = 0;
  for (;;) {
    const step = stepBreaker(state, { kind: "start", digest: "x" }, now);
    state = step.state;
    const answer = admitByBreaker(step.verdict, now);
    if (answer.kind === "stand-down") break;
    if (answer.kind === "wait") {
      assert(answer.ms > 0 && answer.ms <= BREAKER.maxDelayMs);
      now += answer.ms;
      continue;
    }
    starts++;
    // It fails at once, and the manager's throttle brings the next one.
    now += 30_000;
    assert(starts <= 5, "no sixth start");
  }
  assertEquals(starts, 5);
  assert(now - began < 10 * 60_000);
  const later = began + 10 * 60_000 + 1;
  const { verdict } = stepBreaker(state, { kind: "start", digest: "x" }, later);
  assertEquals(admitByBreaker(verdict, later).kind, "start", "the next login may try again");
});

Deno.test("what a restart keeps of the arguments does not say who supervises", () => {
  for (const supervised of [["--supervised", "systemd"], ["--supervised=launchd"], []]) {
    const argv = ["daemon", "--quiet", ...supervised, "--log-level", "debug", "--json"];
    assertEquals(launchArgs(argv), ["--log-level", "debug"]);
  }
});
