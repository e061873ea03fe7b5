/** `drover runtime …`: custom ways to launch an agent CLI, each with a name, a command, arguments and variables of its own. */
import { checkLike, openProfiles, variablesOf } from "../../app/runtime_profiles.ts";
import { openUserSession } from "../../app/sessions.ts";
import type { ProfileView } from "../../wire/profiles.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { oneLine, plain, table } from "../output.ts";

const ONE_RUNTIME = { operands: "RUNTIME", minOperands: 1, maxOperands: 1 } as const;
const MAX_WORDS = 200;

export const runtimeList: Command = {
  name: "runtime list",
  options: [],
  details:
    "A runtime is a way to launch an agent CLI. Those found on PATH are shown by drover agents; these were added by hand.",
  async run(context) {
    const { output } = context;
    using session = await openUserSession(context.host, context.home(), noting(context));
    const runtimes = session ? await session.profiles() : [];
    output.result({ runtimes }, () => {
      if (runtimes.length === 0) return output.line("No custom runtimes. Add one with: drover runtime add --help");
      const rows = runtimes.map((one) => [
        one.display_name,
        one.protocol_family,
        one.enabled ? "enabled" : "disabled",
        oneLine(plain([one.command_name, ...one.fixed_args].join(" ")), 70),
        one.env.join(" ") || "-",
      ]);
      for (const line of table([["RUNTIME", "LIKE", "STATE", "COMMAND", "VARIABLES"], ...rows])) output.line(line);
    });
    return EXIT_CODES.ok.code;
  },
};

export const runtimeAdd: Command = {
  name: "runtime add",
  operands: "NAME -- COMMAND [ARG...]",
  minOperands: 2,
  maxOperands: MAX_WORDS,
  options: [
    { name: "like", value: "AGENT_CLI", summary: "the agent CLI whose protocol it speaks, e.g. codex" },
    {
      name: "env",
      value: "NAME[=VALUE]",
      repeatable: true,
      summary: "a variable of its own; without a value the one it has here, which is how to give secrets",
    },
    { name: "description", value: "TEXT", summary: "what it is for" },
    { name: "private", summary: "for yourself: not offered to others of the workspace" },
  ],
  details: `
The command is looked up on PATH, or is an absolute path; its arguments come before those that drover adds. It becomes an
agent called NAME, beside the plain one of the same CLI. A running daemon takes it up at once. Variables are kept in the
home's database, which only you can read.`,
  examples: [
    ["drover runtime add house-codex --like codex -- acme-codex --fast", "a build of codex of your own"],
    ["drover runtime add claude-proxy --like claude --env ANTHROPIC_BASE_URL --env ANTHROPIC_API_KEY -- claude", ""],
  ],
  async run(context) {
    const { host, output, args } = context;
    const [name = "", command = "", ...fixedArgs] = args.positional;
    const like = args.values.like ?? command.split("/").at(-1)!;
    checkLike(name, like);
    const env = variablesOf(args.lists.env ?? [], host.system.env);
    using session = await openProfiles(host, context.home(), noting(context));
    const runtime = await session.addProfile({
      display_name: name,
      protocol_family: like,
      command_name: command,
      fixed_args: fixedArgs,
      env,
      visibility: args.switches.has("private") ? "private" : "workspace",
      ...(args.values.description ? { description: args.values.description } : {}),
    });
    output.result(
      { runtime },
      () => output.line(`Added ${describe(runtime)}. Use it with: drover run --agent "${name}" "…"`),
    );
    return EXIT_CODES.ok.code;
  },
};

export const runtimeEnable: Command = {
  name: "runtime enable",
  ...ONE_RUNTIME,
  options: [],
  run: (context) => setEnabled(context, true),
};

export const runtimeDisable: Command = {
  name: "runtime disable",
  ...ONE_RUNTIME,
  options: [],
  run: (context) => setEnabled(context, false),
};

export const runtimeRemove: Command = {
  name: "runtime remove",
  ...ONE_RUNTIME,
  options: [],
  async run(context) {
    const { output, args } = context;
    using session = await openProfiles(context.host, context.home(), noting(context));
    const runtime = await session.removeProfile(args.positional[0]!);
    output.result({ runtime }, () => output.line(`Removed ${describe(runtime)}`));
    return EXIT_CODES.ok.code;
  },
};

async function setEnabled(context: CommandContext, enabled: boolean): Promise<number> {
  const { output, args } = context;
  using session = await openProfiles(context.host, context.home(), noting(context));
  const runtime = await session.enableProfile(args.positional[0]!, enabled);
  output.result({ runtime }, () => output.line(`${enabled ? "Enabled" : "Disabled"} ${describe(runtime)}`));
  return EXIT_CODES.ok.code;
}

function describe(runtime: ProfileView): string {
  return `${runtime.display_name} (like ${runtime.protocol_family}: ${runtime.command_name})`;
}

function noting({ output }: CommandContext): { note: (text: string) => void } {
  return { note: (text) => output.note(`drover: ${text}`) };
}
