/** What counts as a secret in text, and how it is blotted out of messages and logs before they are kept or sent. */

export interface Redaction {
  /** Always global: every occurrence counts. */
  readonly pattern: RegExp;
  readonly replacement: string;
}

/** Names of variables that hold secrets. Bounded, or the search would look from every place of a long word to its end. */
const SECRET_NAME = "[A-Z0-9_]{0,64}(?:SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY)[A-Z0-9_]{0,64}";

/** Between such a name and its value. */
const EQUALS = "\\s*=\\s*";
const COLON = `\\\\?["']?\\s*:\\s*`;
/** After a name that is a key: such names are of settings. */
const NO_SECRET = "(?<!TOKENS|_UR[LI])";
/** After a quote, the third group: `"TOKEN="` stands for itself, and its quote opens nothing. */
const OPENS = "(?<!\\3\\1\\s*[=:]\\s*\\3)";
const WORD = `(?:[^\\s"'\\\\]|\\\\(?!["'])){6,}`;

/** In order: a pattern may rely on the ones before it. The lookups in replacements keep what names the secret. */
export const REDACTIONS: readonly Redaction[] = [
  {
    // Without its end it reaches to the next quote at most: in a line of JSON the rest belongs to other fields. The end is
    // not looked for beyond the next beginning, or many without one would each look through all that follows.
    pattern:
      /-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?:(?!-----BEGIN )[\s\S])*?-----END [A-Z ]*PRIVATE KEY-----|[^"']*)/g,
    replacement: "[redacted private key]",
  },
  { pattern: /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g, replacement: "[redacted AWS key]" },
  { pattern: /\bgh[pousr]_[A-Za-z0-9]{20,}\b/g, replacement: "[redacted GitHub token]" },
  { pattern: /\bgithub_pat_[A-Za-z0-9_]{20,}\b/g, replacement: "[redacted GitHub token]" },
  { pattern: /\bglpat-[A-Za-z0-9_-]{16,}/g, replacement: "[redacted GitLab token]" },
  { pattern: /\bxox[abeprs]-[A-Za-z0-9-]{10,}/g, replacement: "[redacted Slack token]" },
  { pattern: /\bAIza[A-Za-z0-9_-]{30,}/g, replacement: "[redacted Google key]" },
  { pattern: /\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}\b/g, replacement: "[redacted Stripe key]" },
  { pattern: /\bsk-[A-Za-z0-9_-]{16,}/g, replacement: "[redacted API key]" },
  { pattern: /\bm(?:at|ul|dt|cn)_[0-9a-f]{40}\b/g, replacement: "[redacted token]" },
  {
    pattern: /\beyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{8,2000}/g,
    replacement: "[redacted JWT]",
  },
  { pattern: /\b(Bearer)\s+[A-Za-z0-9._~+/=-]{16,}/gi, replacement: "$1 [redacted]" },
  // Quotes end an address, or the match would run from one field of a line of JSON into the next; the bounds keep the
  // search linear on long text without spaces.
  {
    pattern: /\b([a-z][a-z0-9+.-]{0,30}:\/\/[^\s:/@"'<>\\]{1,256}):[^\s@/"'<>\\]{1,256}@/gi,
    replacement: "$1:[redacted]@",
  },
  {
    // A quote, also one of JSON within JSON, ends the value and stays. With ' the next " ends it too: in a line of JSON the
    // rest belongs to other fields.
    pattern: new RegExp(
      `\\b(${SECRET_NAME})(${EQUALS}|${NO_SECRET}${COLON})(\\\\?(["']))${OPENS}(?!\\[redacted|[\\s,;:)}\\]])` +
        `(?:(?!\\4)[^\\\\\\n"]|\\\\(?!\\4|")){6,1000}(?=\\\\?\\4)`,
      "g",
    ),
    replacement: "$1$2$3[redacted]",
  },
  {
    // Without spaces it may be of any length and begin with anything.
    pattern: new RegExp(
      `\\b(${SECRET_NAME})(${EQUALS})(?:(\\\\?(["']))${OPENS}(?!\\[redacted)${WORD}(?=\\\\?\\4)|(?!\\[redacted)${WORD})`,
      "g",
    ),
    replacement: "$1$2$3[redacted]",
  },
];

/** A key of JSON that names a secret the way an environment variable does. */
const SECRET_KEY = new RegExp(`^${SECRET_NAME}${NO_SECRET}$`);

/** One cheap look that lets ordinary text pass: every pattern above needs one of these. */
const SUSPICIOUS =
  /PRIVATE KEY|A[KS]IA|gh[pousr]_|github_pat_|glpat-|xox|AIza|[rs]k_|sk-|m(?:at|ul|dt|cn)_|eyJ|bearer|:\/\/[^\s/@]{1,600}@|SECRET|TOKEN|PASSW|KEY/i;

export function redactText(text: string): string {
  if (!SUSPICIOUS.test(text)) return text;
  return REDACTIONS.reduce((all, { pattern, replacement }) => all.replace(pattern, replacement), text);
}

/** The same for every string inside a JSON value, keys untouched; a value whose key names a secret is one. */
export function redactValue<T>(value: T): T {
  if (typeof value === "string") return redactText(value) as T;
  if (Array.isArray(value)) return value.map((item) => redactValue(item)) as T;
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, redactField(key, item)])) as T;
  }
  return value;
}

