/** What the administrator of a machine has laid down: which servers, which version, which settings, and how far users may go. */
import { rowOf, settingNamed, type Settings } from "./config.ts";
import type { PerAgent } from "./day_limits.ts";
import { isObject } from "./fields.ts";
import type { FileInfo } from "./ports.ts";
import { tighten } from "./permission_policy.ts";
import { isReleaseVersion } from "./release.ts";
import { serverUrlOf } from "./remote_settings.ts";

export const MACHINE_POLICY_FILE = "/etc/drover/policy.json";

export interface MachinePolicy {
  /** The only servers that may be used; absent: any. */
  readonly servers?: readonly string[];
  /** The only version that may be installed; absent: any. */
  readonly updatePin?: string;
  /** These count, whatever the command line, the environment and `config.json` say. */
  readonly settings: Partial<Settings>;
  /** Users may stay below these, and not go beyond. */
  readonly limits: Partial<Pick<Settings, Limited>>;
}

export const NO_POLICY: MachinePolicy = { settings: {}, limits: {} };

type Narrower = { readonly [K in keyof Settings]?: (users: Settings[K], limit: Settings[K]) => Settings[K] };

const lower = (users: number, limit: number) => Math.min(users, limit);

/** The settings that have an order, and what is left of a user's wish under a limit. */
const NARROWER = {
  maxConcurrentTasks: lower,
  timeLimitMs: lower,
  silenceLimitMs: lower,
  toolLimitMs: lower,
  retentionDays: lower,
  agentLimits: lowerEach,
  tasksPerDay: lowerEach,
  tokensPerDay: lowerEach,
  usdPerDay: lowerEach,
  workspacePolicy: tighten,
} as const satisfies Narrower;

type Limited = keyof typeof NARROWER;

function isLimited(name: keyof Settings): name is Limited {
  return Object.hasOwn(NARROWER, name);
}

/** Each agent's lower limit; `*` is for those without one of their own. */
function lowerEach(users: PerAgent, limit: PerAgent): PerAgent {
  const of = (limits: PerAgent, name: string) =>
    Object.hasOwn(limits, name) ? limits[name]! : Object.hasOwn(limits, "*") ? limits["*"]! : Infinity;
  const names = new Set([...Object.keys(users), ...Object.keys(limit)]);
  return Object.fromEntries([...names].map((name) => [name, Math.min(of(users, name), of(limit, name))]));
}

const KEYS = ["schema", "servers", "update_pin", "settings", "limits"];

/**
 * The policy in a file, or what is wrong with it. A key that is not known is wrong too: a misspelt restriction would
 * restrict nothing.
 */
export function readMachinePolicy(text: string): { readonly policy: MachinePolicy } | { readonly wrong: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { wrong: `it is no JSON (${(error as Error).message})` };
  }
  if (!isObject(value)) return { wrong: "it is no object" };
  const strange = Object.keys(value).find((key) => !KEYS.includes(key));
  if (strange !== undefined) return { wrong: `"${strange}" is not known; there are ${KEYS.join(", ")}` };
  if (value.schema !== undefined && value.schema !== 1) return { wrong: "this drover knows schema 1 only" };
  const servers = serversIn(value.servers);
  if (servers === "wrong") return { wrong: "servers must be a list of addresses" };
  const { update_pin: pin } = value;
  if (pin !== undefined && !(typeof pin === "string" && isReleaseVersion(pin))) {
    return { wrong: "update_pin must be a version such as 1.2.3" };
  }
  const settings = settingsIn(value.settings, "settings");
  if (typeof settings === "string") return { wrong: settings };
  const limits = settingsIn(value.limits, "limits");
  if (typeof limits === "string") return { wrong: limits };
  return {
    policy: {
      ...(servers ? { servers } : {}),
      ...(pin === undefined ? {} : { updatePin: pin }),
      settings,
      limits,
    },
  };
}

