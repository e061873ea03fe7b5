/** How the agent of each row says things, for the tests that every adapter must pass. */

export interface Speaker {
  readonly provider: string;
  /** What it prints before it can say anything: the answers to a handshake, whose requests are numbered from 1. */
  readonly begin?: string;
  /** One short text as a whole line. */
  say(text: string): string;
  /** What it prints when it is done, before it exits with code 0. */
  readonly done: string;
}

function line(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

/** Each protocol family and each dialect once, under the name of a row that speaks it. */
export const SPEAKERS: readonly Speaker[] = [
  {
    provider: "claude",
    say: (text) => line({ type: "assistant", message: { content: [{ type: "text", text }] } }),
    done: line({ type: "result", subtype: "success", is_error: false, result: "done" }),
  },
  { provider: "llm", say: (text) => `${text}\n`, done: "done\n" },
];
