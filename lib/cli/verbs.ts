/** The table of verbs, in the order of the help: a verb's file, and all that it needs, is loaded when the verb is used. */
import type { Command } from "./command.ts";

export interface Verb {
  readonly summary: string;
  /** Not listed: for the program's own use. Gets its arguments unparsed. */
  readonly hidden?: true;
  readonly load: () => Promise<Command>;
}

/** A new verb is a file in `commands/` that exports a `Command`, and a row here under the command's name. */
export const VERBS: Readonly<Record<string, Verb>> = {
  "run": {
    summary: "queue one task, follow it live, and exit with its outcome",
    load: async () => (await import("./commands/run.ts")).run,
  },
  "start": {
    summary: "start the daemon in the background; it is ready when this returns",
    load: async () => (await import("./commands/lifecycle.ts")).start,
  },
  "stop": {
    summary: "stop the daemon; running tasks may finish first",
    load: async () => (await import("./commands/lifecycle.ts")).stop,
  },
  "restart": {
    summary: "stop the daemon and start it again with what it was started with",
    load: async () => (await import("./commands/lifecycle.ts")).restart,
  },
  "status": {
    summary: "show whether the daemon runs and what it is doing",
    load: async () => (await import("./commands/status.ts")).status,
  },
  "logs": {
    summary: "print the end of the daemon's log, or of a task's transcript",
    load: async () => (await import("./commands/logs.ts")).logs,
  },
  "pause": {
    summary: "take no more tasks for a while; running ones go on",
    load: async () => (await import("./commands/pause.ts")).pause,
  },
  "resume": {
    summary: "take tasks again after a pause",
    load: async () => (await import("./commands/pause.ts")).resume,
  },
  "drain": {
    summary: "let the daemon finish its tasks and end, without waiting for it",
    load: async () => (await import("./commands/lifecycle.ts")).drain,
  },
  "daemon": {
    summary: "run the daemon in the foreground: find agents, register them, run tasks",
    load: async () => (await import("./commands/daemon.ts")).daemon,
  },
  "serve": {
    summary: "serve tasks to the daemons of several machines: a team server of your own",
    load: async () => (await import("./commands/serve.ts")).serve,
  },
  "token create": {
    summary: "make a token for that server; it is printed once",
    load: async () => (await import("./commands/token.ts")).tokenCreate,
  },
  "token list": {
    summary: "list who may come in at that server",
    load: async () => (await import("./commands/token.ts")).tokenList,
  },
  "token revoke": {
    summary: "revoke a token of that server; it is refused at once",
    load: async () => (await import("./commands/token.ts")).tokenRevoke,
  },
  "tasks list": {
    summary: "list tasks, newest first",
    load: async () => (await import("./commands/tasks.ts")).tasksList,
  },
  "tasks show": {
    summary: "show one task",
    load: async () => (await import("./commands/tasks.ts")).tasksShow,
  },
  "tasks messages": {
    summary: "print what the agent said and did",
    load: async () => (await import("./commands/tasks.ts")).tasksMessages,
  },
  "tasks follow": {
    summary: "follow a task live, and exit with its outcome",
    load: async () => (await import("./commands/tasks.ts")).tasksFollow,
  },
  "tasks cancel": {
    summary: "cancel a task; its agent is stopped within seconds",
    load: async () => (await import("./commands/tasks.ts")).tasksCancel,
  },
  "tasks approve": {
    summary: "allow what the agent of a task asks for",
    load: async () => (await import("./commands/tasks_permission.ts")).tasksApprove,
  },
  "tasks deny": {
    summary: "refuse what the agent of a task asks for",
    load: async () => (await import("./commands/tasks_permission.ts")).tasksDeny,
  },
  "repo checkout": {
    summary: "for agents, inside a task: check out a repository on a branch of its own",
    load: async () => (await import("./commands/repo.ts")).repoCheckout,
  },
  "agents": {
    summary: "show the agent CLIs found here",
    load: async () => (await import("./commands/agents.ts")).agents,
  },
  "agents resume": {
    summary: "give an agent tasks again that is paused for its quota or a login",
    load: async () => (await import("./commands/agents.ts")).agentsResume,
  },
  "runtime list": {
    summary: "list the custom runtimes",
    load: async () => (await import("./commands/runtime.ts")).runtimeList,
  },
  "runtime add": {
    summary: "add a custom way to launch an agent CLI",
    load: async () => (await import("./commands/runtime.ts")).runtimeAdd,
  },
  "runtime enable": {
    summary: "offer a custom runtime again",
    load: async () => (await import("./commands/runtime.ts")).runtimeEnable,
  },
  "runtime disable": {
    summary: "keep a custom runtime, but offer it no more; its running tasks go on",
    load: async () => (await import("./commands/runtime.ts")).runtimeDisable,
  },
  "runtime remove": {
    summary: "remove a custom runtime; its tasks stay in the history",
    load: async () => (await import("./commands/runtime.ts")).runtimeRemove,
  },
  "usage": {
    summary: "show the tokens of each day, by agent CLI and model",
    load: async () => (await import("./commands/usage.ts")).usage,
  },
  "disk": {
    summary: "show what work directories, repositories and records take of the disk",
    load: async () => (await import("./commands/disk.ts")).disk,
  },
  "disk free": {
    summary: "remove the work directories and repositories that nobody needs any more",
    load: async () => (await import("./commands/disk.ts")).diskFree,
  },
  "config list": {
    summary: "show every setting, its value, and where that comes from",
    load: async () => (await import("./commands/config.ts")).configList,
  },
  "config get": {
    summary: "print the value of one setting",
    load: async () => (await import("./commands/config.ts")).configGet,
  },
  "config set": {
    summary: "put a setting into config.json",
    load: async () => (await import("./commands/config.ts")).configSet,
  },
  "config unset": {
    summary: "take a setting out of config.json",
    load: async () => (await import("./commands/config.ts")).configUnset,
  },
  "service install": {
    summary: "have systemd or launchd start the daemon at login, and again when it fails",
    load: async () => (await import("./commands/service.ts")).serviceInstall,
  },
  "service uninstall": {
    summary: "end the service and remove it; nothing else in the home changes",
    load: async () => (await import("./commands/service.ts")).serviceUninstall,
  },
  "service status": {
    summary: "show whether the service is installed, enabled, running and up to date",
    load: async () => (await import("./commands/service.ts")).serviceShow,
  },
  "login": {
    summary: "log in at a team server; its token is read from a file or typed, never given as an argument",
    load: async () => (await import("./commands/login.ts")).login,
  },
  "logout": {
    summary: "forget the token of the server",
    load: async () => (await import("./commands/login.ts")).logout,
  },
  "whoami": {
    summary: "ask the server whose token this is and which workspaces it opens",
    load: async () => (await import("./commands/login.ts")).whoami,
  },
  "enable remote": {
    summary: "let the daemon take work from the configured server",
    load: async () => (await import("./commands/remote.ts")).enableRemote,
  },
  "disable remote": {
    summary: "keep the daemon to the tasks of this machine (the default)",
    load: async () => (await import("./commands/remote.ts")).disableRemote,
  },
  "profiles": {
    summary: "list the profiles: homes with a daemon, tasks and settings of their own",
    load: async () => (await import("./commands/profile.ts")).profiles,
  },
  "completions": {
    summary: "print a script that completes drover's commands in bash, zsh or fish",
    load: async () => (await import("./commands/completions.ts")).completions,
  },
  "doctor": {
    summary: "check the home, the daemon, the settings and the agent CLIs, and say what to do",
    load: async () => (await import("./commands/doctor.ts")).doctor,
  },
  "version": {
    summary: "print the version, and the running daemon's",
    load: async () => (await import("./commands/version.ts")).version,
  },
  "update": {
    summary: "replace drover by a newer release, which is taken back when it does not run",
    load: async () => (await import("./commands/update.ts")).update,
  },
  "uninstall": {
    summary: "remove drover from this machine; your tasks and settings stay, unless --purge",
    load: async () => (await import("./commands/uninstall.ts")).uninstall,
  },
  "bootstrap": {
    summary: "make a machine ready: daemon and updater run, and one JSON object says how they are",
    load: async () => (await import("./commands/bootstrap.ts")).bootstrap,
  },
  "__updater": {
    summary: "the updater",
    hidden: true,
    load: async () => (await import("./commands/updater.ts")).updater,
  },
  "__demo-agent": {
    summary: "the demo agent",
    hidden: true,
    load: async () => (await import("./commands/demo_agent.ts")).demoAgent,
  },
  "__complete": {
    summary: "the words that depend on what is there",
    hidden: true,
    load: async () => (await import("./commands/completions.ts")).completeListed,
  },
};

/** A verb with all that is known of it. */
export type NamedCommand = Command & Omit<Verb, "load">;

/** Every verb, for the completion: loads them all. */
export function loadCommands(): Promise<readonly NamedCommand[]> {
  return Promise.all(Object.keys(VERBS).map(loadCommand));
}

async function loadCommand(name: string): Promise<NamedCommand> {
  const { load, ...rest } = VERBS[name]!;
  return { ...await load(), ...rest };
}

/** The verbs that begin with a word, loaded. */
export function loadGroup(word: string): Promise<readonly NamedCommand[]> {
  return Promise.all(Object.keys(VERBS).filter((name) => name.startsWith(`${word} `)).map(loadCommand));
}

/** The verb that `words` begin with, the longer name first; `length` is how many of the words name it. */
export async function findCommand(
  words: readonly string[],
): Promise<{ command: NamedCommand; length: number } | undefined> {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(" ");
    if (words.length >= length && Object.hasOwn(VERBS, name)) return { command: await loadCommand(name), length };
  }
  return undefined;
}

/** Whether several verbs begin with this word. */
export function isGroup(word: string): boolean {
  return Object.keys(VERBS).some((name) => name.startsWith(`${word} `));
}
