/** What a command prints: text for people, or exactly one JSON object on stdout, its result or its error. */
import { bold, cyan, dim, green, magenta, red, setColorEnabled, yellow } from "@std/fmt/colors";
import { DroverError } from "../core/drover_error.ts";
import { type Host, HostError } from "../core/ports.ts";

export const JSON_SCHEMA = 1;

export const paint = { bold, cyan, dim, green, magenta, red, yellow } as const;

export interface Output {
  readonly json: boolean;
  /** A line for people on stdout; nothing in JSON mode. */
  line(text?: string): void;
  /** Progress and remarks: stderr in both modes. */
  note(text: string): void;
  /** The command's one result: an object in JSON mode, `human` otherwise. */
  result(object: Record<string, unknown>, human?: () => void): void;
}

export function createOutput(host: Host, options: { json: boolean }): Output {
  const { terminal } = host;
  setColorEnabled(terminal.color && !options.json);
  return {
    json: options.json,
    line: (text = "") => {
      if (!options.json) terminal.out(text + "\n");
    },
    note: (text) => terminal.err(text + "\n"),
    result(object, human) {
      if (options.json) {
        terminal.out(JSON.stringify({ schemaVersion: JSON_SCHEMA, ok: true, ...object }, null, 2) + "\n");
      } else human?.();
    },
  };
}

/** In JSON mode the whole of it; people get the message and the hint. */
export interface ErrorView {
  /** One of a closed list, each with its exit code. */
  readonly code: string;
  readonly message: string;
  /** The step that failed, of a verb that has several. */
  readonly phase: string | null;
  /** Whether the same command may well succeed in a moment. */
  readonly retryable: boolean;
  readonly hint?: string;
  /** What led to it, innermost last. */
  readonly cause: readonly string[];
  readonly details: Readonly<Record<string, unknown>>;
}

const REPORT = "this is a bug in drover: please report it with the text above";

/** Any throw as what a person needs; a bug of ours keeps its stack. */
export function errorView(error: unknown): ErrorView {
  const bare = { phase: null, retryable: false, cause: causesOf(error), details: {} };
  if (error instanceof DroverError) {
    const { code, message, phase = null, retryable, hint, details } = error;
    return { ...bare, code, message, phase, retryable, ...(hint ? { hint } : {}), details };
  }
  if (error instanceof HostError) return { ...bare, code: "internal", message: error.message };
  const text = error instanceof Error ? error.stack ?? error.message : String(error);
  return { ...bare, code: "internal", message: text, hint: REPORT };
}

function causesOf(error: unknown): string[] {
  const causes: string[] = [];
  for (let at = error instanceof Error ? error.cause : undefined; at !== undefined && causes.length < 5;) {
    causes.push(at instanceof Error ? at.message : String(at));
    at = at instanceof Error ? at.cause : undefined;
  }
  return causes;
}

/** With its line end: one JSON object, which goes where the result would have gone, or the error and under it the hint. */
export function errorText(view: ErrorView, options: { json: boolean }): string {
  if (options.json) return JSON.stringify({ schemaVersion: JSON_SCHEMA, ok: false, error: view }) + "\n";
  return `drover: ${view.message}\n${view.hint ? `  ${view.hint}\n` : ""}`;
}

/** Columns padded to their widest cell; the last one is not. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => widths[i] = Math.max(widths[i] ?? 0, cell.length));
  return rows.map((row) =>
    row.map((cell, i) => i === row.length - 1 ? cell : cell.padEnd(widths[i]!)).join("  ").trimEnd()
  );
}

/** One line, at most `width` characters. */
export function oneLine(text: string, width: number): string {
  const flat = text.replace(/\s+/g, " ").trim();
  return flat.length <= width ? flat : flat.slice(0, Math.max(0, width - 1)) + "…";
}

/** A text from elsewhere, made safe for a terminal: no control characters but newline and tab. */
export function plain(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "");
}
