/** The service definition that has systemd or launchd run a home's daemon: what it holds, what it freezes, and where it lives. */
import { SETTINGS } from "./config.ts";
import type { Env } from "./ports.ts";
import { launchdEnv, launchdPlist } from "./service_unit_launchd.ts";
import { fitsDefinition, type ServiceKind, type ServiceSpec } from "./service_unit_spec.ts";
import { systemdEnv, systemdUnit } from "./service_unit_systemd.ts";

interface Format {
  readonly label: (mark: string) => string;
  /** Below the user's own directory for such files. */
  readonly file: (label: string) => string;
  readonly write: (spec: ServiceSpec) => string;
  /** What `write` put there as `env`; whatever it cannot read is missing. */
  readonly readEnv: (text: string) => Env;
}

const FORMATS: { readonly [K in ServiceKind]: Format } = {
  systemd: {
    label: (mark) => `drover-${mark}`,
    file: (label) => `${label}.service`,
    write: systemdUnit,
    readEnv: systemdEnv,
  },
  launchd: {
    label: (mark) => `dev.drover.${mark}`,
    file: (label) => `${label}.plist`,
    write: launchdPlist,
    readEnv: launchdEnv,
  },
};

/** Which service manager an operating system has. */
export function serviceKind(os: "linux" | "darwin"): ServiceKind {
  return os === "darwin" ? "launchd" : "systemd";
}

/** Two homes have two labels. `homeDigest`: SHA-256 in hex of the home's real path. */
export function serviceLabel(kind: ServiceKind, homeDigest: string): string {
  return FORMATS[kind].label(homeDigest.slice(0, 12));
}

/** Where the user's service definitions are; `undefined` where the environment has no absolute `HOME`. */
export function serviceFile(kind: ServiceKind, label: string, env: Env): string | undefined {
  const absolute = (path: string | undefined) => path?.startsWith("/") ? path.replace(/\/+$/, "") : undefined;
  const user = absolute(env.HOME);
  const config = absolute(env.XDG_CONFIG_HOME) ?? (user === undefined ? undefined : `${user}/.config`);
  const directory = kind === "launchd" ? user && `${user}/Library/LaunchAgents` : config && `${config}/systemd/user`;
  return directory && `${directory}/${FORMATS[kind].file(label)}`;
}

export function serviceDefinition(kind: ServiceKind, spec: ServiceSpec): string {
  return FORMATS[kind].write(spec);
}

/** What an installed definition gives the daemon as its environment. */
export function installedEnv(kind: ServiceKind, text: string): Env {
  return FORMATS[kind].readEnv(text);
}

/** The words behind the program that make it a supervised daemon. */
export function supervisedArgs(kind: ServiceKind): readonly string[] {
  return ["daemon", "--quiet", "--supervised", kind];
}

/**
 * What the service keeps of the environment it is installed from. A service manager knows neither the shell's PATH nor
 * its proxies. Settings have a file of their own, and a frozen variable would hide it.
 */
const FROZEN = [
  /^DROVER_[A-Z0-9]+(_[A-Z0-9]+)*_PATH$/,
  /^(LANG|LC_ALL|LC_CTYPE)$/,
  /^(HTTP|HTTPS|ALL|NO)_PROXY$/i,
  /^(SSL_CERT_FILE|SSL_CERT_DIR|NODE_EXTRA_CA_CERTS|DENO_CERT|DENO_TLS_CA_STORE)$/,
];
/** What Deno itself needs to run the program from its sources. */
const FROZEN_FROM_SOURCE = [/^DENO_(DIR|NO_UPDATE_CHECK)$/];

function settingNames(): ReadonlySet<string> {
  return new Set(Object.values(SETTINGS).map(({ variable }) => variable));
}

/** Absent or empty PATH: what every system has. */
const PLAIN_PATH = "/usr/local/bin:/usr/bin:/bin";

/** The service's environment, made from the one that `service install` is called in. */
export function frozenEnv(
  env: Env,
  { home, bin, compiled }: { home: string; bin: string; compiled: boolean },
): Env {
  const patterns = compiled ? FROZEN : [...FROZEN, ...FROZEN_FROM_SOURCE];
  const kept = Object.entries(env).filter(([name, value]) =>
    value !== "" && fitsDefinition(value) && !settingNames().has(name) && patterns.some((pattern) => pattern.test(name))
  );
  // Agents get the home's own directory first anyway, and one who installs from inside a task has it on its PATH.
  const path = [...new Set((env.PATH ?? "").split(":"))].filter((entry) =>
    entry.startsWith("/") && entry !== bin && fitsDefinition(entry)
  );
  const all = [...kept, ["DROVER_HOME", home], ["PATH", path.join(":") || PLAIN_PATH]] as const;
  return Object.fromEntries(all.toSorted(([a], [b]) => a < b ? -1 : 1));
}
