/** The table of verbs, in the order of the help: a verb's file, and all that it needs, is loaded when the verb is used. */
import type { Command } from "./command.ts";

type Load = () => Promise<Command>;

/** A new verb is a file in `commands/` that exports a `Command`, and a row here under the command's name. */
export const VERBS: Readonly<Record<string, Load>> = {
  "run": async () => (await import("./commands/run.ts")).run,
  "start": async () => (await import("./commands/lifecycle.ts")).start,
  "stop": async () => (await import("./commands/lifecycle.ts")).stop,
  "restart": async () => (await import("./commands/lifecycle.ts")).restart,
  "status": async () => (await import("./commands/status.ts")).status,
  "logs": async () => (await import("./commands/logs.ts")).logs,
  "drain": async () => (await import("./commands/lifecycle.ts")).drain,
  "daemon": async () => (await import("./commands/daemon.ts")).daemon,
  "tasks list": async () => (await import("./commands/tasks.ts")).tasksList,
  "tasks show": async () => (await import("./commands/tasks.ts")).tasksShow,
  "tasks messages": async () => (await import("./commands/tasks.ts")).tasksMessages,
  "tasks follow": async () => (await import("./commands/tasks.ts")).tasksFollow,
  "tasks cancel": async () => (await import("./commands/tasks.ts")).tasksCancel,
  "agents": async () => (await import("./commands/agents.ts")).agents,
  "config list": async () => (await import("./commands/config.ts")).configList,
  "config get": async () => (await import("./commands/config.ts")).configGet,
  "config set": async () => (await import("./commands/config.ts")).configSet,
  "config unset": async () => (await import("./commands/config.ts")).configUnset,
  "service install": async () => (await import("./commands/service.ts")).serviceInstall,
  "service uninstall": async () => (await import("./commands/service.ts")).serviceUninstall,
  "service status": async () => (await import("./commands/service.ts")).serviceShow,
  "enable remote": async () => (await import("./commands/remote.ts")).enableRemote,
  "disable remote": async () => (await import("./commands/remote.ts")).disableRemote,
  "profiles": async () => (await import("./commands/profile.ts")).profiles,
  "completions": async () => (await import("./commands/completions.ts")).completions,
  "doctor": async () => (await import("./commands/doctor.ts")).doctor,
  "version": async () => (await import("./commands/version.ts")).version,
  "__demo-agent": async () => (await import("./commands/demo_agent.ts")).demoAgent,
  "__complete": async () => (await import("./commands/completions.ts")).completeListed,
};

/** Every verb, for the help and the completion: loads them all. */
export function loadCommands(): Promise<readonly Command[]> {
  return Promise.all(Object.values(VERBS).map((load) => load()));
}

/** The verb that `words` begin with, the longer name first; `length` is how many of the words name it. */
export async function findCommand(words: readonly string[]): Promise<{ command: Command; length: number } | undefined> {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(" ");
    if (words.length >= length && Object.hasOwn(VERBS, name)) return { command: await VERBS[name]!(), length };
  }
  return undefined;
}

/** Whether several verbs begin with this word. */
export function isGroup(word: string): boolean {
  return Object.keys(VERBS).some((name) => name.startsWith(`${word} `));
}
