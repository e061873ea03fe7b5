/** What a CLI's JSON lines mean: the small part of the exec-jsonl family that each CLI has to itself. */
import type { AgentMessage, Outcome } from "../core/message.ts";
import type { AgentTask } from "../core/model.ts";
import type { ChildExit } from "../core/ports.ts";
import type { JsonRecord } from "./json_fields.ts";

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
  /** The end of output without a line that settled the run. `detail` describes the exit and the end of stderr. */
  end(exit: ChildExit | undefined, detail: string, stderr: string): Outcome;
}

export interface Dialect {
  open(task: AgentTask): DialectReader;
}
