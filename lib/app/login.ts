/** Logging in and out: where a token may be sent, the file it is kept in, and the daemon that is to know at once. */
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { Host } from "../core/ports.ts";
import { isLoopback } from "../core/proxy.ts";
import { rowOf, valueAt } from "../core/config.ts";
import { serverUrlOf } from "../core/remote_settings.ts";
import { readConfigFile, setInConfigFile, unsetInConfigFile } from "./config_file.ts";
import { readCredentials, removeCredentials, writeCredentials } from "./credentials.ts";
import { removeUnfinished } from "./home_dir.ts";
import { tellDaemon } from "./live_config.ts";
import { demandServerAllowed } from "./machine_policy.ts";
import { askAccount, type ServerAccount } from "./server_account.ts";
import { readSettings } from "./settings.ts";

export interface LoginRequest {
  readonly server: string;
  readonly token: string;
}

export interface LoggedIn extends ServerAccount {
  readonly server: string;
  /** The variable that names another server, which is then the one that counts. */
  readonly hiddenBy: string | null;
  /** What the owner had allowed another server is taken back. */
  readonly consentTakenBack: boolean;
  /** It may send tasks already. */
  readonly consented: boolean;
  /** What a running daemon makes of it. */
  readonly daemon: "told" | "restart-needed" | "none";
}

const SERVER = rowOf("serverUrl");

/** An agent works by its owner's consent, and does not give it. Throws `usage`. */
export function refuseInsideTask({ env }: Pick<Host["system"], "env">): void {
  if (!env.DROVER_TASK_ID) return;
  throw new DroverError("usage", "Cannot do that inside a task: who this machine works for is for its owner to say", {
    hint: "if you are the owner, unset DROVER_TASK_ID in this terminal",
  });
}

/** The server to log in at: what was typed, or else what is configured. Throws `usage`. */
export async function serverToUse(
  host: Host,
  home: Home,
  { given, insecure }: { given: string | undefined; insecure: boolean },
): Promise<string> {
  const server = given === undefined ? (await readSettings(host, home)).serverUrl : serverUrlOf(given);
  if (server === undefined) {
    throw new DroverError("usage", `Cannot log in at ${JSON.stringify(given)}: it must be ${SERVER.range}`);
  }
  if (server === "") {
    throw new DroverError("usage", "Cannot log in: no server is configured", {
      hint: "name it: drover login --server https://multica.example.com",
    });
  }
  await demandServerAllowed(host, server);
  if (!isPrivate(server) && !insecure) {
    throw new DroverError("usage", `Cannot log in at ${server}: everybody on the way could read the token`, {
      hint: "use its https:// address, or --insecure in a network that you trust",
    });
  }
  return server;
}

/** Nobody on the way can read what is sent there. */
export function isPrivate(server: string): boolean {
  const { protocol, hostname } = new URL(server);
  return protocol === "https:" || isLoopback(hostname);
}

/** Throws `usage`. */
export function checkedToken(text: string | undefined): string {
  const token = text?.trim() ?? "";
  if (token === "") throw new DroverError("usage", "Cannot log in: no token was given", { hint: HOW_TO_GIVE });
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new DroverError("usage", "Cannot log in: a token is one word, and what was given is not", {
      hint: HOW_TO_GIVE,
    });
  }
  if (token.startsWith("mat_")) {
    throw new DroverError("usage", "Cannot log in: that is the token of one task, with which nobody can log in", {
      hint: "make a personal access token (mul_…) on the server's settings page",
    });
  }
  return token;
}

export const HOW_TO_GIVE = "pipe it in: drover login --token - < FILE; or type it when drover login asks at a terminal";

/** Nothing is kept of a token that the server does not take. Throws `login_refused`, `server_unreachable`. */
export async function logIn(host: Host, home: Home, { server, token }: LoginRequest): Promise<LoggedIn> {
  const account = await askAccount(host, { server, token });
  // What cannot be read is said before anything is changed.
  await readSettings(host, home);
  const consentTakenBack = await takeBackConsent(host, home, server);
  await writeCredentials(host, home, { server, token, user: account.user, expiresAt: null });
  await setInConfigFile(host, home, { key: SERVER.key, value: server, same: (held) => held === server });
  const { serverUrl: counts, remoteEnabled, watchAll, watchedWorkspaces } = await readSettings(host, home);
  const consented = remoteEnabled && (watchAll || Object.keys(watchedWorkspaces).length > 0);
  const told = await tellDaemon(host, home);
  const connection = told?.remote?.connection?.server;
  const daemon = !told ? "none" : remoteEnabled && connection !== counts ? "restart-needed" : "told";
  const hiddenBy = counts === server ? null : SERVER.variable;
  return { ...account, server, hiddenBy, consentTakenBack, consented, daemon };
}

/**
 * Before `server` is written down ("" for none): what was allowed was allowed to the members of the server that the files
 * of this home name, whatever a variable says. True when that was another one and there was anything to take back.
 */
export async function takeBackConsent(host: Host, home: Home, server: string): Promise<boolean> {
  const [file, credentials] = await Promise.all([readConfigFile(host, home), readCredentials(host, home)]);
  const known = [SERVER.parse(valueAt(file, SERVER.key)), credentials?.server];
  if (known.every((one) => !one || one === server)) return false;
  let taken = false;
  for (const name of ["remoteEnabled", "watchedWorkspaces", "watchAll"] as const) {
    taken = await unsetInConfigFile(host, home, rowOf(name).key) === "unset" || taken;
  }
  return taken;
}

/** The server that was left; null when nobody was logged in. */
export async function logOut(host: Host, home: Home): Promise<string | null> {
  const credentials = await readCredentials(host, home);
  await removeUnfinished(host, home);
  if (!await removeCredentials(host, home)) return null;
  await tellDaemon(host, home);
  return credentials?.server ?? "";
}

export interface WhoAmI extends ServerAccount {
  readonly server: string;
  readonly expiresAt: string | null;
}

/** By the server's word. Throws `login_needed`, `login_refused`, `server_unreachable`. */
export async function whoAmI(host: Host, home: Home): Promise<WhoAmI> {
  const { server, token, expiresAt } = await requireLogin(host, home);
  return { ...await askAccount(host, { server, token }), server, expiresAt };
}

/** Throws `login_needed`. */
export async function requireLogin(
  host: Host,
  home: Home,
): Promise<{ server: string; token: string; expiresAt: string | null }> {
  const [credentials, { serverUrl }] = await Promise.all([readCredentials(host, home), readSettings(host, home)]);
  const where = serverUrl || "any server";
  if (!credentials) {
    const hint = serverUrl ? "drover login" : "drover login --server https://multica.example.com";
    throw new DroverError("login_needed", `Cannot ask the server: not logged in at ${where}`, { hint });
  }
  if (serverUrl !== "" && credentials.server !== serverUrl) {
    const message =
      `Cannot ask the server: logged in at ${credentials.server}, and the configured server is ${serverUrl}`;
    throw new DroverError("login_needed", message, { hint: `drover login --server ${serverUrl}` });
  }
  const { server, token, expiresAt } = credentials;
  await demandServerAllowed(host, server);
  return { server, token, expiresAt };
}
