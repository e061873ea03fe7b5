/** The settings and the login of a running daemon as they are now: both files are looked at, and a change takes effect at once. */
import type { Settings } from "../core/config.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { liveSettings } from "../core/live_settings.ts";
import { MACHINE_POLICY_FILE } from "../core/machine_policy.ts";
import { type FileInfo, type Host, HostError, type Logger } from "../core/ports.ts";
import { type Credentials, readCredentials } from "./credentials.ts";
import { readSettings } from "./settings.ts";

/** For changes by hand; commands of ours say so themselves. */
const LOOK_MS = 3_000;

export type SettingFlags = NonNullable<Parameters<typeof readSettings>[2]>;

export interface ConfigView {
  /** Why the file cannot be used, while the daemon goes on with what it had; null when it can. */
  readonly problem: string | null;
  /** Keys that were changed and that the next start takes. */
  readonly waiting: readonly string[];
}

export class ConfigWatch {
  readonly #host: Host;
  readonly #home: Home;
  readonly #log: Logger;
  readonly #started: Settings;
  readonly #flags: SettingFlags;
  readonly #listeners = new Set<() => void>();
  #settings: Settings;
  #credentials: Credentials | undefined;
  #marks = "";
  #view: ConfigView = { problem: null, waiting: [] };
  #looking: Promise<void> | undefined;

  private constructor(host: Host, home: Home, { settings, flags = {} }: { settings: Settings; flags?: SettingFlags }) {
    this.#host = host;
    this.#home = home;
    this.#log = host.logs.getLogger("app");
    this.#started = this.#settings = settings;
    this.#flags = flags;
  }

  /** `settings`: what the daemon begins with; `flags`: what of it came from the command line, and stays. */
  static async open(
    host: Host,
    home: Home,
    options: { settings: Settings; flags?: SettingFlags },
  ): Promise<ConfigWatch> {
    const watch = new ConfigWatch(host, home, options);
    watch.#marks = await watch.#look();
    watch.#credentials = await readCredentials(host, home);
    // Changed since the settings were read, which may be long ago where this process takes its home back.
    if (options.flags) await watch.#takeSettings();
    return watch;
  }

  readonly settings = (): Settings => this.#settings;
  readonly credentials = (): Credentials | undefined => this.#credentials;
  readonly view = (): ConfigView => this.#view;

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Resolves when what stood in the files at the time of the call is in effect. */
  async look(): Promise<void> {
    // One under way may have read before the change.
    await this.#looking;
    await (this.#looking ??= this.#take().finally(() => this.#looking = undefined));
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#host.clock.sleep(LOOK_MS, { signal }).catch(() => {});
      if (!signal.aborted) {
        await this.look().catch((error) => this.#log.warn("a look failed", { error: String(error) }));
      }
    }
  }

  async #take(): Promise<void> {
    const marks = await this.#look();
    if (marks === this.#marks) return;
    this.#marks = marks;
    const before = JSON.stringify([this.#settings, this.#credentials]);
    this.#credentials = await readCredentials(this.#host, this.#home);
    await this.#takeSettings();
    if (JSON.stringify([this.#settings, this.#credentials]) === before) return;
    for (const listener of this.#listeners) listener();
  }

  async #takeSettings(): Promise<void> {
    try {
      const latest = await readSettings(this.#host, this.#home, this.#flags);
      const { settings, waiting } = liveSettings(this.#started, latest);
      if (JSON.stringify(settings) !== JSON.stringify(this.#settings) || waiting.length > 0) {
        this.#log.info("settings have changed", { waiting });
      }
      this.#settings = settings;
      this.#view = { problem: null, waiting };
    } catch (error) {
      if (!(error instanceof DroverError)) throw error;
      // Half a file that an editor is writing, or a slip: the next look may find it mended.
      this.#log.warn("settings cannot be used, going on with those before", { why: error.message });
      this.#view = { ...this.#view, problem: error.message };
    }
  }

  async #look(): Promise<string> {
    const { files } = this.#host;
    const looked = await Promise.all(
      [this.#home.config, this.#home.credentials, MACHINE_POLICY_FILE].map((path) =>
        files.stat(path).then(markOf).catch((error) => {
          if (error instanceof HostError) return error.code;
          throw error;
        })
      ),
    );
    return looked.join(" ");
  }
}

function markOf(info: FileInfo | undefined): string {
  return info ? `${info.dev}:${info.ino}:${info.size}:${info.mtimeMs}` : "none";
}
