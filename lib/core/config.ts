/** The settings: their keys, defaults and ranges, and how flag, environment and file are merged. */
import type { ReloadMode } from "./reload_gate.ts";
import { formatLimits, parseLimits } from "./claim_budget.ts";
import { CLAIM_SETTINGS, type ClaimSettings } from "./claim_settings.ts";
import { REMOTE_SETTINGS, type RemoteSettings } from "./remote_settings.ts";
import { UPDATE_SETTINGS, type UpdateSettings } from "./update_settings.ts";
import { UPKEEP_SETTINGS, type UpkeepSettings } from "./upkeep_settings.ts";
import { durationOf, formatDuration, integer, namesOf, onOrOff, type Row } from "./setting_values.ts";

export { formatDuration, parseDuration } from "./setting_values.ts";

export interface Settings extends RemoteSettings, ClaimSettings, UpkeepSettings, UpdateSettings {
  /** How many tasks run at once. */
  readonly maxConcurrentTasks: number;
  /** Wall-clock limit of a task in ms. */
  readonly timeLimitMs: number;
  /** How long an agent may say nothing, in ms. */
  readonly silenceLimitMs: number;
  /** The same while one of its tools is at work, since that began. */
  readonly toolLimitMs: number;
  /** How many tasks each agent CLI may have at once, of those that have a limit of their own. */
  readonly agentLimits: Readonly<Record<string, number>>;
  /** Whether agent CLIs are asked if somebody is logged in. */
  readonly loginCheck: boolean;
  /** Prompts, transcripts and finished tasks are kept this long. */
  readonly retentionDays: number;
  readonly logLevel: "debug" | "info" | "warning" | "error";
  /** TCP port of 127.0.0.1 that answers `GET /health`; 0 = none. */
  readonly healthPort: number;
  /** Whether the login shell's PATH is added to our own, for finding agents and for what they find. */
  readonly loginPath: boolean;
  /** Variables with secrets that every agent may see, as names or as beginnings that end in `*`. */
  readonly agentVariables: readonly string[];
  /** How long an agent's question for permission waits for an answer, in ms. */
  readonly askTimeoutMs: number;
  /** What is done about an agent CLI that was replaced. */
  readonly reloadBinaries: ReloadMode;
  /** What is done about drover's own executable, where it was replaced; from source nothing is. */
  readonly reloadSelf: Exclude<ReloadMode, "runtime">;
  /** How often agent CLIs and drover itself are looked at, in ms. */
  readonly reloadIntervalMs: number;
  /** How long a daemon that is to restart goes on taking tasks while others run, in ms. */
  readonly reloadPatienceMs: number;
}

export type SettingSource = "flag" | "environment" | "file" | "default";

/** A setting that cannot be used; the message names the key, its value, where it came from, and the range. */
export class SettingError extends Error {
  override readonly name = "SettingError";
}

type Table = { readonly [K in keyof Settings]: Row<Settings[K]> };

const LEVELS = ["debug", "info", "warning", "error"] as const;
const RELOAD_MODES = ["off", "notify", "runtime", "restart"] as const;
const SELF_MODES = ["off", "notify", "restart"] as const;
const MIN_INTERVAL_MS = 100;
const MIN_ASK_MS = 1_000;

