/** The verbs as one table, and the way from a command line to an exit code. */
import { BUILD } from "../core/build_info.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Host } from "../core/ports.ts";
import { findHome } from "../app/home_dir.ts";
import { closest, parseCommand } from "./args.ts";
import type { Command } from "./command.ts";
import { agents } from "./commands/agents.ts";
import { completeListed, completions } from "./commands/completions.ts";
import { configGet, configList, configSet, configUnset } from "./commands/config.ts";
import { daemon } from "./commands/daemon.ts";
import { demoAgent } from "./commands/demo_agent.ts";
import { drain, restart, start, stop } from "./commands/lifecycle.ts";
import { logs } from "./commands/logs.ts";
import { run } from "./commands/run.ts";
import { status } from "./commands/status.ts";
import { tasksCancel, tasksFollow, tasksList, tasksMessages, tasksShow } from "./commands/tasks.ts";
import { version } from "./commands/version.ts";
import { EXIT_CODES, exitCodeFor } from "./exit_code.ts";
import { commandHelp, groupHelp, overview } from "./help.ts";
import { createOutput, errorView, printError } from "./output.ts";

/** In the order of the help. */
export const COMMANDS: readonly Command[] = [
  run,
  start,
  stop,
  restart,
  status,
  logs,
  drain,
  daemon,
  tasksList,
  tasksShow,
  tasksMessages,
  tasksFollow,
  tasksCancel,
  agents,
  configList,
  configGet,
  configSet,
  configUnset,
  completions(() => COMMANDS),
  version,
  demoAgent,
  completeListed,
];

/** Runs one command line; never throws. */
export async function runCli(argv: readonly string[], host: Host): Promise<number> {
  const json = argv.includes("--json") && !argv.slice(0, argv.indexOf("--json")).includes("--");
  try {
    return await dispatch(argv, host, json);
  } catch (error) {
    const view = errorView(error);
    printError(host, view, { json });
    return exitCodeFor(view.code);
  }
}

async function dispatch(argv: readonly string[], host: Host, json: boolean): Promise<number> {
  const words = argv.filter((word) => word !== "--json");
  const [first, second] = words;
  if (first === undefined || first === "help" || first === "--help" || first === "-h") {
    return showHelp(words.slice(first === "help" ? 1 : words.length), host);
  }
  if (first === "--version" || first === "-V") return await dispatch(["version", ...argv.slice(1)], host, json);
  const found = findCommand(words);
  if (!found) {
    if (isGroup(first)) {
      if (second === undefined || second === "--help" || second === "-h") {
        host.terminal.out(groupHelp(first, COMMANDS));
        return second === undefined ? EXIT_CODES.usage.code : EXIT_CODES.ok.code;
      }
      throw unknownCommand(`${first} ${second}`);
    }
    throw unknownCommand(first);
  }
  const { command, length } = found;
  const rest = command.hidden ? argv.slice(length) : dropWords(argv, length);
  const args = command.hidden
    ? { positional: rest, values: {}, switches: new Set<string>() }
    : parseCommand(command, rest);
  if (args.switches.has("help")) {
    host.terminal.out(commandHelp(command));
    return EXIT_CODES.ok.code;
  }
  const output = createOutput(host, { json: args.switches.has("json") });
  return await command.run({ host, home: () => findHome(host), output, args, argv });
}

/** `drover --json tasks list` and `drover tasks list --json` are the same. */
function dropWords(argv: readonly string[], count: number): string[] {
  let left = count;
  return argv.filter((word) => word === "--json" || left-- <= 0);
}

function findCommand(words: readonly string[]): { command: Command; length: number } | undefined {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(" ");
    const command = COMMANDS.find((candidate) => candidate.name === name);
    if (command && words.length >= length) return { command, length };
  }
  return undefined;
}

function isGroup(word: string): boolean {
  return COMMANDS.some((command) => command.name.startsWith(`${word} `));
}

function unknownCommand(name: string): DroverError {
  const names = COMMANDS.filter((command) => !command.hidden).map((command) => command.name);
  const close = closest(name, [...names, ...names.map((known) => known.split(" ")[0]!)]);
  return new DroverError("usage", `Unknown command "${name}"`, {
    hint: close ? `did you mean drover ${close}?` : "drover --help lists the commands",
  });
}

function showHelp(words: readonly string[], host: Host): number {
  const found = findCommand(words);
  if (found && !found.command.hidden) host.terminal.out(commandHelp(found.command));
  else if (words[0] !== undefined && isGroup(words[0])) host.terminal.out(groupHelp(words[0], COMMANDS));
  else if (words[0] !== undefined) throw unknownCommand(words.join(" "));
  else host.terminal.out(overview(COMMANDS, BUILD.version));
  return EXIT_CODES.ok.code;
}
