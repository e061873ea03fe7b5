/** The owner's yes to a team server: what would be allowed, put into words before it is, and written down once it is. */
import { rowOf, type Settings, valueAt } from "../core/config.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { type Permission, PERMISSIONS } from "../core/model.ts";
import type { Host } from "../core/ports.ts";
import { formatWatched } from "../core/remote_settings.ts";
import { readConfigFile, setInConfigFile, unsetInConfigFile } from "./config_file.ts";
import { requireLogin } from "./login.ts";
import { connectControl } from "./reach.ts";
import { askAccount, type ServerAccount } from "./server_account.ts";
import { readSettings } from "./settings.ts";

const WATCHED = rowOf("watchedWorkspaces");

export interface ConsentWish {
  /** Ids or names; none = those that are watched, or else all that there are. */
  readonly workspaces: readonly string[];
  readonly policy?: Permission | undefined;
}

export interface ConsentPlan {
  readonly server: string;
  readonly user: ServerAccount["user"];
  /** What is to be watched from now on, and was not, or with less allowed. */
  readonly added: readonly { readonly id: string; readonly name: string; readonly policy: Permission }[];
  /** All that is watched then. */
  readonly watched: Readonly<Record<string, Permission>>;
  readonly agents: readonly string[];
  readonly slots: number;
}

/**
 * `undefined` where nothing is added: there is no server, or all of it was said yes to before. Throws `usage`,
 * `login_needed`, `login_refused` and `server_unreachable`.
 */
export async function planConsent(host: Host, home: Home, wish: ConsentWish): Promise<ConsentPlan | undefined> {
  const settings = await readSettings(host, home);
  const { serverUrl, watchedWorkspaces: before, watchAll } = settings;
  const plain = wish.workspaces.length === 0 && wish.policy === undefined;
  if (serverUrl === "") {
    if (plain) return undefined;
    throw new DroverError("usage", "Cannot watch a workspace: no server is configured", {
      hint: "drover login --server https://multica.example.com",
    });
  }
  // Said once, it need not be said again.
  if (plain && (watchAll || Object.keys(before).length > 0)) return undefined;
  const { server, token } = await requireLogin(host, home);
  const { workspaces, user } = await askAccount(host, { server, token });
  const chosen = wish.workspaces.length > 0
    ? wish.workspaces.map((name) => named(name, workspaces))
    : meantWithoutNames(workspaces, before);
  if (chosen.length === 0) {
    throw new DroverError("usage", `Cannot watch a workspace: ${server} has none for this user`, {
      hint: "have yourself invited to one; a later one is shown by drover status as available",
    });
  }
  const policies = chosen.map(({ id, name }) => {
    const key = id.toLowerCase();
    const policy = wish.policy ?? (Object.hasOwn(before, key) ? before[key] : undefined);
    if (policy) return { id: key, name, policy };
    throw new DroverError("usage", `Cannot watch ${name}: nobody said what its tasks may do`, {
      hint: `add --policy ${PERMISSIONS.join(", --policy ")} (full: what your account may; ask: you are asked first)`,
    });
  });
  const added = policies.filter(({ id, policy }) => !Object.hasOwn(before, id) || before[id] !== policy);
  if (added.length === 0) return undefined;
  const watched = { ...before, ...Object.fromEntries(added.map(({ id, policy }) => [id, policy])) };
  return { server, user, added, watched, ...await machine(host, home, settings) };
}

/** Another policy is for what is watched; the first one is for all that there are. */
function meantWithoutNames(
  workspaces: ServerAccount["workspaces"],
  watched: Readonly<Record<string, Permission>>,
): ServerAccount["workspaces"] {
  const already = workspaces.filter(({ id }) => Object.hasOwn(watched, id.toLowerCase()));
  return already.length > 0 ? already : workspaces;
}

/** Throws `usage`. */
function named(text: string, workspaces: ServerAccount["workspaces"]): ServerAccount["workspaces"][number] {
  const word = text.toLowerCase();
  const byId = workspaces.find(({ id }) => id.toLowerCase() === word);
  const byName = workspaces.filter(({ name }) => name.toLowerCase() === word);
  if (byId) return byId;
  if (byName.length === 1) return byName[0]!;
  const list = workspaces.map(({ id, name }) => `${name} (${id})`).join(", ") || "none";
  const why = byName.length > 1 ? "several have that name, take the id" : "there is no such workspace";
  throw new DroverError("usage", `Cannot watch ${JSON.stringify(text)}: ${why}`, { hint: `there are: ${list}` });
}

/** What of this machine they would use: of the running daemon, else what is found. */
async function machine(
  host: Host,
  home: Home,
  { maxConcurrentTasks, remoteDemo }: Pick<Settings, "maxConcurrentTasks" | "remoteDemo">,
): Promise<Pick<ConsentPlan, "agents" | "slots">> {
  const { isDemo } = await import("../agents/discover.ts");
  const named = (runtimes: readonly { provider: string }[]) => [
    ...new Set(runtimes.filter((runtime) => remoteDemo || !isDemo(runtime)).map(({ provider }) => provider)),
  ];
  using control = await connectControl(host, home);
  if (control) {
    const status = await control.status() as {
      slots?: { total: number };
      connections?: { runtimes: { provider: string }[] }[];
    };
    const runtimes = (status.connections ?? []).flatMap(({ runtimes }) => runtimes);
    return { agents: named(runtimes), slots: status.slots?.total ?? maxConcurrentTasks };
  }
  const { discoverAgents } = await import("./embedded_daemon.ts");
  const { found } = await discoverAgents(host);
  return { agents: named(found), slots: maxConcurrentTasks };
}

/** Writes it down; the returned function puts back what was there. */
export async function recordConsent(
  host: Host,
  home: Home,
  watched: Readonly<Record<string, Permission>>,
): Promise<() => Promise<void>> {
  const before = valueAt(await readConfigFile(host, home), WATCHED.key);
  const value = formatWatched(watched);
  await setInConfigFile(host, home, { key: WATCHED.key, value, same: (held) => held === value });
  return async () => {
    if (before === undefined) await unsetInConfigFile(host, home, WATCHED.key);
    else await setInConfigFile(host, home, { key: WATCHED.key, value: before, same: (held) => held === before });
  };
}

/** Takes workspaces out, by id or by name; which ones. Throws `usage`. */
export async function withdrawConsent(host: Host, home: Home, words: readonly string[]): Promise<readonly string[]> {
  const { watchedWorkspaces: before, watchAll } = await readSettings(host, home);
  const byId = (word: string) => Object.hasOwn(before, word.toLowerCase());
  const names = words.every(byId) ? [] : await namesOf(host, home);
  const ids = words.map((word) => byId(word) ? word.toLowerCase() : named(word, names).id.toLowerCase());
  if (watchAll) {
    throw new DroverError("usage", "Cannot leave out a single workspace: workspaces.auto watches them all", {
      hint: "drover config set workspaces.auto false, or: drover disable remote",
    });
  }
  const gone = ids.filter(byId);
  const left = Object.fromEntries(Object.entries(before).filter(([id]) => !gone.includes(id)));
  if (Object.keys(left).length === 0) await unsetInConfigFile(host, home, WATCHED.key);
  else await recordConsent(host, home, left);
  return gone;
}

async function namesOf(host: Host, home: Home): Promise<ServerAccount["workspaces"]> {
  const { server, token } = await requireLogin(host, home);
  return (await askAccount(host, { server, token })).workspaces;
}
