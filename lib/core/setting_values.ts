/** What stands behind a setting: its row in the table, and how texts and JSON become its value. */
import { isNamePattern } from "./secret_variables.ts";

export interface Row<T> {
  /** Dotted, as it stands in `config.json`. */
  readonly key: string;
  readonly variable: string;
  /** A second variable, a switch: `1` or `true` means this value, `0` or `false` is as if it were not set. */
  readonly shorthand?: { readonly variable: string; readonly value: string };
  readonly fallback: T;
  readonly parse: (value: unknown) => T | undefined;
  /** As it stands in the file and is shown to people; `parse` takes it back. */
  readonly write: (value: T) => string | number | boolean;
  readonly range: string;
  /** All there is to choose from, where that is a handful of words. */
  readonly choices?: readonly string[];
}

/** The row of a setting that is true or false. */
export function onOrOff(key: string, variable: string, fallback: boolean): Row<boolean> {
  return {
    key,
    variable,
    fallback,
    parse: trueOrFalse,
    write: (value) => value,
    range: "true or false",
    choices: ["true", "false"],
  };
}

export function integer(min: number, max: number): (value: unknown) => number | undefined {
  return (value) => {
    const number = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
    return typeof number === "number" && Number.isInteger(number) && number >= min && number <= max
      ? number
      : undefined;
  };
}

/** One text with commas, or a list of texts, as a file may have it. */
export function namesOf(value: unknown): readonly string[] | undefined {
  const parts: readonly unknown[] | undefined = typeof value === "string"
    ? value.split(",").map((part) => part.trim()).filter(Boolean)
    : Array.isArray(value)
    ? value
    : undefined;
  return parts?.every((part): part is string => typeof part === "string" && isNamePattern(part)) ? parts : undefined;
}

function trueOrFalse(value: unknown): boolean | undefined {
  return [true, false].find((one) => value === one || value === String(one));
}

export function durationOf(value: unknown, minMs: number): number | undefined {
  const ms = typeof value === "string" || typeof value === "number" ? parseDuration(String(value)) : undefined;
  return ms !== undefined && ms >= minMs ? ms : undefined;
}

const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `30m`, `2h`, `1d`, `500ms` in ms; `undefined` for anything else, zero included. */
export function parseDuration(text: string): number | undefined {
  const found = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim());
  if (!found) return undefined;
  const ms = Math.round(Number(found[1]) * UNITS[found[2]!]!);
  return ms > 0 ? ms : undefined;
}

/** The inverse of `parseDuration`, in the largest unit that needs no fraction. */
export function formatDuration(ms: number): string {
  const units = Object.entries(UNITS).reverse();
  const [unit, size] = units.find(([, size]) => ms % size === 0) ?? ["ms", 1];
  return `${ms / size}${unit}`;
}
