/** What a CLI's JSON lines mean: the small part of the exec-jsonl family that each CLI has to itself. */
import type { FailureReason } from "../core/failure.ts";
import type { AgentMessage, Outcome } from "../core/message.ts";
import type { AgentTask } from "../core/model.ts";
import type { ChildExit } from "../core/ports.ts";
import type { JsonRecord } from "./json_fields.ts";
import { failed } from "./session.ts";

/** What one line means. */
export interface DialectStep {
  readonly messages: readonly AgentMessage[];
  /** The line settled the run; nothing is read after it. */
  readonly outcome?: Outcome;
}

/** Of one run. */
export interface DialectReader {
  /** Throws nothing, whatever the line holds. */
  accept(event: JsonRecord): DialectStep;
  /** A line that is no JSON object, for a CLI that prints one document over many; `undefined`: it means nothing here either. */
  other?(line: string): DialectStep | undefined;
  /** The end of output without a line that settled the run. `detail` describes the exit and the end of stderr. */
  end(exit: ChildExit | undefined, detail: string, stderr: string): Outcome;
}

export interface Dialect {
  open(task: AgentTask): DialectReader;
}

export const NOTHING: DialectStep = { messages: [] };

/** Why a CLI gave up before it said anything on its output. */
export interface EarlyEnd {
  readonly reason: FailureReason;
  /** The session that was to be continued is not there or not ours. */
  readonly resumeRejected?: true;
}

/** One by what it says on stderr, where no field and no code tells. */
export interface LastWords extends EarlyEnd {
  readonly says: RegExp;
}

/** The first of the table that fits; a rejected session only where one was to be continued. */
export function earlyEndIn(table: readonly LastWords[], stderr: string, task: AgentTask): EarlyEnd | undefined {
  return table.find(({ says, resumeRejected }) =>
    says.test(stderr) && (!resumeRejected || task.resumeSession !== undefined)
  );
}

/** How a run ended that never came to its last line. */
export function endedEarly(
  exit: ChildExit | undefined,
  detail: string,
  { sessionId, why }: { sessionId?: string | undefined; why?: EarlyEnd | undefined } = {},
): Outcome {
  const silent = exit?.code === 0 ? "agent_error.empty_or_unparseable_output" : "agent_error.process_failure";
  const text = `The agent ended without a result. ${detail}`;
  return {
    ...failed(why?.reason ?? silent, text, sessionId),
    ...(why?.resumeRejected ? { resumeRejected: true } : {}),
  };
}
