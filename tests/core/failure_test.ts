/** Which failures are tried again, when, and whether their session may be resumed. */
import { assertEquals } from "@std/assert";
import {
  asFailureReason,
  decideRetry,
  FAILURE_REASONS,
  isResumeUnsafe,
  reasonForStatus,
  type RetryDecision,
} from "../../lib/core/failure.ts";

const FINAL: RetryDecision = { kind: "none", why: "reason-is-final" };
const SPENT: RetryDecision = { kind: "none", why: "attempts-spent" };
const again = (attempt: number, delayMs = 0): RetryDecision => ({ kind: "retry", attempt, delayMs });

Deno.test("decideRetry() decides by reason, attempt and ceiling", () => {
  const rows: [reason: string, attempt: number, max: number, decision: RetryDecision][] = [
    ["runtime_recovery", 1, 2, again(2)],
    ["runtime_recovery", 2, 2, SPENT],
    ["runtime_recovery", 2, 5, again(3)],
    ["runtime_recovery", 1, 1, FINAL],
    ["runtime_recovery", 1, 0, FINAL],
    ["timeout", 1, 2, again(2)],
    ["skill_bundle_unavailable", 1, 2, again(2)],
    ["codex_semantic_inactivity", 1, 2, again(2)],
    ["runtime_offline", 1, 2, again(2, 1_000)],
    ["runtime_offline", 1, 3, again(2, 1_000)],
    ["runtime_offline", 2, 3, again(3, 1_000)],
    ["agent_error.provider_network", 1, 2, again(2)],
    ["agent_error.provider_network", 2, 2, again(3, 5_000)],
    ["agent_error.provider_network", 3, 9, SPENT],
    ["agent_error.provider_network", 1, 1, FINAL],
    ["api_invalid_request", 1, 5, FINAL],
    ["cancelled", 1, 5, FINAL],
    ["free text of a peer", 1, 5, FINAL],
    ["", 1, 5, FINAL],
    ["constructor", 1, 5, FINAL],
    ["__proto__", 1, 5, FINAL],
  ];
  for (const [reason, attempt, max, decision] of rows) {
    assertEquals(decideRetry(reason, attempt, max), decision, `${reason}, attempt ${attempt} of ${max}`);
  }
});

Deno.test("decideRetry() tries exactly the reasons again that the protocol names", () => {
  const retried = FAILURE_REASONS.filter((reason) => decideRetry(reason, 1, 2).kind === "retry");
  assertEquals(retried, [
    "runtime_offline",
    "runtime_recovery",
    "timeout",
    "skill_bundle_unavailable",
    "agent_error.provider_network",
  ]);
});

Deno.test("isResumeUnsafe() names the failures that a resumed session would repeat", () => {
  const peers = ["codex_semantic_inactivity", "codex_resume_oversized", "agent_fallback_message"];
  const unsafe = [...FAILURE_REASONS, ...peers, "free text", "toString"].filter(isResumeUnsafe);
  assertEquals(unsafe, ["api_invalid_request", "iteration_limit", "agent_error.context_overflow", ...peers]);
});

Deno.test("asFailureReason() keeps the known and calls the rest unknown", () => {
  for (const reason of FAILURE_REASONS) assertEquals(asFailureReason(reason), reason);
  for (const text of ["", "agent_error", "Timeout", "constructor"]) {
    assertEquals(asFailureReason(text), "agent_error.unknown");
  }
});

Deno.test("reasonForStatus() reads a provider's HTTP status", () => {
  const rows: [number, string | undefined][] = [
    [200, undefined],
    [302, undefined],
    [400, "api_invalid_request"],
    [401, "agent_error.provider_auth_or_access"],
    [402, "agent_error.provider_quota_limit"],
    [403, "agent_error.provider_auth_or_access"],
    [404, "agent_error.model_not_found_or_unavailable"],
    [408, "agent_error.provider_network"],
    [413, "agent_error.context_overflow"],
    [418, undefined],
    [422, "api_invalid_request"],
    [429, "agent_error.provider_capacity_or_rate_limit"],
    [500, "agent_error.provider_server_error"],
    [503, "agent_error.provider_server_error"],
    [504, "agent_error.provider_network"],
    [529, "agent_error.provider_capacity_or_rate_limit"],
    [599, "agent_error.provider_server_error"],
    [600, undefined],
    [0, undefined],
  ];
  for (const [status, reason] of rows) assertEquals(reasonForStatus(status), reason, String(status));
});
