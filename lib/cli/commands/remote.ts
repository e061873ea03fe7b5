/** `drover enable remote` and `drover disable remote`: whether the daemon takes work from the configured server, and of whom. */
import { type ConsentPlan, planConsent, recordConsent, withdrawConsent } from "../../app/consent.ts";
import { refuseInsideTask } from "../../app/login.ts";
import { demandRemoteAllowed } from "../../app/machine_policy.ts";
import { tellDaemon } from "../../app/live_config.ts";
import { type RemoteSet, setRemote } from "../../app/remote.ts";
import { readSettings } from "../../app/settings.ts";
import { parseDuration } from "../../core/config.ts";
import { DroverError } from "../../core/drover_error.ts";
import { type Permission, PERMISSIONS } from "../../core/model.ts";
import { permissionOf } from "../../core/remote_settings.ts";
import type { Command, CommandContext, OptionSpec } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { paint, plain } from "../output.ts";
import { personOf } from "./login.ts";

const READY_MS = 30_000;
const DRAIN_MS = 60_000;

const RESTART: readonly OptionSpec[] = [
  { name: "now", summary: "end running tasks at once; those with an attempt left are tried again later" },
  { name: "timeout", value: "TIME", summary: "how long running tasks may take to finish (default 60s)" },
];

const RESTARTED = `
A running daemon is restarted, with what it was started with, when its tasks are done; past the time for that nothing
is changed.`;

export const enableRemote: Command = {
  name: "enable remote",
  options: [
    {
      name: "workspace",
      value: "W",
      repeatable: true,
      summary: "id or name; without it those watched, or else all there are",
    },
    { name: "policy", value: "POLICY", summary: `the most that its tasks may do: ${PERMISSIONS.join(", ")}` },
    { name: "yes", short: "y", summary: "do not ask; for scripts" },
    ...RESTART,
  ],
  details: `
Whoever is in a watched workspace can have agents work on this machine as you. So it says who that is, with which
agents and how many at once, and asks, once. Workspaces that come later are available and not watched, unless
workspaces.auto is true. Sets remote.enabled and workspaces.watched in config.json.${RESTARTED}`,
  examples: [
    ["drover enable remote --workspace acme --policy ask", "you allow what its agents want to change"],
    ["drover enable remote --policy full --yes", "for a machine of a fleet"],
  ],
  run: enable,
};

export const disableRemote: Command = {
  name: "disable remote",
  options: [
    { name: "workspace", value: "W", repeatable: true, summary: "only this one is not watched any more: id or name" },
    ...RESTART,
  ],
  details: `
Sets remote.enabled in config.json; which workspaces were watched is kept for the next time.${RESTARTED} With
--workspace nothing is restarted: the daemon takes no more tasks of it at once.`,
  run: disable,
};

async function enable(context: CommandContext): Promise<number> {
  const { host, args } = context;
  refuseInsideTask(host.system);
  await demandRemoteAllowed(host);
  const home = context.home();
  const policy = policyOf(args.values.policy);
  const plan = await planConsent(host, home, { workspaces: args.lists.workspace ?? [], policy });
  if (plan) await confirm(context, plan);
  const putBack = plan && await recordConsent(host, home, plan.watched);
  try {
    return await set(context, { enabled: true, plan });
  } catch (error) {
    await putBack?.().catch(() => {});
    throw error;
  }
}

async function disable(context: CommandContext): Promise<number> {
  const { host, output, args } = context;
  const words = args.lists.workspace ?? [];
  if (words.length === 0) return await set(context, { enabled: false, plan: undefined });
  const home = context.home();
  const gone = await withdrawConsent(host, home, words);
  const daemon = await tellDaemon(host, home) ? "told" : "none";
  output.result({ changed: gone.length > 0, unwatched: gone, daemon, home: home.root, file: home.config }, () => {
    output.line(gone.length > 0 ? `not watched any more: ${gone.join(", ")}` : "was not watched");
  });
  return EXIT_CODES.ok.code;
}

