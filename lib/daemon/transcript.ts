/** The transcript: a private JSON-lines file per task with everything that was passed on, for people to read. */
import type { Files, Logger } from "../core/ports.ts";

export interface Transcript {
  append(records: readonly object[]): void;
  close(): Promise<void>;
}

/** A transcript that cannot be written costs a warning, never the run: the outbox holds what must not be lost. */
export function createTranscript(path: string, options: { files: Files; log: Logger }): Transcript {
  const { files, log } = options;
  let writing: Promise<void> = Promise.resolve();
  let broken = false;
  return {
    append(records) {
      if (broken) return;
      const text = records.map((record) => JSON.stringify(record) + "\n").join("");
      writing = writing.then(() => files.append(path, text)).catch((error) => {
        if (!broken) log.warn("transcript cannot be written", { path, error: (error as Error).message });
        broken = true;
      });
    },
    close: () => writing,
  };
}
