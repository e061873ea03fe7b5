/** What can be completed where on a command line, derived from the table of verbs; the shells' scripts are made from it. */
import { rowOf, SETTING_NAMES } from "../core/config.ts";
import { TASK_STATES } from "../core/task_state.ts";
import { COMMON_OPTIONS, takesValueOrNone } from "./args.ts";
import type { Command, OptionSpec } from "./command.ts";
import type { NamedCommand } from "./verbs.ts";

/** What a value or an operand can be. `listed` asks the program, when the key is pressed. */
export type Values =
  | { readonly kind: "anything" }
  | { readonly kind: "directories" }
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "listed"; readonly what: Listed }
  | { readonly kind: "by-first-operand"; readonly words: Readonly<Record<string, readonly string[]>> };

/** `drover __complete WHAT` prints these, one to a line: the word, a tab, what it is. */
export const LISTED = ["tasks", "agents", "profiles", "runtimes", "providers"] as const;
export type Listed = typeof LISTED[number];

export interface CompletedOption {
  readonly name: string;
  readonly short?: string;
  readonly summary: string;
  /** Absent for a switch. */
  readonly values?: Values;
}

/** A place on the command line: at its beginning (`""`), after the first word of several verbs, or after a verb. */
export interface Place {
  readonly verb: string;
  /** The words that lead on. */
  readonly next: readonly { readonly word: string; readonly summary: string }[];
  readonly options: readonly CompletedOption[];
  readonly operands: readonly Values[];
}

/** Hidden verbs are not in it. */
export function completionPlaces(commands: readonly NamedCommand[]): readonly Place[] {
  const shown = commands.filter((command) => !command.hidden);
  const start: Place = {
    verb: "",
    next: unique(shown.map((command) => command.name.split(" ")[0]!)).map((word) => ({
      word,
      summary: shown.find((command) => command.name === word)?.summary ?? `${nextWords(shown, word).join(", ")}`,
    })),
    options: [...COMMON_OPTIONS, { name: "version", summary: "what this drover is" }].map(completedOption),
    operands: [],
  };
  const groups = unique(shown.flatMap(({ name }) => name.includes(" ") ? [name.split(" ")[0]!] : []));
  // A word can be a verb and the beginning of others: then it is one place, with what both have.
  const verbs = shown.filter(({ name }) => !groups.includes(name));
  return [start, ...groups.map((group) => groupPlace(group, shown)), ...verbs.map(verbPlace)];
}

function groupPlace(group: string, commands: readonly NamedCommand[]): Place {
  const next = nextWords(commands, group).map((word) => ({
    word,
    summary: commands.find((command) => command.name === `${group} ${word}`)?.summary ?? "",
  }));
  const itself = commands.find(({ name }) => name === group);
  return {
    ...itself ? verbPlace(itself) : { verb: group, options: COMMON_OPTIONS.map(completedOption), operands: [] },
    next,
  };
}

function verbPlace(command: Command): Place {
  return {
    verb: command.name,
    next: [],
    options: [...command.options, ...COMMON_OPTIONS].map(completedOption),
    operands: (command.operands ?? "").split(" ").filter(Boolean).map((placeholder) => valuesOf(placeholder)),
  };
}

function completedOption(option: OptionSpec): CompletedOption {
  const { name, short, summary } = option;
  const value = takesValueOrNone(option) ? undefined : option.value;
  return {
    name,
    summary,
    ...(short === undefined ? {} : { short }),
    ...(value === undefined ? {} : { values: BY_OPTION[name] ?? valuesOf(value) }),
  };
}

/** Where the placeholder is too general to tell. */
const BY_OPTION: Readonly<Record<string, Values>> = {
  agent: { kind: "listed", what: "agents" },
  profile: { kind: "listed", what: "profiles" },
  effort: { kind: "words", words: ["low", "medium", "high"] },
  status: { kind: "words", words: TASK_STATES },
};

const BY_PLACEHOLDER: Readonly<Record<string, Values>> = {
  DIR: { kind: "directories" },
  TASK: { kind: "listed", what: "tasks" },
  RUNTIME: { kind: "listed", what: "runtimes" },
  AGENT_CLI: { kind: "listed", what: "providers" },
  LEVEL: { kind: "words", words: rowOf("logLevel").choices ?? [] },
  KEY: { kind: "words", words: SETTING_NAMES.map((name) => rowOf(name).key) },
  VALUE: {
    kind: "by-first-operand",
    words: Object.fromEntries(
      SETTING_NAMES.flatMap((name) => rowOf(name).choices ? [[rowOf(name).key, rowOf(name).choices!]] : []),
    ),
  },
};

/** A placeholder in small letters is what is typed, its alternatives parted by bars. */
function valuesOf(placeholder: string): Values {
  const bare = placeholder.replace(/^\[|\]$|\.\.\.$/g, "");
  if (/^[a-z0-9|-]+$/.test(bare)) return { kind: "words", words: bare.split("|") };
  return BY_PLACEHOLDER[bare] ?? { kind: "anything" };
}

function nextWords(commands: readonly NamedCommand[], group: string): string[] {
  return commands.flatMap(({ name }) => name.startsWith(`${group} `) ? [name.slice(group.length + 1)] : []);
}

function unique(words: readonly string[]): string[] {
  return [...new Set(words)];
}