async function set(
  context: CommandContext,
  { enabled, plan }: { enabled: boolean; plan: ConsentPlan | undefined },
): Promise<number> {
  const { host, output, args } = context;
  const home = context.home();
  const onWait = (holder: string) => output.note(`drover: waiting for ${holder} …`);
  const done = await setRemote(host, home, enabled, {
    start: { timeoutMs: READY_MS, onWait },
    stop: { mode: args.switches.has("now") ? "now" : "drain", timeoutMs: timeoutOf(args.values.timeout), onWait },
  });
  if (plan && done.daemon === "unchanged") await tellDaemon(host, home);
  const { daemon, hello, hiddenBy } = done;
  const { serverUrl, watchAll, watchedWorkspaces } = await readSettings(host, home);
  const changed = done.changed || plan !== undefined;
  const { pid = null } = hello ?? {};
  output.result({
    remoteEnabled: enabled,
    changed,
    daemon,
    pid,
    hiddenBy,
    server: serverUrl || null,
    watched: watchedWorkspaces,
    home: home.root,
    file: home.config,
  }, () => {
    for (const line of effectLines(done, { enabled, changed })) output.line(line);
    for (const { name, id, policy } of plan?.added ?? []) output.line(`watched: ${plain(name || id)} (${policy})`);
    if (!enabled) return;
    if (serverUrl === "") output.line(paint.yellow("no server is configured: drover login --server URL"));
    else if (!watchAll && Object.keys(watchedWorkspaces).length === 0) {
      output.line(paint.yellow("no workspace is watched: drover enable remote --workspace W --policy ask"));
    }
  });
  return EXIT_CODES.ok.code;
}

function effectLines({ daemon, hello, hiddenBy }: RemoteSet, what: { enabled: boolean; changed: boolean }): string[] {
  const word = what.enabled ? "enabled" : "disabled";
  const effect = daemon === "restarted" ? `; the daemon was restarted (pid ${hello?.pid})` : "";
  return [
    what.changed ? `remote is ${word} now${effect}` : `remote was ${word} already`,
    ...(hiddenBy ? [paint.yellow(`the variable ${hiddenBy} is set and comes before config.json`)] : []),
  ];
}

const MEANS: Readonly<Record<Permission, string>> = {
  full: "full: read, change and run whatever your account may, unasked",
  ask: "ask: what they want to change or start is asked of you first (drover tasks approve)",
  "read-only": "read-only: change no files, by the promise of each agent's CLI",
};

/** Said before it is true. Throws `usage` where nobody can be asked. */
async function confirm({ host: { terminal }, output, args }: CommandContext, plan: ConsentPlan): Promise<void> {
  const { server, user, added, agents, slots } = plan;
  output.note(
    `Tasks from ${server}${user ? ` (you are ${personOf(user)} there)` : ""} would run on this machine, as you:`,
  );
  for (const { name, id, policy } of added) {
    output.note(`  every member of ${plain(name || id)} may send them; they may do this: ${MEANS[policy]}`);
  }
  output.note(
    `  agents: ${agents.join(", ") || "none found yet"}; at most ${slots} task${slots === 1 ? "" : "s"} at once`,
  );
  if (args.switches.has("yes")) return;
  if (!terminal.inputIsTerminal) {
    throw new DroverError("usage", "Cannot ask for your consent: standard input is no terminal", {
      hint: "read the above, then add --yes",
    });
  }
  terminal.err("allow that? [y]es, [n]o: ");
  const answer = (await terminal.readLine())?.trim().toLowerCase();
  if (answer !== "y" && answer !== "yes") {
    throw new DroverError("usage", "Remote was not enabled: you did not say yes", { hint: "nothing was changed" });
  }
}

function policyOf(text: string | undefined): Permission | undefined {
  const policy = permissionOf(text);
  if (text === undefined || policy) return policy;
  throw new DroverError("usage", `Cannot use --policy ${text}: it must be one of ${PERMISSIONS.join(", ")}`);
}

function timeoutOf(text: string | undefined): number {
  const ms = text === undefined ? DRAIN_MS : parseDuration(text);
  if (ms) return ms;
  throw new DroverError("usage", `Cannot use --timeout ${text}: it must be a duration such as 90s, 30m or 2h`);
}
