/** Logging: `getLogger(name)` with `debug … critical`; LogTape, which writes the records, is loaded when a log is set up. */
import type { LogFields, Logger, Logs, Terminal } from "../core/ports.ts";

type Tape = typeof import("./log_tape.ts");

/** Most commands write no log, and loading LogTape is a fifth of what they cost. */
export function createLogs(terminal: Terminal): Logs {
  let tape: Tape | undefined;
  return {
    getLogger(name) {
      let logger: Logger | undefined;
      const at = (level: keyof Logger) => (message: string, fields?: LogFields) => {
        logger ??= tape?.tapeLogger(name);
        logger?.[level](message, fields);
      };
      return {
        debug: at("debug"),
        info: at("info"),
        warn: at("warn"),
        error: at("error"),
        critical: at("critical"),
      };
    },
    async setup(options) {
      tape = await import("./log_tape.ts");
      return await tape.writeLog(options, terminal);
    },
  };
}