function redactField(key: string, value: unknown): unknown {
  return typeof value === "string" && value.length >= 6 && SECRET_KEY.test(key) ? "[redacted]" : redactValue(value);
}

/** A word that may still grow is looked at as far back as this: longer than any secret that a pattern knows, keys aside. */
const MAX_WORD = 4 * 1024;
/** The longest private keys in use have some 13,000 characters. */
const MAX_KEY = 16 * 1024;
/** What makes the next word a secret. */
const INTRODUCTION = new RegExp(
  `(?:\\\\?["'])?\\b(?:[Bb]earer\\s+|BEARER\\s+|${SECRET_NAME}(?:\\s*|${EQUALS}|\\\\?["']?\\s*|${COLON}|` +
    `(?:${EQUALS}|${COLON})\\\\?(["'])(?:(?!\\1)[^\\n])*))$`,
);
const OPEN_KEY =
  /-----BEGIN (?:[A-Z ]*PRIVATE KEY-----(?![\s\S]*-----END [A-Z ]*PRIVATE KEY-----)|[A-Z ]{0,40}-{0,4}$)/;

/**
 * How much of a text that is still being written can be passed on: at its end a secret may stand half written, and
 * neither half would be known as one.
 */
export function settledLength(text: string): number {
  const settled = lastWordAt(text);
  const begin = Math.max(0, settled - MAX_KEY);
  const key = OPEN_KEY.exec(text.slice(begin, settled));
  return key ? begin + key.index : settled;
}

function lastWordAt(text: string): number {
  let start = text.length;
  while (start > 0 && !/\s/.test(text[start - 1]!)) start--;
  // Text without spaces must not be held for ever.
  if (text.length - start > MAX_WORD) return text.length;
  const before = text.slice(Math.max(0, start - 200), start);
  return start - (INTRODUCTION.exec(before)?.[0].length ?? 0);
}

/** Cuts a text to at most `maxBytes` of UTF-8 without splitting a character, and says how much is missing if that fits. */
export function truncateUtf8(text: string, maxBytes: number): string {
  // A UTF-16 unit is at most 3 bytes of UTF-8: short strings need no measuring.
  if (text.length * 3 <= maxBytes) return text;
  const encoder = new TextEncoder();
  const bytes = encoder.encode(text);
  if (bytes.length <= maxBytes) return text;
  const said = ` …[${bytes.length - maxBytes}+ bytes cut]`;
  const room = maxBytes - encoder.encode(said).length;
  let end = Math.max(0, room < 0 ? maxBytes : room);
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return new TextDecoder().decode(bytes.subarray(0, end)) + (room < 0 ? "" : said);
}