export const SETTINGS: Table = {
  maxConcurrentTasks: {
    key: "tasks.max_concurrent",
    variable: "DROVER_MAX_CONCURRENT_TASKS",
    fallback: 4,
    parse: integer(1, 64),
    write: (value) => value,
    range: "a whole number from 1 to 64",
  },
  timeLimitMs: {
    key: "tasks.time_limit",
    variable: "DROVER_TASK_TIME_LIMIT",
    fallback: 2 * 60 * 60_000,
    parse: (value) => durationOf(value, 1),
    write: formatDuration,
    range: "a duration such as 90s, 30m, 2h or 1d",
  },
  silenceLimitMs: {
    key: "run.silence_limit",
    variable: "DROVER_SILENCE_LIMIT",
    fallback: 30 * 60_000,
    parse: (value) => durationOf(value, 1),
    write: formatDuration,
    range: "a duration such as 90s, 30m, 2h or 1d",
  },
  toolLimitMs: {
    key: "run.tool_limit",
    variable: "DROVER_TOOL_LIMIT",
    fallback: 2 * 60 * 60_000,
    parse: (value) => durationOf(value, 1),
    write: formatDuration,
    range: "a duration such as 90s, 30m, 2h or 1d",
  },
  agentLimits: {
    key: "agents.limits",
    variable: "DROVER_AGENT_LIMITS",
    fallback: {},
    parse: parseLimits,
    write: formatLimits,
    range: "a list such as claude=2,codex=1 with numbers from 1 to 64",
  },
  loginCheck: onOrOff("agents.login_check", "DROVER_LOGIN_CHECK", true),
  retentionDays: {
    key: "retention.days",
    variable: "DROVER_RETENTION_DAYS",
    fallback: 30,
    parse: integer(1, 3650),
    write: (value) => value,
    range: "a whole number of days from 1 to 3650",
  },
  logLevel: {
    key: "log.level",
    variable: "DROVER_LOG_LEVEL",
    fallback: "info",
    parse: (value) => LEVELS.find((level) => level === value),
    write: (value) => value,
    range: LEVELS.join(", "),
    choices: LEVELS,
  },
  healthPort: {
    key: "health.port",
    variable: "DROVER_HEALTH_PORT",
    fallback: 0,
    parse: integer(0, 65_535),
    write: (value) => value,
    range: "a port from 1 to 65535, or 0 for none",
  },
  loginPath: onOrOff("agents.login_path", "DROVER_LOGIN_PATH", true),
  agentVariables: {
    key: "agents.env",
    variable: "DROVER_AGENTS_ENV",
    fallback: [],
    parse: namesOf,
    write: (value) => value.join(","),
    range: "names of variables with commas between them, such as GH_TOKEN,AWS_*",
  },
  askTimeoutMs: {
    key: "permission.ask_timeout",
    variable: "DROVER_PERMISSION_ASK_TIMEOUT",
    fallback: 10 * 60_000,
    parse: (value) => durationOf(value, MIN_ASK_MS),
    write: formatDuration,
    range: "a duration of 1s or more, such as 90s, 10m or 2h",
  },
  ...REMOTE_SETTINGS,
  ...CLAIM_SETTINGS,
  ...UPKEEP_SETTINGS,
  ...UPDATE_SETTINGS,
  reloadBinaries: {
    key: "reload.binaries",
    variable: "DROVER_RELOAD_BINARIES",
    shorthand: { variable: "DROVER_AUTO_RELOAD_BINARIES", value: "restart" },
    fallback: "runtime",
    parse: (value) => RELOAD_MODES.find((mode) => mode === value),
    write: (value) => value,
    range: RELOAD_MODES.join(", "),
    choices: RELOAD_MODES,
  },
  reloadSelf: {
    key: "reload.self",
    variable: "DROVER_RELOAD_SELF",
    fallback: "restart",
    parse: (value) => SELF_MODES.find((mode) => mode === value),
    write: (value) => value,
    range: SELF_MODES.join(", "),
    choices: SELF_MODES,
  },
  reloadIntervalMs: {
    key: "reload.interval",
    variable: "DROVER_RELOAD_INTERVAL",
    fallback: 30_000,
    parse: (value) => durationOf(value, MIN_INTERVAL_MS),
    write: formatDuration,
    range: "a duration of 100ms or more, such as 30s or 5m",
  },
  reloadPatienceMs: {
    key: "reload.patience",
    variable: "DROVER_RELOAD_PATIENCE",
    fallback: 0,
    parse: (value) => value === 0 || value === "0" || value === "0s" ? 0 : durationOf(value, 1),
    write: (value) => value === 0 ? "0s" : formatDuration(value),
    range: "a duration such as 10m or 6h, or 0s for none",
  },
};

/** The name of the setting that has this key in `config.json`. */
export function settingNamed(key: string): keyof Settings | undefined {
  return SETTING_NAMES.find((name) => SETTINGS[name].key === key);
}

export interface SettingInputs {
  readonly flags: Partial<Record<keyof Settings, string>>;
  readonly env: Readonly<Record<string, string>>;
  /** The parsed config file. */
  readonly file: Readonly<Record<string, unknown>>;
}

/** Flag over environment over file over default. Throws `SettingError`. */
export function mergeSettings(inputs: SettingInputs): Settings {
  const entries = SETTING_NAMES.map((name) => {
    const found = findSetting(name, inputs);
    if (found.kind === "unusable") throw new SettingError(found.why);
    return [name, found.value];
  });
  return Object.fromEntries(entries) as Settings;
}

