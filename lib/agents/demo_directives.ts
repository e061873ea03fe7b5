/** The words in a prompt that make the demo agent misbehave in a known way, for tests and for trying drover out. */

/**
 * `@demo:NAME` or `@demo:NAME=NUMBER`, anywhere in the prompt, any number of them:
 *
 * | directive | what the agent does |
 * |---|---|
 * | `fast` | makes no pauses |
 * | `ask=N` | asks N times at once to be allowed something, and says what it was told |
 * | `sleep=MS` | is silent for so long after it has looked around |
 * | `flood=N` | says N short texts |
 * | `garbage` | prints lines that are no JSON, and bytes that are no text |
 * | `huge-line=BYTES` | has a tool answer of that size, which is one line |
 * | `grandchild` | leaves a process in a session of its own that holds its stdout (Linux) |
 * | `ignore-term` | ignores SIGTERM from now on |
 * | `fail` or `fail=STATUS` | ends with the result line of a provider failure (500 unless told), and code 1 |
 * | `exit=CODE` | exits without a result line |
 * | `signal` | is killed by SIGKILL |
 * | `hang` | never says anything again |
 */
const NAMES = [
  "fast",
  "ask",
  "sleep",
  "flood",
  "garbage",
  "huge-line",
  "grandchild",
  "ignore-term",
  "fail",
  "exit",
  "signal",
  "hang",
] as const;

export type DirectiveName = typeof NAMES[number];

/** The number of each directive that is there; 0 where none was given. */
export type Directives = ReadonlyMap<DirectiveName, number>;

export function parseDirectives(prompt: string): Directives {
  const found = new Map<DirectiveName, number>();
  for (const [, name, value] of prompt.matchAll(/@demo:([a-z-]+)(?:=(\d+))?/g)) {
    const known = NAMES.find((candidate) => candidate === name);
    if (known) found.set(known, Number(value ?? 0));
  }
  return found;
}
