/** What a check of `drover doctor` is given and what it says: a verdict, a finding, and advice where something can be done. */
import type { Home } from "../core/home.ts";
import type { Observation } from "../core/handshake.ts";
import type { Host } from "../core/ports.ts";
import type { LifecycleRecord } from "../lifecycle/lifecycle_file.ts";
import type { Pidfile, PidfileLook } from "../lifecycle/pidfile.ts";
import type { Hello } from "../wire/control.ts";

/** `problem`: something does not work, or will not. `warning`: it works, and somebody should know. */
export type Verdict = "ok" | "warning" | "problem";

export interface Finding {
  readonly verdict: Verdict;
  /** One line. */
  readonly finding: string;
  /** What to do next; one line. */
  readonly advice?: string;
  /** More lines, for the JSON form and for whoever wants to know. */
  readonly details?: readonly string[];
}

/** What one look at the home found, taken once for all checks. */
export interface Scene {
  readonly host: Host;
  readonly home: Home;
  /** The version this command says it is. */
  readonly version: string;
  readonly lookedAt: PidfileLook;
  readonly record: Pidfile | undefined;
  readonly observation: Observation;
  /** Of whoever answers, as is `status`. */
  readonly hello: Hello | undefined;
  readonly status: Readonly<Record<string, unknown>> | undefined;
  readonly lifecycle: LifecycleRecord;
  /** Whether a start, stop or restart is under way; `unknown` where the lock cannot be tried. */
  readonly restartLock: "free" | "held" | "unknown";
}

export type Check<Subject> = readonly [
  name: string,
  run: (subject: Subject) => Promise<Finding | readonly Finding[]> | Finding | readonly Finding[],
];

export const ok = (finding: string, details?: readonly string[]): Finding => ({ verdict: "ok", finding, details });
export const warning = (finding: string, advice: string, details?: readonly string[]): Finding => ({
  verdict: "warning",
  finding,
  advice,
  details,
});
export const problem = (finding: string, advice: string, details?: readonly string[]): Finding => ({
  verdict: "problem",
  finding,
  advice,
  details,
});

/** `1 file`, `2 files`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
