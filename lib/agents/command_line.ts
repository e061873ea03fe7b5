/** The command line of a run, from its row of the table: one rule for all CLIs. */
import type { AgentTask, CommandLine, Permission, Runtime } from "../core/model.ts";
import type { ProviderRow } from "./provider_row.ts";

/** Linux gives one argument 128 KiB with its end mark; macOS has more for all together. */
export const MAX_ARGUMENT_BYTES = 128 * 1024 - 1;

/** The run cannot be started as it was asked for; the message says what to do instead. */
export class LaunchRefusal extends Error {
  override readonly name = "LaunchRefusal";
}

export function commandLineOf(row: ProviderRow, runtime: Runtime, task: AgentTask): CommandLine {
  const grant = row.permissions[task.permission];
  if (!grant) throw new LaunchRefusal(permissionRefusal(row, task.permission));
  const { always, prompt, reserved = [] } = row.args;
  const option = (name: "model" | "effort" | "resume" | "newSession" | "mcpConfig", value: string | undefined) =>
    value ? fill(row.args[name] ?? [], value) : [];
  if (task.sandbox && !row.args.sandbox) throw new LaunchRefusal(sandboxRefusal(row));
  const args = [
    ...runtime.fixedArgs,
    ...always,
    ...(grant.args ?? []),
    ...(task.sandbox ? row.args.sandbox! : []),
    ...option("model", task.model),
    ...option("effort", task.effort),
    ...option("mcpConfig", task.mcpConfigFile),
    ...(task.resumeSession ? option("resume", task.resumeSession) : option("newSession", task.newSession)),
    ...withoutReserved(task.extraArgs ?? [], reserved),
    ...(row.args.last ?? []),
    ...(prompt ? fill(prompt, checkedPrompt(row, task.prompt)) : []),
  ];
  return {
    executable: runtime.executable,
    args,
    env: { ...runtime.env, ...grant.env },
    stdin: row.stdin,
  };
}

/** For people: what the CLI cannot promise, and what it can. */
export function permissionRefusal(row: ProviderRow, permission: Permission): string {
  const known = Object.keys(row.permissions).join(" or ");
  return `${row.title} cannot promise --permission ${permission}; it can be run with ${known}`;
}

export function sandboxRefusal(row: ProviderRow): string {
  return `${row.title} has no sandbox of its own that drover can ask for; run it without --sandbox`;
}

/** By its arguments, or by its protocol. */
export function takesEffort(row: ProviderRow): boolean {
  return row.args.effort !== undefined || row.family === "codex-app-server" || row.family === "acp";
}

function fill(template: readonly string[], value: string): string[] {
  // A function, because a replacement text gives "$&" a meaning.
  return template.map((part) => part.replace("{}", () => value));
}

function checkedPrompt(row: ProviderRow, prompt: string): string {
  const bytes = new TextEncoder().encode(prompt).length;
  if (bytes > MAX_ARGUMENT_BYTES - 64) {
    throw new LaunchRefusal(
      `${row.title} takes its prompt on the command line only, where ${MAX_ARGUMENT_BYTES} bytes fit, and this one has ` +
        `${bytes}; put the text into a file and name the file in the prompt`,
    );
  }
  if (prompt.includes("\0")) throw new LaunchRefusal(`${row.title} takes no prompt with a NUL character in it`);
  // What begins with a dash would be an option.
  return prompt.startsWith("-") ? ` ${prompt}` : prompt;
}

/** A user's option that would undo ours is left out, with its values up to the next option. */
function withoutReserved(args: readonly string[], reserved: readonly string[]): string[] {
  const kept: string[] = [];
  let dropping = false;
  for (const arg of args) {
    if (arg.startsWith("-")) dropping = reserved.includes(arg.split("=", 1)[0]!);
    if (!dropping) kept.push(arg);
  }
  return kept;
}
