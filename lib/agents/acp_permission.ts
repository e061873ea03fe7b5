/** Answers to the permission requests of the Agent Client Protocol, whose options each agent names as it likes. */
import { type JsonRecord, listOf, recordOf, textOf } from "./json_fields.ts";

/** Kinds of tools that change nothing. */
const READING_KINDS: ReadonlySet<string> = new Set(["read", "search", "fetch", "think"]);

export function reads(kind: string): boolean {
  return READING_KINDS.has(kind);
}

/** For one time before for ever: each request is decided by itself. */
const WANTED = {
  allow: ["allow_once", "allow_always"],
  deny: ["reject_once", "reject_always"],
} as const;

export const CANCELLED: JsonRecord = { outcome: { outcome: "cancelled" } };

/** By the kind of an option, never by its id or place. An agent that offers none of the kind is told `cancelled`. */
export function permissionAnswer(options: unknown, allow: boolean): JsonRecord {
  const offered = listOf(options).map(recordOf);
  const chosen = WANTED[allow ? "allow" : "deny"]
    .map((kind) => offered.find((option) => option.kind === kind)).find(Boolean);
  return chosen ? { outcome: { outcome: "selected", optionId: textOf(chosen.optionId) } } : CANCELLED;
}
