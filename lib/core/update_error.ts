/** Why an update came to nothing: one word for programs, a sentence for people, and what to do next. */
import { DroverError } from "./drover_error.ts";

export type UpdateFault =
  /** The server of releases cannot be reached, or breaks off. */
  | "network"
  /** It answers with what is no release. */
  | "bad-release"
  /** It has none for this machine. */
  | "no-target"
  /** Bytes are not those that were promised. */
  | "integrity"
  | "signature"
  /** This build knows no key that could be asked. */
  | "no-keys"
  | "too-large"
  | "disk"
  /** The new program does not run here. */
  | "preflight"
  | "busy"
  | "not-ours"
  | "older"
  | "quarantined"
  | "unreadable"
  | "pinned"
  | "no-server"
  | "internal";

/** What is refused on purpose, and would be the next time as well. */
const REFUSED: ReadonlySet<UpdateFault> = new Set([
  "no-target",
  "no-keys",
  "not-ours",
  "older",
  "quarantined",
  "unreadable",
  "pinned",
  "no-server",
]);

export class UpdateError extends DroverError {
  constructor(readonly fault: UpdateFault, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(REFUSED.has(fault) ? "update_refused" : fault === "busy" ? "busy" : "update_failed", message, {
      hint: "the installed version goes on as before",
      ...options,
      details: { fault },
    });
  }
}
