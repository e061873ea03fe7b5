/** `drover completions`: a script for the shell that completes commands, options and values, and the lists it asks for. */
import { listProfiles } from "../../app/profiles.ts";
import { openUserSession } from "../../app/sessions.ts";
import { DroverError } from "../../core/drover_error.ts";
import { closest } from "../args.ts";
import type { Command, CommandContext } from "../command.ts";
import { completionPlaces, LISTED, type Listed, type Place } from "../completion.ts";
import { fishCompletion } from "../completion_fish.ts";
import { bashCompletion, zshCompletion } from "../completion_posix.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { oneLine, plain } from "../output.ts";
import { loadCommands } from "../verbs.ts";

const SHELLS: Readonly<Record<string, (places: readonly Place[]) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

export const completions: Command = {
  name: "completions",
  operands: Object.keys(SHELLS).join("|"),
  minOperands: 1,
  maxOperands: 1,
  options: [],
  examples: [
    ["source <(drover completions bash)", "in ~/.bashrc"],
    ["source <(drover completions zsh)", "in ~/.zshrc, after compinit"],
    ["drover completions fish | source", "in ~/.config/fish/config.fish"],
  ],
  async run({ host, output, args }) {
    const shell = args.positional[0]!;
    const make = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
    if (!make) {
      const names = Object.keys(SHELLS);
      const close = closest(shell, names);
      throw new DroverError("usage", `Cannot complete for "${shell}": it must be one of ${names.join(", ")}`, {
        hint: close ? `did you mean drover completions ${close}?` : "drover completions --help shows how to load them",
      });
    }
    const script = make(completionPlaces(await loadCommands()));
    output.result({ shell, script }, () => host.terminal.out(script));
    return EXIT_CODES.ok.code;
  },
};

const MAX_TASKS = 50;

/** What the scripts ask for while somebody types: a word and what it is on each line, or nothing at all. */
export const completeListed: Command = {
  name: "__complete",
  options: [],
  async run(context) {
    const listed = LISTED.find((what) => what === context.args.positional[0]);
    for (const [word, what] of listed ? await LISTS[listed](context) : []) {
      // A name with anything else in it would need quotes, which each shell does in its own way.
      if (/^[\w.@-]+$/.test(word)) context.host.terminal.out(`${word}\t${oneLine(plain(what), 60)}\n`);
    }
    return EXIT_CODES.ok.code;
  },
};

const LISTS: Readonly<Record<Listed, (context: CommandContext) => Promise<[word: string, what: string][]>>> = {
  async tasks(context) {
    using session = await openUserSession(context.host, context.home());
    const tasks = await session?.listTasks({ limit: MAX_TASKS }) ?? [];
    return tasks.map(({ id, status, prompt }) => [id, `${status} ${prompt}`]);
  },
  async agents(context) {
    using session = await openUserSession(context.host, context.home());
    const agents = await session?.agents() ?? [];
    return agents.map(({ name }) => [name, "agent"]);
  },
  async runtimes(context) {
    using session = await openUserSession(context.host, context.home());
    const profiles = await session?.profiles() ?? [];
    return profiles.map(({ display_name, protocol_family }) => [display_name, protocol_family]);
  },
  async providers() {
    const { PROVIDERS } = await import("../../app/runtime_profiles.ts");
    return PROVIDERS.map(({ provider, title }) => [provider, title]);
  },
  async profiles(context) {
    const profiles = await listProfiles(context.host, context.home());
    return profiles.map(({ name, home }) => [name, home.root]);
  },
};
