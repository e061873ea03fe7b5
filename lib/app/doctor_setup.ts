/** What drover works with, as `drover doctor` sees it: settings, agent CLIs, PATH, proxies, and what the log complains of. */
import { findSetting, SETTING_NAMES, type Settings, strangeKeys } from "../core/config.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { SkipReason } from "../core/model.ts";
import { type Env, type Host, HostError } from "../core/ports.ts";
import { readConfigFile } from "./config_file.ts";
import { openLoginPath } from "./login_path.ts";
import { checkPolicy } from "./machine_policy.ts";
import { NAME_THEM, withheldHere, withheldText } from "./secrets_view.ts";
import { checkServer } from "./doctor_server.ts";
import { type Check, count, type Finding, ok, problem, warning } from "./doctor_check.ts";

/** Need the home's name only, and make nothing in it. */
export const HOME_SETUP_CHECKS: readonly Check<{ readonly host: Host; readonly home: Home }>[] = [
  ["policy", ({ host, home }) => checkPolicy(host, home)],
  ["settings", ({ host, home }) => checkSettings(host, home)],
  ["server", ({ host, home }) => checkServer(host, home)],
  ["log", ({ host, home }) => checkLog(host, home)],
];

/** `env` is what agents get: with what the login shell adds to PATH, where that is known. */
export interface Machine {
  readonly host: Host;
  readonly env: Env;
  /** Which secrets of it all agents may see, by the setting; absent where there is none. */
  readonly variables?: readonly string[];
}

export const MACHINE_CHECKS: readonly Check<Machine>[] = [
  ["agents", checkAgents],
  ["PATH", checkPath],
  ["proxies", checkProxies],
  ["secrets", checkSecrets],
];

/** What the daemon of a home gives its agents, as far as that is known without asking the login shell. */
export async function agentSurroundings(host: Host, home: Home): Promise<Pick<Machine, "env" | "variables">> {
  const file = await readConfigFile(host, home).catch(() => ({}));
  const setting = (name: keyof Settings) => {
    const found = findSetting(name, { flags: {}, env: host.system.env, file });
    return found.kind === "usable" ? found.value : undefined;
  };
  const around = await openLoginPath(host, home, { enabled: setting("loginPath") === true });
  const variables = setting("agentVariables");
  return { env: around.env(), ...(Array.isArray(variables) ? { variables } : {}) };
}

async function checkSettings(host: Host, home: Home): Promise<Finding[]> {
  let file: Readonly<Record<string, unknown>>;
  try {
    file = await readConfigFile(host, home);
  } catch (error) {
    if (error instanceof DroverError) return [problem(error.message, error.hint ?? `mend ${home.config}`)];
    throw error;
  }
  const inputs = { flags: {}, env: host.system.env, file };
  const unusable = SETTING_NAMES.flatMap((name) => {
    const found = findSetting(name, inputs);
    return found.kind === "unusable" ? [problem(found.why, "drover config list shows every setting")] : [];
  });
  const strange = strangeKeys(file).map((key) =>
    warning(`config.json has ${JSON.stringify(key)}, which is no setting`, "drover config list shows those there are")
  );
  const found = [...unusable, ...strange];
  if (found.length > 0) return found;
  const changed = SETTING_NAMES.filter((name) => {
    const setting = findSetting(name, inputs);
    return setting.kind === "usable" && setting.source !== "default";
  });
  return [ok(`all usable, ${changed.length} not at the default`)];
}

/** A CLI that is there and not usable: somebody probably wants it to be. Not installed at all is no news. */
const WANTED: ReadonlySet<SkipReason> = new Set<SkipReason>([
  "not-executable",
  "version-probe-failed",
  "version-unreadable",
  "version-too-old",
]);

async function checkAgents({ host, env, variables }: Machine): Promise<Finding[]> {
  const { discoverAgents } = await import("./embedded_daemon.ts");
  const { found, skipped } = await discoverAgents(host, { env, ...(variables ? { variables } : {}) });
  const usable = found.filter(({ provider }) => provider !== "demo");
  const broken = skipped.filter(({ why }) => WANTED.has(why)).map(({ provider, why, detail }) =>
    warning(
      `${provider} is there and cannot be used (${why}): ${detail}`,
      "mend or update it; drover agents --all lists them",
    )
  );
  const details = [
    ...found.map(({ provider, version, executable }) => `${provider} ${version} ${executable}`.replace("  ", " ")),
    ...skipped.map(({ provider, why, detail }) => `${provider} skipped (${why}): ${detail}`),
  ];
  if (usable.length === 0) {
    return [
      warning("no agent CLI found", "install one; drover agents --all lists those drover knows", details),
      ...broken,
    ];
  }
  const names = usable.map(({ provider, version }) => `${provider} ${version}`.trim()).join(", ");
  return [ok(names, details), ...broken];
}

