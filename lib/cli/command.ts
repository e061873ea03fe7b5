/** What a verb is: its name, its help, its options, and the function that does it. */
import type { Home } from "../core/home.ts";
import type { Host } from "../core/ports.ts";
import type { Output } from "./output.ts";

export interface OptionSpec {
  /** Without the dashes. */
  readonly name: string;
  /** Placeholder of the value; absent for a switch. In brackets where it may be left out, which is then a switch. */
  readonly value?: string;
  readonly short?: string;
  /** It may be given several times, and is then found in `lists`. */
  readonly repeatable?: true;
  readonly summary: string;
}

export interface Parsed {
  readonly positional: readonly string[];
  readonly values: Readonly<Record<string, string>>;
  readonly switches: ReadonlySet<string>;
  /** Of the repeatable options that were given, in their order. */
  readonly lists: Readonly<Record<string, readonly string[]>>;
}

export interface CommandContext {
  readonly host: Host;
  /** Throws `home_unusable` when the environment names none. */
  readonly home: () => Home;
  readonly output: Output;
  readonly args: Parsed;
  /** As typed, for the record of how a process was started. */
  readonly argv: readonly string[];
}

export interface Command {
  /** One or two words, e.g. `tasks list`. What it is for in a line stands in the table of verbs. */
  readonly name: string;
  /** What follows the name in the usage line, options aside. */
  readonly operands?: string;
  readonly minOperands?: number;
  readonly maxOperands?: number;
  readonly options: readonly OptionSpec[];
  readonly examples?: readonly (readonly [command: string, what: string])[];
  /** More to know, wrapped by hand. */
  readonly details?: string;
  run(context: CommandContext): Promise<number>;
}
