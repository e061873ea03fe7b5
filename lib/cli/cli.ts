/** The way from a command line to an exit code: which verb it names, what it gives it, and what its errors become. */
import { BUILD } from "../core/build_info.ts";
import { DroverError } from "../core/drover_error.ts";
import { platformRefusal } from "../core/platform.ts";
import type { Host } from "../core/ports.ts";
import { findHome } from "../app/home_dir.ts";
import { closest, leadingWords, parseCommand } from "./args.ts";
import type { Parsed } from "./command.ts";
import { EXIT_CODES, exitCodeFor } from "./exit_code.ts";
import { commandHelp, groupHelp, overview } from "./help.ts";
import { createOutput, errorText, errorView } from "./output.ts";
import { findCommand, isGroup, loadGroup, type NamedCommand, VERBS } from "./verbs.ts";

/** What is said about an error, where, and what the process ends with. */
export interface Failure {
  readonly stream: "out" | "err";
  readonly text: string;
  readonly code: number;
}

/** Runs one command line; never throws. */
export async function runCli(argv: readonly string[], host: Host): Promise<number> {
  try {
    return await dispatch(argv, host);
  } catch (error) {
    const { stream, text, code } = failureOf(error, argv);
    host.terminal[stream](text);
    return code;
  }
}

/** Where drover cannot run at all; `os` as Deno names it. */
export function refusalOn(os: string, argv: readonly string[]): Failure | undefined {
  const refusal = platformRefusal(os);
  return refusal && failureOf(refusal, argv);
}

function failureOf(error: unknown, argv: readonly string[]): Failure {
  const json = argv.includes("--json") && !argv.slice(0, argv.indexOf("--json")).includes("--");
  const view = errorView(error);
  return { stream: json ? "out" : "err", text: errorText(view, { json }), code: exitCodeFor(view.code) };
}

async function dispatch(argv: readonly string[], host: Host): Promise<number> {
  const leading = leadingWords(argv, 3);
  const words = leading.map(({ word }) => word);
  const [first, second] = words;
  if (first === undefined || first === "help" || first === "--help" || first === "-h") {
    return await showHelp(words.slice(first === "help" ? 1 : words.length), host);
  }
  if (first === "--version" || first === "-V") return await dispatch(argv.with(leading[0]!.index, "version"), host);
  const found = await findCommand(words);
  if (!found) {
    if (isGroup(first)) {
      if (second === undefined || second === "--help" || second === "-h") {
        host.terminal.out(groupHelp(first, await loadGroup(first)));
        return second === undefined ? EXIT_CODES.usage.code : EXIT_CODES.ok.code;
      }
      throw unknownInGroup(first, second);
    }
    throw unknownCommand(first);
  }
  const { command, length } = found;
  const places = leading.slice(0, length).map(({ index }) => index);
  const args = parse(command, { argv, places });
  if (args.switches.has("help")) {
    host.terminal.out(commandHelp(command));
    return EXIT_CODES.ok.code;
  }
  const output = createOutput(host, { json: args.switches.has("json") });
  return await command.run({ host, home: () => findHome(host, args.values.profile), output, args, argv });
}

/** `drover --json tasks list` and `drover tasks list --json` are the same. What follows a hidden verb is the verb's alone. */
function parse(
  command: NamedCommand,
  { argv, places }: { argv: readonly string[]; places: readonly number[] },
): Parsed {
  if (!command.hidden) return parseCommand(command, argv.filter((_, index) => !places.includes(index)));
  const end = places.at(-1)!;
  return { ...parseCommand(command, argv.slice(0, end)), positional: argv.slice(end + 1) };
}

function unknownCommand(name: string): DroverError {
  const names = Object.entries(VERBS).filter(([, { hidden }]) => !hidden).map(([name]) => name);
  const close = closest(name, [...names, ...names.map((known) => known.split(" ")[0]!)]);
  return new DroverError("usage", `Unknown command "${name}"`, {
    hint: close ? `did you mean drover ${close}?` : "drover --help lists the commands",
  });
}

/** Only the second word can be wrong: with the first one in the comparison, everything in the group would be near. */
function unknownInGroup(group: string, word: string): DroverError {
  const words = Object.keys(VERBS).filter((name) => name.startsWith(`${group} `)).map((name) => name.split(" ")[1]!);
  const close = closest(word, words);
  return new DroverError("usage", `Unknown command "${group} ${word}"`, {
    hint: close ? `did you mean drover ${group} ${close}?` : `choose from: drover ${group} ${words.join(", ")}`,
  });
}

async function showHelp(words: readonly string[], host: Host): Promise<number> {
  const found = await findCommand(words);
  if (found && !found.command.hidden) host.terminal.out(commandHelp(found.command));
  else if (words[0] !== undefined && isGroup(words[0])) {
    host.terminal.out(groupHelp(words[0], await loadGroup(words[0])));
  } else if (words[0] !== undefined) throw unknownCommand(words.join(" "));
  else host.terminal.out(overview(BUILD.version));
  return EXIT_CODES.ok.code;
}
