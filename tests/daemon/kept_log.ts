/** A logger that keeps what it is told, for tests that ask what was said. */
import type { LogFields, Logger } from "../../lib/core/ports.ts";

export interface LogRecord {
  readonly level: "debug" | "info" | "warn" | "error" | "critical";
  readonly message: string;
  readonly fields: LogFields;
}

export interface KeptLog extends Logger {
  readonly records: LogRecord[];
  /** The sentences of one level. */
  said(level: LogRecord["level"]): string[];
}

export function keptLog(): KeptLog {
  const records: LogRecord[] = [];
  const at = (level: LogRecord["level"]) => (message: string, fields: LogFields = {}) => {
    records.push({ level, message, fields });
  };
  return {
    records,
    said: (level) => records.filter((record) => record.level === level).map((record) => record.message),
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    critical: at("critical"),
  };
}