/** What a setting is and where that comes from; `why` names the key, its value, the source and the range. */
export type FoundSetting =
  & { readonly source: SettingSource; /** Of the environment, where it comes from there. */ readonly variable?: string }
  & (
    | { readonly kind: "usable"; readonly value: Settings[keyof Settings] }
    | { readonly kind: "unusable"; readonly given: unknown; readonly why: string }
  );

/** The first source that says anything decides, also when what it says cannot be used. */
export function findSetting(name: keyof Settings, inputs: SettingInputs): FoundSetting {
  const row: Row<Settings[keyof Settings]> = rowOf(name);
  const { shorthand } = row;
  const candidates: { source: SettingSource; variable?: string; where?: string; given: unknown }[] = [
    { source: "flag", where: "the command line", given: inputs.flags[name] },
    { source: "environment", variable: row.variable, given: inputs.env[row.variable] || undefined },
    { source: "environment", variable: shorthand?.variable, given: shorthandOf(row, inputs.env) },
    { source: "file", where: "config.json", given: valueAt(inputs.file, row.key) },
  ];
  for (const { source, variable, where = `the variable ${variable}`, given } of candidates) {
    if (given === undefined) continue;
    const from = { source, ...(variable === undefined ? {} : { variable }) };
    const value = row.parse(given);
    if (value !== undefined) return { ...from, kind: "usable", value };
    const why = `Cannot use ${row.key} = ${JSON.stringify(given)} from ${where}: it must be ${row.range}`;
    return { ...from, kind: "unusable", given, why };
  }
  return { kind: "usable", value: row.fallback, source: "default" };
}

function shorthandOf({ shorthand }: Row<Settings[keyof Settings]>, env: SettingInputs["env"]): string | undefined {
  const text = shorthand && env[shorthand.variable];
  if (!text || text === "0" || text === "false") return undefined;
  return text === "1" || text === "true" ? shorthand.value : text;
}

/** Every setting, in the order of the table. */
export const SETTING_NAMES = Object.keys(SETTINGS) as readonly (keyof Settings)[];

/** A row without the type of its value, for whoever treats all alike. */
export function rowOf(name: keyof Settings): Row<Settings[keyof Settings]> {
  return SETTINGS[name] as unknown as Row<Settings[keyof Settings]>;
}

type Entries = Readonly<Record<string, unknown>>;

function isEntries(value: unknown): value is Entries {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** `a.b` of `{ "a": { "b": 1 } }` or of `{ "a.b": 1 }`. */
export function valueAt(file: Entries, key: string): unknown {
  if (Object.hasOwn(file, key)) return file[key];
  return key.split(".").reduce<unknown>(
    (at, part) => isEntries(at) && Object.hasOwn(at, part) ? at[part] : undefined,
    file,
  );
}

/**
 * The file with one value more, or another one, and all else as it was. Throws `SettingError` where something that is no
 * object stands in the way: it is somebody's, and to replace it would lose it.
 */
export function withValue(file: Entries, key: string, value: unknown): Entries {
  const [first, ...rest] = Object.hasOwn(file, key) ? [key] : key.split(".");
  if (rest.length === 0) return { ...file, [key]: value };
  const inner = Object.hasOwn(file, first!) ? file[first!] : {};
  if (!isEntries(inner)) {
    const held = JSON.stringify(inner);
    throw new SettingError(`Cannot put ${key} into config.json: "${first}" is ${held} there, and must be an object`);
  }
  return { ...file, [first!]: withValue(inner, rest.join("."), value) };
}

/** The file without one value, in either spelling, and without an object that held nothing else. */
export function withoutValue(file: Entries, key: string): Entries {
  const { [key]: _dropped, ...left } = file;
  const [first, ...rest] = key.split(".");
  const inner = left[first!];
  if (rest.length === 0 || !isEntries(inner) || valueAt(inner, rest.join(".")) === undefined) return left;
  const kept = withoutValue(inner, rest.join("."));
  if (Object.keys(kept).length > 0) return { ...left, [first!]: kept };
  const { [first!]: _emptied, ...others } = left;
  return others;
}

/** Keys in the file that are no setting, each as short as it already tells: a misspelt one has no effect at all. */
export function strangeKeys(file: Entries, prefix = ""): readonly string[] {
  return Object.entries(file).flatMap(([part, value]) => {
    const key = prefix + part;
    if (settingNamed(key)) return [];
    const leads = SETTING_NAMES.some((name) => SETTINGS[name].key.startsWith(`${key}.`));
    return leads && isEntries(value) ? strangeKeys(value, `${key}.`) : [key];
  });
}
