/** Reads the settings of a home: the machine's policy, command line, environment, `config.json`, defaults. */
import { mergeSettings, SettingError, type Settings } from "../core/config.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { applyPolicy } from "../core/machine_policy.ts";
import type { Host } from "../core/ports.ts";
import { readConfigFile } from "./config_file.ts";
import { machinePolicy } from "./machine_policy.ts";

/** Throws `config_invalid`, naming file, key and value. */
export async function readSettings(
  host: Host,
  home: Home,
  flags: Partial<Record<keyof Settings, string>> = {},
): Promise<Settings> {
  try {
    const users = mergeSettings({ flags, env: host.system.env, file: await readConfigFile(host, home) });
    return applyPolicy(await machinePolicy(host), users).settings;
  } catch (error) {
    if (!(error instanceof SettingError)) throw error;
    throw new DroverError("config_invalid", error.message, { cause: error });
  }
}
