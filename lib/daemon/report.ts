/** The report of a run: which outbox entries tell the server how it went. Pure: what happened in, bodies out. */
import type { Outcome, StopReason } from "../core/message.ts";
import type { ModelUsage } from "../core/model.ts";
import { redactText, truncateUtf8 } from "../core/redact.ts";
import type { CompleteRequest, FailRequest, WireUsage } from "../wire/payloads.ts";
import type { OutboxKind } from "./outbox.ts";

export interface RunResult {
  /** What the adapter made of the agent's words. */
  readonly outcome: Outcome;
  /** Set when the run was told to end: then that decides, whatever the agent still said. */
  readonly stopped?: StopReason;
  readonly sessionId: string;
  readonly workDir: string;
  readonly branch: string;
  /** Empty, or the session that could not be continued, which nobody should be offered again. */
  readonly retiredSession: string;
}

/** `nothing`: the server gave the task away or deleted it, so there is nobody to tell. */
export type Report =
  | { readonly kind: "nothing" }
  | { readonly kind: OutboxKind & ("complete" | "fail" | "cancel-ack"); readonly body: Record<string, unknown> };

const MAX_ERROR_BYTES = 16 * 1024;

export function reportOf(result: RunResult): Report {
  const { stopped, outcome } = result;
  const place = {
    session_id: sessionOf(result),
    work_dir: result.workDir,
    branch_name: result.branch,
    ...(result.retiredSession ? { retired_session_id: result.retiredSession } : {}),
  };
  if (stopped?.kind === "gone") return { kind: "nothing" };
  if (stopped?.kind === "cancelled") {
    return { kind: "cancel-ack", body: { branch_name: result.branch, durable_work_dir: result.workDir } };
  }
  if (stopped?.kind === "time-limit") {
    const error = `The task ran longer than its limit of ${duration(stopped.limitMs)} and was stopped`;
    return failure("timeout", error, place);
  }
  if (stopped?.kind === "silence-limit") {
    const error = `The agent said nothing for ${
      duration(stopped.limitMs)
    } and was stopped; run.silence_limit is the limit`;
    return failure("agent_error.agent_timeout", error, place);
  }
  if (stopped?.kind === "tool-limit") {
    const error = `The agent's tool ${stopped.tool} did not answer within ${
      duration(stopped.limitMs)
    }, and the agent was stopped; run.tool_limit is the limit`;
    return failure("agent_error.agent_timeout", error, place);
  }
  if (stopped?.kind === "shutdown" && outcome.kind !== "completed") {
    return failure("runtime_recovery", "The daemon was stopped while the task was running", place);
  }
  if (outcome.kind === "failed") return failure(outcome.reason, outcome.detail, place);
  const body: Partial<CompleteRequest> = { output: redactText(outcome.output), ...place };
  return { kind: "complete", body };
}

function failure(
  reason: string,
  error: string,
  place: { session_id: string; work_dir: string; branch_name: string; retired_session_id?: string },
): Report {
  const body: Partial<FailRequest> = {
    error: truncateUtf8(redactText(error), MAX_ERROR_BYTES),
    failure_reason: reason,
    // `fail` merges: an absent key keeps what the server has (wire protocol 1.7).
    ...(place.session_id ? { session_id: place.session_id } : {}),
    ...(place.work_dir ? { work_dir: place.work_dir } : {}),
    ...(place.branch_name ? { branch_name: place.branch_name } : {}),
    ...(place.retired_session_id ? { retired_session_id: place.retired_session_id } : {}),
  };
  return { kind: "fail", body };
}

function sessionOf(result: RunResult): string {
  return result.outcome.sessionId || result.sessionId;
}

export function usageBody(provider: string, usage: readonly ModelUsage[]): { usage: WireUsage[] } {
  return {
    usage: usage.map((one) => ({
      provider,
      model: one.model,
      input_tokens: one.inputTokens,
      output_tokens: one.outputTokens,
      cache_read_tokens: one.cacheReadTokens,
      cache_write_tokens: one.cacheWriteTokens,
      cost_usd_ticks: one.costUsdTicks,
    })),
  };
}

function duration(ms: number): string {
  if (ms < 60_000) return `${Math.round(ms / 100) / 10} s`;
  const minutes = Math.round(ms / 60_000);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 6) / 10} h`;
}