/** An agent that cannot push or fetch for want of a token looks broken otherwise. */
function checkSecrets({ env, variables = [] }: Machine): Promise<Finding[]> {
  const withheld = withheldHere(env, { variables });
  const finding = withheld.length === 0
    ? ok("none in the environment is kept from agents")
    : ok(`kept from agents: ${withheldText(withheld)}`, [NAME_THEM]);
  return Promise.resolve([finding]);
}

const STICKY = 0o1000;

async function checkPath({ host: { files, system }, env: { PATH: path } }: Machine): Promise<Finding[]> {
  if (!path) return [problem("PATH is not set: no agent CLI can be found", "set PATH")];
  const entries = [...new Set(path.split(":"))];
  const relative = entries.filter((entry) => !entry.startsWith("/"));
  const found = relative.map((entry) =>
    warning(
      entry === "" ? "it has an empty entry, which means the current directory" : `it has ${entry}, which is relative`,
      "take it out: what it leads to depends on where drover is started",
    )
  );
  const missing: string[] = [];
  for (const entry of entries.filter((entry) => entry.startsWith("/"))) {
    const info = await files.stat(entry).catch(() => undefined);
    if (!info?.isDirectory) missing.push(entry);
    else if ((info.mode & 0o002) !== 0 && (info.mode & STICKY) === 0) {
      found.push(warning(`everybody may put programs into ${entry}`, `chmod o-w ${entry}, or take it out`));
    }
  }
  if (found.length > 0) return found;
  const own = new Set(system.env.PATH?.split(":"));
  const login = entries.filter((entry) => !own.has(entry)).length;
  const added = login > 0 ? `, ${login} of them from the login shell` : "";
  const gone = missing.length > 0 ? `, ${missing.length} of them not there` : "";
  return [ok(`${count(entries.length, "directory").replace(/ys$/, "ies")}${added}${gone}`, entries)];
}

const PROXY = /^(https?|all|no)_proxy$/i;

function checkProxies({ env }: Machine): Finding {
  const set = Object.entries(env).filter(([name, value]) => PROXY.test(name) && value !== "");
  if (set.length === 0) return ok("none in the environment");
  const details = set.map(([name, value]) => `${name}=${withoutCredentials(value)}`);
  return ok(
    `agents get ${set.map(([name]) => name).join(", ")}; drover uses them for its team server alone`,
    details,
  );
}

/** Also where there is no scheme, or where the password has an @. */
function withoutCredentials(value: string): string {
  const at = value.lastIndexOf("@");
  if (at < 0) return value;
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(value)?.[0] ?? "";
  return `${scheme}[redacted]@${value.slice(at + 1)}`;
}

const RECENT_MS = 24 * 60 * 60_000;
const SHOWN = 5;
const MAX_LINE = 300;

async function checkLog(host: Host, home: Home): Promise<Finding> {
  let text: string;
  try {
    text = await host.files.readText(home.logFile);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    if (error.code === "not-found") return ok("there is none yet");
    return problem(error.message, `mend ${home.logFile}`);
  }
  const errors = text.split("\n").flatMap((line) => errorLine(line, host.clock.now() - RECENT_MS));
  if (errors.length === 0) return ok(`no errors within a day in ${home.logFile}`);
  const what = `${count(errors.length, "error")} within a day, the last: ${errors.at(-1)}`;
  return warning(what, "drover logs shows the log", errors.slice(-SHOWN));
}

function errorLine(line: string, since: number): string[] {
  // Most lines are none: not worth parsing.
  if (!/"(ERROR|FATAL)"/.test(line)) return [];
  try {
    const { "@timestamp": at, level, logger, message, ...fields } = JSON.parse(line);
    if (level !== "ERROR" && level !== "FATAL" || !(Date.parse(at) >= since)) return [];
    const more = Object.keys(fields).length > 0 ? ` ${JSON.stringify(fields)}` : "";
    return [`${at} ${String(logger).replace(/^drover\.?/, "")}: ${message}${more}`.slice(0, MAX_LINE)];
  } catch {
    return [];
  }
}
