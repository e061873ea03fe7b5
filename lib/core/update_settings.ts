/** The settings of updates: whether the loop runs, where releases come from, and how often it looks. */
import { isLoopback } from "./proxy.ts";
import { durationOf, formatDuration, onOrOff, type Row } from "./setting_values.ts";

export interface UpdateSettings {
  /** Whether an updater runs beside the daemon. */
  readonly updateAuto: boolean;
  /** Where releases come from; empty: what the build says. */
  readonly updateUrl: string;
  /** How often it looks for a release, in ms. */
  readonly updateIntervalMs: number;
}

const MIN_INTERVAL_MS = 1_000;

export const UPDATE_SETTINGS: { readonly [K in keyof UpdateSettings]: Row<UpdateSettings[K]> } = {
  updateAuto: onOrOff("update.auto", "DROVER_UPDATE_AUTO", false),
  updateUrl: {
    key: "update.url",
    variable: "DROVER_RELEASES_URL",
    fallback: "",
    parse: releasesUrl,
    write: (value) => value,
    range: "an https address (http on this machine), or empty for the project's own",
  },
  updateIntervalMs: {
    key: "update.interval",
    variable: "DROVER_UPDATE_INTERVAL",
    fallback: 60 * 60_000,
    parse: (value) => durationOf(value, MIN_INTERVAL_MS),
    write: formatDuration,
    range: "a duration of 1s or more, such as 1h or 1d",
  },
};

/** Without a slash at the end. What is verified afterwards may come over http from this machine alone. */
function releasesUrl(value: unknown): string | undefined {
  if (value === "") return "";
  if (typeof value !== "string" || !URL.canParse(value)) return undefined;
  const { protocol, hostname, username, password, search, hash } = new URL(value);
  if (protocol !== "https:" && !(protocol === "http:" && isLoopback(hostname))) return undefined;
  return username + password + search + hash === "" ? value.replace(/\/+$/, "") : undefined;
}
