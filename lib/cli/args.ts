/** Reading a command line against a verb's options: unknown words are errors that name what was probably meant. */
import { parseArgs } from "@std/cli/parse-args";
import { DroverError } from "../core/drover_error.ts";
import type { Command, OptionSpec, Parsed } from "./command.ts";

/** Every verb has these. */
export const COMMON_OPTIONS: readonly OptionSpec[] = [
  { name: "profile", value: "NAME", summary: "use the home of this profile (also DROVER_PROFILE)" },
  { name: "json", summary: "print one JSON object on stdout, the result or the error" },
  { name: "help", short: "h", summary: "show this help" },
];

/**
 * The words that can name a verb, at most `count`, with their places: options that every verb has may stand before and
 * between them.
 */
export function leadingWords(argv: readonly string[], count: number): { word: string; index: number }[] {
  const found: { word: string; index: number }[] = [];
  for (let index = 0; index < argv.length && found.length < count; index++) {
    const word = argv[index]!;
    if (word === "--profile") index++;
    else if (word !== "--json" && !word.startsWith("--profile=")) found.push({ word, index });
  }
  return found;
}

/** Throws `usage`. */
export function parseCommand(command: Command, args: readonly string[]): Parsed {
  const options = [...command.options, ...COMMON_OPTIONS];
  const usage = (message: string, hint = `drover ${command.name} --help shows what it takes`) =>
    new DroverError("usage", message, { hint });
  const withoutValue = ({ name, value }: OptionSpec) => usage(`The option --${name} needs a value: --${name} ${value}`);
  const valued = options.filter((option) => option.value).map((option) => option.name);
  const optional = options.filter(takesValueOrNone).map((option) => option.name);
  const parsed = parseArgs(withDashesJoined(withOptionalJoined(args, optional), valued), {
    boolean: options.filter((option) => !option.value).map((option) => option.name),
    string: [...valued, "_"],
    // Each as a list, or of two values the last would win in silence.
    collect: valued,
    alias: Object.fromEntries(options.filter((option) => option.short).map((option) => [option.short!, option.name])),
    unknown: (arg, key) => {
      if (key === undefined) return true;
      const bare = options.find((option) => option.value && arg === `--${option.name}=`);
      if (bare) throw withoutValue(bare);
      const close = closest(key, options.map((option) => option.name));
      throw usage(
        `Unknown option ${arg.split("=")[0]} of drover ${command.name}`,
        close ? `did you mean --${close}?` : undefined,
      );
    },
  });
  const positional = parsed._.map(String);
  const values: Record<string, string> = {};
  const lists: Record<string, readonly string[]> = {};
  const switches = new Set<string>();
  for (const option of options) {
    const value = parsed[option.name];
    if (!option.value) {
      if (value === true) switches.add(option.name);
      continue;
    }
    const all = Array.isArray(value) ? value.map(String) : [];
    const [first, ...more] = all;
    if (first === undefined) continue;
    if (option.repeatable) {
      if (all.includes("")) throw withoutValue(option);
      lists[option.name] = all;
      continue;
    }
    if (more.length > 0) throw usage(`The option --${option.name} was given more than once`);
    if (first === "") throw withoutValue(option);
    if (first === NO_VALUE) switches.add(option.name);
    else values[option.name] = first;
  }
  if (!switches.has("help")) checkOperands(command, positional, usage);
  return { positional, values, switches, lists };
}

/** It may stand alone, as a switch does: its placeholder is in brackets. */
export function takesValueOrNone({ value }: OptionSpec): boolean {
  return value?.startsWith("[") ?? false;
}

/** No word of a command line can be this. */
const NO_VALUE = "\0";
/** What else follows such an option is not its value. */
const OPTIONAL_VALUE = /^(https?|wss?):\/\//i;

/** `--server URL` as `--server=URL`, and `--server` alone as what it is. */
function withOptionalJoined(args: readonly string[], optional: readonly string[]): string[] {
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const isOptional = (index: number) => index < end && optional.some((name) => args[index] === `--${name}`);
  const joins = (index: number) => isOptional(index) && index + 1 < end && OPTIONAL_VALUE.test(args[index + 1]!);
  return args.flatMap((word, index) => {
    if (index > 0 && joins(index - 1)) return [];
    if (!isOptional(index)) return [word];
    return [`${word}=${joins(index) ? args[index + 1] : NO_VALUE}`];
  });
}

/** `--token -` as `--token=-`: a dash alone stands for standard input, and the parser would take it for an operand. */
function withDashesJoined(args: readonly string[], valued: readonly string[]): string[] {
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const joins = (index: number) =>
    index + 1 < end && args[index + 1] === "-" && valued.some((name) => args[index] === `--${name}`);
  return args.flatMap((word, index) => {
    if (joins(index)) return [`${word}=-`];
    return index > 0 && joins(index - 1) ? [] : [word];
  });
}

function checkOperands(command: Command, positional: readonly string[], usage: (message: string) => DroverError): void {
  const { minOperands = 0, maxOperands = 0, name, operands = "" } = command;
  if (positional.length < minOperands) throw usage(`drover ${name} needs ${operands}`);
  if (positional.length > maxOperands) {
    const extra = positional.slice(maxOperands).join(" ");
    throw usage(
      maxOperands === 0
        ? `drover ${name} takes no operand, got "${extra}"`
        : `drover ${name} takes ${operands} only, got "${extra}" besides (quote a text of several words)`,
    );
  }
}

/** The candidate that differs least, when it differs little. */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates.map((candidate) => ({ candidate, far: distance(word, candidate) }))
    .sort((a, b) => a.far - b.far);
  const best = ranked[0];
  return best && best.far <= Math.max(1, Math.floor(word.length / 3)) ? best.candidate : undefined;
}

/** How many letters are to be changed, added, left out or swapped with their neighbour. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) next[j] = Math.min(next[j]!, before[j - 2]! + 1);
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}
