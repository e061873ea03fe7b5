/** The pieces a prompt is made of: texts of other people between marks, cut to what an agent can use, and who wrote them. */
import { truncateUtf8 } from "../core/redact.ts";

/** Empty and absent parts leave no trace. */
export type Part = string | undefined;

export function joined(parts: readonly Part[], between = "\n\n"): string {
  return parts.filter((part) => part?.trim()).join(between);
}

/**
 * Between marks, so that the agent can tell what somebody wrote from what it is told. Without `maxBytes` nothing is cut.
 * `undefined` for a text that says nothing.
 */
export function quoted(mark: string, text: string, maxBytes = Infinity): Part {
  if (text.trim() === "") return undefined;
  // A text that holds the mark itself must not end it.
  const safe = text.trim().replaceAll(`</${mark}>`, `</ ${mark}>`);
  return `<${mark}>\n${truncateUtf8(safe, maxBytes)}\n</${mark}>`;
}

export function section(title: string, ...parts: readonly Part[]): Part {
  const text = joined(parts);
  return text === "" ? undefined : `## ${title}\n\n${text}`;
}

export function list(items: readonly string[]): string {
  return items.map((item) => `- ${item}`).join("\n");
}

/** One line, for places where a line break would look like our own words. */
export function line(text: string, maxBytes = 500): string {
  return truncateUtf8(text.replace(/\s+/g, " ").trim(), maxBytes);
}

const KINDS: Readonly<Record<string, string>> = { member: "a member of the team", agent: "another agent" };

/** `Ada (a member of the team)`, as much of it as is known. */
export function author(name: string, type: string): string {
  const kind = KINDS[type];
  if (name.trim() === "") return kind ?? "somebody";
  return type === "agent" ? `${line(name)} (${kind})` : line(name);
}
