/** Each setting as it counts here, and who says so: the machine's policy, a variable, `config.json`, or nobody. */
import {
  findSetting,
  rowOf,
  SETTING_NAMES,
  type SettingInputs,
  type Settings,
  type SettingSource,
} from "../core/config.ts";
import { applyPolicy, MACHINE_POLICY_FILE, NO_POLICY } from "../core/machine_policy.ts";
import type { Host } from "../core/ports.ts";
import type { ConfigFile } from "./config_file.ts";
import { lookAtPolicy } from "./machine_policy.ts";

export interface SettingView {
  readonly key: string;
  /** As it would stand in the file; what was given, where that cannot be used. */
  readonly value: unknown;
  readonly source: SettingSource | "policy";
  /** What the user has said, where the policy has the say; null elsewhere. */
  readonly wanted: unknown;
  readonly default: string | number | boolean;
  readonly range: string;
  readonly variable: string;
  /** Why the value cannot be used. */
  readonly problem: string | null;
}

export interface SettingViews {
  readonly of: (name: keyof Settings) => SettingView;
  /** Why the policy of this machine cannot be used; null where it can, and where there is none. */
  readonly policyProblem: string | null;
}

/** Without the options of a command line. */
export async function settingViews(host: Pick<Host, "files" | "system">, file: ConfigFile): Promise<SettingViews> {
  const inputs = { flags: {}, env: host.system.env, file };
  const look = await lookAtPolicy(host);
  const users = usersSettings(inputs);
  const { settings } = applyPolicy(look.kind === "in-force" ? look.policy : NO_POLICY, users);
  return {
    policyProblem: look.kind === "unusable" ? `Cannot use ${MACHINE_POLICY_FILE}: ${look.why}` : null,
    of(name) {
      const row = rowOf(name);
      const found = findSetting(name, inputs);
      const given = found.kind === "usable" ? row.write(found.value) : found.given;
      const counts = row.write(settings[name]);
      const overruled = JSON.stringify(counts) !== JSON.stringify(row.write(users[name]));
      return {
        key: row.key,
        value: overruled ? counts : given,
        source: overruled ? "policy" : found.source,
        wanted: overruled ? given : null,
        default: row.write(row.fallback),
        range: row.range,
        variable: found.variable ?? row.variable,
        problem: found.kind === "unusable" ? found.why : null,
      };
    },
  };
}

/** What cannot be used is taken for not said. */
function usersSettings(inputs: SettingInputs): Settings {
  const entries = SETTING_NAMES.map((name) => {
    const found = findSetting(name, inputs);
    return [name, found.kind === "usable" ? found.value : rowOf(name).fallback];
  });
  return Object.fromEntries(entries) as Settings;
}

/** Who has the say about a setting, as the subject of a sentence. */
export function whoSays({ source, variable, key }: SettingView): string {
  if (source === "policy") return "the policy of this machine";
  return source === "environment" ? `the variable ${variable}` : `${key} in config.json`;
}