function serversIn(value: unknown): readonly string[] | undefined | "wrong" {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) return "wrong";
  const servers = value.map((one) => typeof one === "string" ? serverUrlOf(one) : undefined);
  return servers.every((one) => one !== undefined) ? servers : "wrong";
}

function settingsIn(value: unknown, where: "settings" | "limits"): Partial<Settings> | string {
  if (value === undefined) return {};
  if (!isObject(value)) return `${where} must be an object`;
  const found: Partial<Record<keyof Settings, unknown>> = {};
  for (const [key, given] of Object.entries(value)) {
    const name = settingNamed(key);
    if (!name) return `${where} has "${key}", which is no setting`;
    if (where === "limits" && !isLimited(name)) return `limits has "${key}", which has no order: put it into settings`;
    const parsed = rowOf(name).parse(given);
    if (parsed === undefined) return `${where} has ${key} = ${JSON.stringify(given)}: it must be ${rowOf(name).range}`;
    found[name] = parsed;
  }
  return found as Partial<Settings>;
}

/** Where a user wanted something else than what counts. */
export interface Overridden {
  readonly key: string;
  readonly wanted: string | number | boolean;
  readonly counts: string | number | boolean;
}

/** The settings as they count here. Of a server that is not allowed no work is taken. */
export function applyPolicy(
  policy: MachinePolicy,
  users: Settings,
): { readonly settings: Settings; readonly overridden: readonly Overridden[] } {
  let settings: Settings = { ...users, ...policy.settings };
  for (const name of Object.keys(policy.limits) as Limited[]) settings = narrowed(settings, name, policy.limits);
  const { workspacePolicy: most } = policy.limits;
  if (most !== undefined) {
    const entries = Object.entries(settings.watchedWorkspaces).map(([id, wish]) => [id, tighten(wish, most)]);
    settings = { ...settings, watchedWorkspaces: Object.fromEntries(entries) };
  }
  if (!isServerAllowed(policy, settings.serverUrl)) settings = { ...settings, remoteEnabled: false };
  const names = (Object.keys(settings) as (keyof Settings)[]).filter((name) =>
    JSON.stringify(settings[name]) !== JSON.stringify(users[name])
  );
  const overridden = names.map((name) => {
    const { key, write } = rowOf(name);
    return { key, wanted: write(users[name]), counts: write(settings[name]) };
  });
  return { settings, overridden };
}

function narrowed<K extends Limited>(settings: Settings, name: K, limits: MachinePolicy["limits"]): Settings {
  const narrower = NARROWER[name] as unknown as (users: Settings[K], limit: Settings[K]) => Settings[K];
  return { ...settings, [name]: narrower(settings[name], limits[name] as Settings[K]) };
}

/** `server`: as settings have it; no server at all is always allowed. */
export function isServerAllowed({ servers }: MachinePolicy, server: string): boolean {
  return server === "" || !servers || servers.includes(server);
}

/**
 * Why a file or a directory on the way to it cannot speak for the administrator; `undefined` when it can. A link is
 * judged by where it leads.
 */
export function whyNotAdmins(info: Pick<FileInfo, "uid" | "mode">): string | undefined {
  if (info.uid !== 0) return `it belongs to user ${info.uid}, not to root`;
  if ((info.mode & 0o022) !== 0) return `others may write to it (mode ${(info.mode & 0o777).toString(8)})`;
  return undefined;
}

/** In a few words, for people. */
export function describePolicy(policy: MachinePolicy): readonly string[] {
  const { servers, updatePin, settings, limits } = policy;
  const shown = (values: Partial<Settings>) =>
    (Object.keys(values) as (keyof Settings)[]).map((name) => {
      const { key, write } = rowOf(name);
      return `${key} ${write(values[name]!)}`;
    });
  return [
    ...(servers ? [servers.length === 0 ? "no server" : `only the server ${servers.join(", ")}`] : []),
    ...(updatePin ? [`only version ${updatePin}`] : []),
    ...shown(settings).map((text) => `always ${text}`),
    ...shown(limits).map((text) => `at most ${text}`),
  ];
}
