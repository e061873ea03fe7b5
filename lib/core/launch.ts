/** How a daemon was started, as data: its arguments, its environment, and why; what a restart keeps and what it never takes along. */
import type { Env } from "./ports.ts";

/** Why this daemon was started; in its record, in its log and in status. */
export const START_REASONS = [
  "user",
  "no_daemon",
  "new_version",
  "new_binary",
  "new_options",
  "config_changed",
  "agent_binary_changed",
  "unresponsive",
  "vanished",
  "update",
  "rollback",
] as const;
export type StartReason = (typeof START_REASONS)[number];

export const SUPERVISORS = ["none", "systemd", "launchd"] as const;
export type SupervisorKind = (typeof SUPERVISORS)[number];

/** The process claims to be that version: for trying out what two versions do to each other. Never reaches a daemon. */
export const VERSION_OVERRIDE = "DROVER_VERSION_OVERRIDE";

/** Says to a daemon why it was started; taken out of what its children see. */
export const REASON_VARIABLE = "DROVER_LAUNCH_REASON";
/** What a successor says again once it is up, so that nobody else is taken for it. */
export const NONCE_VARIABLE = "DROVER_LAUNCH_NONCE";
/** `desktop`: an app starts and replaces this daemon, which then never restarts by itself. */
export const LAUNCHED_BY_VARIABLE = "DROVER_LAUNCHED_BY";
/** The version it replaces, where that is the reason. */
export const REPLACED_VARIABLE = "DROVER_LAUNCH_REPLACED";

/**
 * For one process only: of a task, of a launch, of a test. A daemon that outlives the task or the terminal it was
 * started from knows nothing of either.
 */
const ONE_SHOT = /^DROVER_(TASK_|AGENT_|WORKSPACE_|LAUNCH_|TEST_|RESOLVING_|TOKEN$|VERSION_OVERRIDE$)/;

/** Say something about one terminal or one shell and nothing about how a daemon should work. */
const VOLATILE = new Set([
  "_",
  "COLUMNS",
  "DROVER_HOME",
  "DROVER_PROFILE",
  "LINES",
  "OLDPWD",
  "PWD",
  "SHLVL",
  "STY",
  "TERM",
  "TERM_SESSION_ID",
  "TMUX",
  "TMUX_PANE",
  "TTY",
  "WINDOWID",
]);
const VOLATILE_PREFIXES = ["SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "XDG_SESSION_", "ITERM_", "WT_", "VSCODE_"];

function isVolatile(name: string): boolean {
  return VOLATILE.has(name) || VOLATILE_PREFIXES.some((prefix) => name.startsWith(prefix));
}

/** What a daemon inherits from the command that starts it. */
export function daemonEnv(env: Env, home: { readonly root: string }): Env {
  const kept = Object.entries(env).filter(([name]) => !ONE_SHOT.test(name) && name !== "DROVER_PROFILE");
  return { ...Object.fromEntries(kept), DROVER_HOME: home.root };
}

/** The names that two environments have different values for, sorted; what belongs to one terminal aside. */
export function envDifference(kept: Env, current: Env): readonly string[] {
  const names = new Set([...Object.keys(kept), ...Object.keys(current)]);
  return [...names].filter((name) => kept[name] !== current[name] && !isVolatile(name) && !ONE_SHOT.test(name)).sort();
}

/** The variables that make up the launch configuration, sorted by name. */
export function configurationEnv(env: Env): readonly (readonly [name: string, value: string])[] {
  return Object.entries(env).filter(([name]) => !isVolatile(name) && !ONE_SHOT.test(name))
    .sort(([a], [b]) => a < b ? -1 : 1);
}

/** What stood behind `daemon` in an argv, without what every background start adds. */
export function launchArgs(argv: readonly string[]): string[] {
  const words = argv.slice(argv.indexOf("daemon") + 1);
  // Whether it is supervised is for the service manager to say, each time anew.
  const supervised = (i: number) => words[i] === "--supervised" || words[i]?.startsWith("--supervised=");
  return words.filter((word, i) =>
    !supervised(i) && words[i - 1] !== "--supervised" && word !== "--quiet" && word !== "-q" && word !== "--json"
  );
}

/** The version this process says it is. */
export function claimedVersion(env: Env, own: string): string {
  return env[VERSION_OVERRIDE] || own;
}

export function startReasonOf(env: Env): StartReason {
  return START_REASONS.find((reason) => reason === env[REASON_VARIABLE]) ?? "user";
}
