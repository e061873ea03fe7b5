/** Reading fields of JSON that a program of somebody else wrote: what is missing or of another type is simply absent. */

export type JsonRecord = Readonly<Record<string, unknown>>;

/** The value as an object; an empty one for anything else. */
export function recordOf(value: unknown): JsonRecord {
  return isRecord(value) ? value : {};
}

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The value as text; empty for anything else. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** A finite number, else 0. */
export function numberOf(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

/** The line as an object; `undefined` for what is no JSON or no object. */
export function parseRecord(line: string): JsonRecord | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Of a list of content blocks, text as it is; of anything else (images, references) only what it is. */
export function contentText(content: unknown): string {
  if (typeof content === "string") return content;
  return listOf(content).map((block) => {
    const { type, text } = recordOf(block);
    return type === "text" ? textOf(text) : `[${textOf(type) || "something that is not text"}]`;
  }).join("\n");
}
