/** What an agent's good end means to a team: no answer to an issue is a failure, and so is one that says it is blocked. Pure. */
import type { Outcome } from "../core/message.ts";
import type { ClaimedTask } from "../wire/payloads.ts";
import { BLOCKED } from "./brief.ts";
import { kindOf } from "./prompt.ts";

/** Nothing is to be run for it, and it is done (wire protocol 1.4). */
export function wantsNoWork({ regenerate_quick_actions_for: wanted }: ClaimedTask): boolean {
  return wanted !== undefined && wanted !== null && wanted !== "" && wanted !== false;
}

export function verdict(task: ClaimedTask, outcome: Outcome): Outcome {
  // A chat shows what was said, and that nothing was said.
  if (outcome.kind !== "completed" || kindOf(task) === "chat") return outcome;
  const said = outcome.output.trim();
  const session = outcome.sessionId === undefined ? {} : { sessionId: outcome.sessionId };
  if (said === "" && task.issue_id !== "") {
    const detail = "The agent ended without saying anything, so nobody could see whether the issue was dealt with";
    return { kind: "failed", reason: "agent_error.empty_or_unparseable_output", detail, ...session };
  }
  if (said.startsWith(BLOCKED)) {
    const why = said.slice(BLOCKED.length).trim();
    return {
      kind: "failed",
      reason: "agent_blocked",
      detail: why || "The agent cannot go on, and did not say why",
      ...session,
    };
  }
  return outcome;
}
