/** The help: of drover as a whole and of each verb, made from the table of verbs. */
import { COMMON_OPTIONS } from "./args.ts";
import type { OptionSpec } from "./command.ts";
import { table } from "./output.ts";
import { type NamedCommand, VERBS } from "./verbs.ts";

/** Loads no verb: it is the first thing that anybody asks for. */
export function overview(version: string): string {
  const shown = Object.entries(VERBS).filter(([, { hidden }]) => !hidden);
  const rows = shown.map(([name, { summary }]) => [`  ${name}`, summary]);
  return `drover ${version} — runs coding agents on this machine from a queue of tasks

Usage: drover COMMAND [OPTIONS]

Commands:
${table(rows).join("\n")}

Start with:
  drover agents                     which agent CLIs were found here
  drover run "explain this code"    run one task and follow it

Every command has --help and --json. DROVER_HOME moves everything drover keeps (default ~/.drover);
--profile NAME, before or after the command, works with a home of its own below it.
`;
}

export function commandHelp(command: NamedCommand): string {
  const operands = command.operands ? ` ${command.operands}` : "";
  const parts = [`${command.summary}\n\nUsage: drover ${command.name}${operands} [OPTIONS]`];
  if (command.details) parts.push(command.details.trim());
  const options = [...command.options, ...COMMON_OPTIONS];
  parts.push(`Options:\n${table(options.map((option) => [`  ${flag(option)}`, option.summary])).join("\n")}`);
  if (command.examples) {
    parts.push(`Examples:\n${table(command.examples.map(([line, what]) => [`  ${line}`, what])).join("\n")}`);
  }
  return parts.join("\n\n") + "\n";
}

/** The verbs that begin with a word, for `drover tasks`. */
export function groupHelp(group: string, commands: readonly NamedCommand[]): string {
  const rows = commands.map((
    command,
  ) => [`  drover ${command.name}${command.operands ? ` ${command.operands}` : ""}`, command.summary]);
  return `Usage: drover ${group} COMMAND [OPTIONS]\n\n${table(rows).join("\n")}\n`;
}

function flag(option: OptionSpec): string {
  const short = option.short ? `-${option.short}, ` : "    ";
  return `${short}--${option.name}${option.value ? ` ${option.value}` : ""}${option.repeatable ? " ..." : ""}`;
}
