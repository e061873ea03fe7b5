/** How one CLI's Agent Client Protocol differs from the rule: what a row says beyond the protocol itself. */
import type { Permission } from "../core/model.ts";

export interface AcpOptions {
  /** How an earlier session is taken up; `none`: it cannot be, and a fresh one is begun. */
  readonly resume: "load" | "resume" | "none";
  /** Session mode set right after the session was opened, by permission. */
  readonly modes?: Readonly<Partial<Record<Permission, string>>>;
  /** Whether a model is set by `session/set_model`; absent: the CLI is told by its arguments, or not at all. */
  readonly setModel?: true;
  /** The client reads and writes files for the agent. */
  readonly files?: true;
}
