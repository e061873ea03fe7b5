/** Where a text stops being JSON: all that an error may say of a file with secrets in it, as the engine's own words quote the text. */

export interface JsonFault {
  /** Both from 1. */
  readonly line: number;
  readonly column: number;
}

const SPACE = /[ \t\n\r]*/y;
const TOKEN =
  // deno-lint-ignore no-control-regex
  /[{}[\],:]|"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

type Wanted = "value" | "value or end" | "key" | "key or end" | "colon" | "comma or end";

/** The first character of a token, `0` for a number or a word. */
const TAKEN: Readonly<Record<Wanted, string>> = {
  "value": '{["0',
  "value or end": '{["0]',
  "key": '"',
  "key or end": '"}',
  "colon": ":",
  "comma or end": ",}]",
};

/** `undefined` for a text that is JSON. */
export function jsonFault(text: string): JsonFault | undefined {
  /** How each open object and list is closed. */
  const open: string[] = [];
  let wanted: Wanted = "value";
  let at = 0;
  for (;;) {
    at += matchAt(SPACE, text, at).length;
    const token = matchAt(TOKEN, text, at);
    const kind = '{}[],:"'.includes(token.charAt(0)) ? token.charAt(0) : "0";
    const isOver = token === "" && at === text.length && wanted === "comma or end" && open.length === 0;
    if (isOver) return undefined;
    if (token === "" || !TAKEN[wanted].includes(kind)) return placeOf(text, at);
    if (kind === "," && open.length === 0) return placeOf(text, at);
    if ((kind === "}" || kind === "]") && open.pop() !== kind) return placeOf(text, at);
    if (kind === "{" || kind === "[") open.push(kind === "{" ? "}" : "]");
    wanted = wantedAfter(kind, wanted, open.at(-1));
    at += token.length;
  }
}

function wantedAfter(kind: string, wanted: Wanted, end: string | undefined): Wanted {
  switch (kind) {
    case "{":
      return "key or end";
    case "[":
      return "value or end";
    case ",":
      return end === "}" ? "key" : "value";
    case ":":
      return "value";
    default:
      return wanted.startsWith("key") && kind === '"' ? "colon" : "comma or end";
  }
}

function matchAt(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? "";
}

function placeOf(text: string, at: number): JsonFault {
  const lines = text.slice(0, at).split("\n");
  return { line: lines.length, column: lines.at(-1)!.length + 1 };
}
