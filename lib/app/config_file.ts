/** The config file of a home: read with errors that name it, and changed one key at a time without losing the rest. */
import { SettingError, valueAt, withoutValue, withValue } from "../core/config.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { jsonFault } from "../core/json_fault.ts";
import { type Host, HostError } from "../core/ports.ts";
import { inHome, openHome } from "./home_dir.ts";

/** Changes take milliseconds; whoever waits longer waits for something that hangs. */
const LOCK_MS = 5_000;

export type ConfigFile = Readonly<Record<string, unknown>>;

/** No file is an empty one. Throws `config_invalid`. */
export async function readConfigFile(host: Host, home: Home): Promise<ConfigFile> {
  const path = home.config;
  let text: string;
  try {
    text = await host.files.readText(path);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    if (error.code === "not-found") return {};
    throw unreadable(error.message, error);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return value as ConfigFile;
  } catch {
    // The engine's own words quote the text, which may hold secrets.
    const { line, column } = jsonFault(text) ?? { line: 1, column: 1 };
    throw unreadable(`Cannot read ${path}: it is no JSON from line ${line}, column ${column} on`);
  }
  throw unreadable(`Cannot read ${path}: it holds no JSON object`);
}

/**
 * Puts a value under a dotted key, making home and file where there are none; what `same` takes for equal is left alone.
 * Throws `config_invalid`, `home_unusable` and `busy`; a file that cannot be read is never overwritten.
 */
export function setInConfigFile(
  host: Host,
  home: Home,
  { key, value, same }: { key: string; value: unknown; same: (held: unknown) => boolean },
): Promise<"set" | "unchanged"> {
  return change(host, home, {
    unless: async () => same(valueAt(await readConfigFile(host, home), key)) ? "unchanged" : undefined,
    edit: (file) => withValue(file, key, value),
    done: "set",
  });
}

/** Takes a dotted key out. Makes nothing. Throws as `setInConfigFile` does. */
export function unsetInConfigFile(host: Host, home: Home, key: string): Promise<"unset" | "notSet"> {
  return change(host, home, {
    unless: async () => valueAt(await readConfigFile(host, home), key) === undefined ? "notSet" : undefined,
    edit: (file) => withoutValue(file, key),
    done: "unset",
  });
}

interface Change<Status> {
  /** The status when there is nothing to do. */
  readonly unless: () => Promise<Status | undefined>;
  readonly edit: (file: ConfigFile) => ConfigFile;
  readonly done: Status;
}

/** Read and write are one step under a lock, or of two changes at the same time one would be lost. */
async function change<Status>(host: Host, home: Home, { unless, edit, done }: Change<Status>): Promise<Status> {
  const idle = await unless();
  if (idle !== undefined) return idle;
  await openHome(host, home);
  using lock = await inHome(home, () => host.locks.lock(`${home.runDirectory}/config.lock`, { timeoutMs: LOCK_MS }));
  if (!lock) {
    throw new DroverError("busy", `Cannot change ${home.config}: another drover has been changing it for 5 s`, {
      hint: "try again; if that does not help, look for a drover config that hangs",
    });
  }
  const late = await unless();
  if (late !== undefined) return late;
  const file = edited(await readConfigFile(host, home), edit);
  const path = await target(host, home);
  await inHome(home, () => host.files.writeAtomic(path, JSON.stringify(file, null, 2) + "\n"));
  return done;
}

function edited(file: ConfigFile, edit: (file: ConfigFile) => ConfigFile): ConfigFile {
  try {
    return edit(file);
  } catch (error) {
    if (!(error instanceof SettingError)) throw error;
    throw unreadable(error.message, error);
  }
}

/** Where a link leads: people keep such files elsewhere, and a rename would put a file in the link's place. */
async function target(host: Host, home: Home): Promise<string> {
  const { files } = host;
  const info = await inHome(home, () => files.stat(home.config));
  return info ? await inHome(home, () => files.realPath(home.config)) : home.config;
}

function unreadable(message: string, cause?: unknown): DroverError {
  return new DroverError("config_invalid", message, {
    hint: "mend the file, or move it aside to start with the defaults",
    cause,
  });
}
