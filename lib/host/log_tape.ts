/** Writing the log with LogTape: a rotated JSON-lines file or stderr, secrets blotted out. Loaded by `log.ts` when there is one to write. */
import {
  configure,
  dispose,
  getJsonLinesFormatter,
  getLogger as getTapeLogger,
  getTextFormatter,
  type LogRecord,
  reset,
  type Sink,
  type TextFormatter,
} from "@logtape/logtape";
import { getRotatingFileSink } from "@logtape/file";
import { redactByPattern } from "@logtape/redaction";
import type { LogFields, Logger, LogSetup, Terminal } from "../core/ports.ts";
import { REDACTIONS } from "../core/redact.ts";

const MAX_BYTES = 5 * 1024 * 1024;
const MAX_FILES = 3;
const ROOT = "drover";

/** `name` is a dotted path below the root category. */
export function tapeLogger(name: string): Logger {
  const tape = getTapeLogger([ROOT, ...name.split(".")]);
  // LogTape reads braces in a message as placeholders; ours are constant sentences, so they hold none.
  const at = (level: "debug" | "info" | "warn" | "error" | "fatal") => (message: string, fields?: LogFields) =>
    tape[level](message, fields ? { ...fields } : {});
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error"), critical: at("fatal") };
}

/** Disposing flushes and stops. */
export async function writeLog(options: LogSetup, terminal: Terminal): Promise<AsyncDisposable> {
  await configure({
    reset: true,
    sinks: sinksFor(options, terminal),
    loggers: [
      {
        category: ROOT,
        lowestLevel: options.level,
        sinks: Object.keys(sinksNamed(options)) as ("file" | "stderr")[],
      },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: [] },
    ],
  });
  return {
    async [Symbol.asyncDispose]() {
      await dispose();
      await reset();
    },
  };
}

function sinksNamed(options: LogSetup): Partial<Record<"file" | "stderr", true>> {
  return { ...(options.file ? { file: true as const } : {}), ...(options.stderr ? { stderr: true as const } : {}) };
}

function sinksFor(options: LogSetup, terminal: Terminal): Record<"file" | "stderr", Sink> {
  const quiet: Sink = () => {};
  return {
    file: options.file ? guarded(fileSink(options.file)) : quiet,
    stderr: options.stderr ? stderrSink(terminal) : quiet,
  };
}

function fileSink(path: string): Sink & Disposable {
  return getRotatingFileSink(path, {
    formatter: redacted(getJsonLinesFormatter({ properties: "flatten" })),
    maxSize: MAX_BYTES,
    maxFiles: MAX_FILES,
    // A log that a crash cut short is what the log is for.
    bufferSize: 0,
  });
}

/** A full disk makes every write throw, which uncaught would end the daemon: the record is lost, the daemon goes on. */
function guarded(sink: Sink & Disposable): Sink & Disposable {
  const safe = (record: LogRecord) => {
    try {
      sink(record);
    } catch {
      // Nowhere to say it.
    }
  };
  return Object.assign(safe, { [Symbol.dispose]: () => sink[Symbol.dispose]() });
}

function stderrSink(terminal: Terminal): Sink {
  const format = redacted(getTextFormatter({
    timestamp: "time",
    format: ({ timestamp, level, category, message, record }) => {
      const fields = Object.entries(record.properties).map(([key, value]) => ` ${key}=${show(value)}`).join("");
      return `${timestamp} ${level} ${category.replace(/^drover·?/, "")}: ${message}${fields}`;
    },
  }));
  return (record) => terminal.err(format(record));
}

function show(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? String(value);
  return /[\s"]/.test(text) && typeof value === "string" ? JSON.stringify(text) : text;
}

function redacted(formatter: TextFormatter): TextFormatter {
  return redactByPattern(formatter, REDACTIONS.map(({ pattern, replacement }) => ({ pattern, replacement })));
}
